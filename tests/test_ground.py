"""The fixtures that other tests rest on do what they say."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import Checkout, MakeRepository


def test_git_reads_nothing_of_the_user(hermetic_environment: Path, repository: Checkout) -> None:
    origins = repository.git("config", "--list", "--show-origin", "-z").split("\0")
    files = {line.removeprefix("file:") for line in origins if line.startswith("file:")}
    assert files == {str(hermetic_environment / "gitconfig"), ".git/config"}
    assert os.environ["HOME"] == str(hermetic_environment)


def test_a_made_repository_is_real_clean_and_the_same_every_time(make_repository: MakeRepository) -> None:
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


def test_commit_takes_everything_that_is_there(repository: Checkout) -> None:
    head = repository.commit("more", {"a/b": "x", "README.md": None})
    assert repository.tree(head) == ["a/b"]
    assert repository.git("log", "-1", "--format=%an <%ae> %s") == "Ada Test <ada@example.org> more"
