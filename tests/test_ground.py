"""The fixtures and settings of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository


def test_git_reads_nothing_of_the_user(hermetic_environment: Path, repository: Checkout) -> None:
    origins = repository.git("config", "--list", "--show-origin", "-z").split("\0")
    files = {line.removeprefix("file:") for line in origins if line.startswith("file:")}
    assert files == {str(hermetic_environment / "gitconfig"), ".git/config"}
    assert os.environ["HOME"] == str(hermetic_environment)


def test_make_repository_makes_a_clean_real_repository_with_the_same_commit_ids_every_time(
    make_repository: MakeRepository,
) -> None:
    history: list[dict[str, str | bytes | None]] = [
        {'an "odd"\tname\\é': "x\n", "run.sh": "#!/bin/sh\n", "bin": b"\0\xff"},
        {"run.sh": None, "added": "y"},
    ]
    one = make_repository(*history, name="one")
    two = make_repository(*history, name="two", branch="trunk")
    assert one.tree() == ["added", 'an "odd"\tname\\é', "bin"]
    assert one.git("ls-tree", "HEAD~1", "run.sh").startswith("100755")
    assert one.read("added") == "y"
    assert one.git("status", "--porcelain") == ""
    assert one.git("rev-parse", "HEAD") == two.git("rev-parse", "trunk")
    one.git("fsck", "--strict")


def test_commit_takes_every_change_of_the_checkout(repository: Checkout) -> None:
    head = repository.commit("more", {"a/b": "x", "README.md": None})
    assert repository.tree(head) == ["a/b"]
    assert repository.git("log", "-1", "--format=%an <%ae> %s") == "Ada Test <ada@example.org> more"


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"HYPOTHESIS_PROFILE": "dev"}])
def test_hypothesis_draws_fresh_examples_and_prints_how_to_repeat_a_failure(variables: dict[str, str]) -> None:
    # In a process of its own: Hypothesis looks for CI when it is imported.
    script = (
        "import tests.conftest; from hypothesis import settings; now = settings();"
        "print(now.derandomize, now.print_blob, now.database is not None)"
    )
    environment = {**os.environ, **variables}
    root = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "False True True\n"
