"""Random branches: the chain built in memory is the chain that ``git rebase`` makes, and the audit agrees."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import Branch, BuiltCandidate, NothingToMerge, build_chain
from orchestra.candidates.containment import LandingStep, audit, unclaimed_paths
from orchestra.candidates.text_conflict import Conflict
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout

PATHS = ("a", "b", "dir/c", "dir/d", "dir/sub/e")
BLOCK = "".join(f"{n}\n" for n in range(12))

edit = st.one_of(
    st.tuples(st.just("line"), st.sampled_from(PATHS), st.integers(0, 11)),
    st.tuples(st.just("delete"), st.sampled_from(PATHS), st.just(0)),
    st.tuples(st.just("add"), st.sampled_from(("new", "dir/new", "a.d/x")), st.integers(0, 3)),
    st.tuples(st.just("move"), st.sampled_from(PATHS), st.integers(0, 2)),
)
commits = st.lists(st.lists(edit, min_size=1, max_size=2), min_size=1, max_size=3)


def apply(checkout: Checkout, kind: str, path: str, number: int, mark: str) -> None:
    place = checkout.path / path
    if kind == "add":
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{mark} {number}\n", encoding="utf-8")
    if not place.exists():
        return
    if kind == "delete":
        place.unlink()
    elif kind == "move":
        new = checkout.path / f"moved{number}" / path
        new.parent.mkdir(parents=True, exist_ok=True)
        place.rename(new)
    elif kind == "line":
        lines = place.read_text(encoding="utf-8").splitlines()
        lines[number % len(lines)] = mark
        place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def grow(checkout: Checkout, name: str, history: list[list[tuple[str, str, int]]]) -> None:
    for number, edits in enumerate(history):
        for kind, path, value in edits:
            apply(checkout, kind, path, value, f"{name}{number}")
        checkout.commit(f"{name} {number}")


def rebase(checkout: Checkout, place: Path, name: str, onto: str) -> str | None:
    """The commit that ``git rebase`` ends at, or None when it stops at a conflict."""
    there = Checkout(place)
    there.git("checkout", "-q", "--detach", name)
    there.git("-c", "merge.directoryRenames=conflict", "rebase", "--no-keep-empty", "--empty=drop", onto, ok=False)
    if "rebase in progress" in there.git("status"):
        there.git("rebase", "--abort")
        return None
    return there.git("rev-parse", "HEAD")


# Files alike: a merge may take another deleted file than ``git diff`` for the one that was moved.
@example([[[("line", "a", 0)]]], [[("line", "b", 3), ("move", "b", 0), ("delete", "a", 0)]])
@example([[[("line", "a", 3), ("move", "a", 0), ("delete", "b", 0)]]], [[("line", "b", 0)]])
# The target has the branch's patch, and the merge alone would take the deleted file for the moved one.
@example([[[("delete", "dir/c", 0)]]], [[("line", "a", 0), ("move", "a", 0)], [("delete", "dir/c", 0)]])
@settings(max_examples=15)
@given(st.lists(commits, min_size=1, max_size=3), commits)
def test_the_chain_is_what_git_rebase_makes(branches: list[list[list[tuple[str, str, int]]]], main: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder) / "repo")
        checkout.path.mkdir()
        checkout.git("init", "-q")
        base = checkout.commit("base", dict.fromkeys(PATHS, BLOCK))
        made = []
        for number, history in enumerate(branches):
            checkout.git("switch", "-q", "-c", f"b{number}", base)
            grow(checkout, f"b{number}", history)
            tip = CommitId(checkout.git("rev-parse", "HEAD"))
            made.append(Branch(AgentName(f"b{number}"), FleetName("demo"), CommitId(base), tip, "title"))
        checkout.git("switch", "-q", "main")
        grow(checkout, "main", main)  # type: ignore[arg-type]
        check(checkout, Path(folder) / "place", made)


def check(checkout: Checkout, place: Path, branches: list[Branch]) -> None:
    checkout.git("worktree", "add", "-q", "--detach", str(place))
    git = Git(checkout.path)
    at = target = CommitId(checkout.git("rev-parse", "main"))
    steps = []
    for branch, candidate in zip(branches, build_chain(git, target, branches).values(), strict=True):
        expected = rebase(checkout, place, branch.tip, at)
        if isinstance(candidate, Conflict):
            assert expected is None
            continue
        assert expected is not None
        after = at if isinstance(candidate, NothingToMerge) else candidate.commit
        assert checkout.git("rev-parse", f"{after}^{{tree}}") == checkout.git("rev-parse", f"{expected}^{{tree}}")
        if isinstance(candidate, BuiltCandidate):
            steps.append(LandingStep(at, candidate.commit, candidate.fork, branch.tip))
            assert audit(git, steps[-1]) == ()
        at = after
    assert unclaimed_paths(git, target, at, steps) == ()
