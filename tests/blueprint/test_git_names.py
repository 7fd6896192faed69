"""Names: what git refuses is refused here first, and what cannot live side by side is found."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.git_names import Clash, branch_problem, collisions, directory_problem

CHARACTERS = st.sampled_from([*"abA1./-_@{ ~^:?*[\\", "..", ".lock", "@{", "//", "é", "\x7f", "HEAD", "\t"])
NAMES = st.lists(CHARACTERS, max_size=6).map("".join)


def git_accepts(name: str) -> bool:
    """As a ref; and ``git branch`` refuses a leading dash and HEAD, and takes @ for HEAD."""
    done = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], capture_output=True, check=False)
    return done.returncode == 0 and not name.startswith("-") and name not in {"HEAD", "@"}


@given(NAMES)
def test_branches_are_what_git_accepts(name: str) -> None:
    assert (branch_problem(name) is None) == git_accepts(name), branch_problem(name)


@pytest.mark.parametrize("name", ["a.LOCK", "a/b.Lock/c", "x" * 241])
def test_some_branches_that_git_accepts_are_refused_for_other_machines(name: str) -> None:
    assert git_accepts(name)
    assert branch_problem(name)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a", None),
        ("a b/c", None),
        ("é", None),
        ("../a", "leaves worktrees.root"),
        ("a/../b", "leaves worktrees.root"),
        ("/a", "is absolute"),
        ("~/a", "is absolute"),
        ("C:a", "is absolute"),
        ("", "contains an empty part (//, ., or a slash at an end)"),
        ("a//b", "contains an empty part (//, ., or a slash at an end)"),
        ("a/", "contains an empty part (//, ., or a slash at an end)"),
        ("./a", "contains an empty part (//, ., or a slash at an end)"),
        ("a\nb", "contains a backslash or a control character"),
        ("a\\b", "contains a backslash or a control character"),
        ("x/.GIT/y", "contains .git, which belongs to git"),
        ("main.gates", "ends with .gates, which is reserved for the worktrees of gates"),
        ("Main.Gates/1", "ends with .gates, which is reserved for the worktrees of gates"),
        ("-rf", 'contains "-rf", which begins with a dash or has a space at an end'),
        ("a /b", 'contains "a ", which begins with a dash or has a space at an end'),
        ("y" * 241, "contains a part longer than 240 bytes"),
    ],
)
def test_directories(path: str, message: str | None) -> None:
    assert directory_problem(path) == message


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a", "b", "ab"], []),
        (["a", "b", "a"], [(2, 0, Clash.SAME)]),
        (["Work", "work"], [(1, 0, Clash.FOLDED)]),
        (["é", "e\u0301"], [(1, 0, Clash.FOLDED)]),
        (["straße", "STRASSE"], [(1, 0, Clash.FOLDED)]),
        (["a", "a/b"], [(1, 0, Clash.INSIDE)]),
        (["a/b/c", "A"], [(0, 1, Clash.INSIDE)]),
        (["a/b", "a/c"], []),
    ],
)
def test_collisions(names: list[str], found: list[tuple[int, int, Clash]]) -> None:
    assert list(collisions(names)) == found
