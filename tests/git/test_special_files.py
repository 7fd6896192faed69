"""Pipes and devices in a git folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.git.repository import Repository
from tests.conftest import Checkout, MakeRepository


@pytest.fixture
def checkout(make_repository: MakeRepository) -> Checkout:
    return make_repository()


@pytest.mark.parametrize("name", ["HEAD", "gitdir", "commondir", "locked", "logs/HEAD", "rebase-merge/head-name"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_among_the_files_of_a_worktree_holds_up_no_command(
    checkout: Checkout, tmp_path: Path, name: str, kind: str
) -> None:
    checkout.git("worktree", "add", "--quiet", "-b", "agent", str(tmp_path / "agent"))
    place = checkout.path / ".git/worktrees/agent" / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place) if kind == "pipe" else place.symlink_to("/dev/zero")
    repository = Repository.discover(checkout.path)
    assert checkout.path in [worktree.path for worktree in repository.worktrees()]
    assert not os.path.lexists(place)


def test_a_pipe_in_the_place_of_a_ref_is_deleted(checkout: Checkout) -> None:
    place = checkout.path / ".git/refs/heads/agent"
    os.mkfifo(place)
    Repository.discover(checkout.path)
    assert not os.path.lexists(place)


@pytest.mark.parametrize("name", ["packed-refs", "shallow", "HEAD", "info/exclude", "objects/info/alternates"])
def test_a_pipe_in_the_place_of_a_file_of_the_whole_repository_is_an_error(checkout: Checkout, name: str) -> None:
    place = checkout.path / ".git" / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(GroundError, match="is a pipe or a device"):
        Repository.discover(checkout.path)


def test_sockets_and_links_to_files_stay(checkout: Checkout) -> None:
    link = checkout.path / ".git/refs/heads/link"
    link.symlink_to("main")
    Repository.discover(checkout.path)
    assert link.is_symlink()
