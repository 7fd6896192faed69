"""Fetching and pushing the target: with a lease, never over anybody, and by what the remote says afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.remote import Pushed, fetch, look, push, tracking_ref
from tests.conftest import Checkout


@pytest.fixture
def bare(repository: Checkout, tmp_path: Path) -> Checkout:
    """A bare remote on disk, called origin, that has main."""
    folder = tmp_path / "bare remote"
    repository.git("clone", "-q", "--bare", str(repository.path), str(folder))
    repository.git("remote", "add", "origin", str(folder))
    return Checkout(folder)


def tip(checkout: Checkout, name: str = "main") -> CommitId:
    return CommitId(checkout.git("rev-parse", name))


def teammate_pushes(repository: Checkout, bare: Checkout) -> CommitId:
    made = repository.git("commit-tree", "main^{tree}", "-p", tip(bare), "-m", "theirs")
    bare.git("fetch", "-q", str(repository.path), f"{made}:refs/heads/main", ok=False)
    repository.git("push", "-q", "origin", f"{made}:refs/heads/main")
    return CommitId(made)


def test_fetch_brings_the_branch_and_nothing_else(repository: Checkout, bare: Checkout) -> None:
    theirs = teammate_pushes(repository, bare)
    repository.git("tag", "only-here")
    assert fetch(Git(repository.path), "origin", "main") == theirs
    assert tip(repository, tracking_ref("origin", "main")) == theirs
    assert fetch(Git(repository.path), "origin", "absent") is None


def test_an_unreachable_remote_is_ground(repository: Checkout) -> None:
    repository.git("remote", "add", "origin", "/nowhere/at all")
    with pytest.raises(GroundError, match="origin cannot be read"):
        fetch(Git(repository.path), "origin", "main")


def test_push_moves_the_branch_from_where_it_was_seen(repository: Checkout, bare: Checkout) -> None:
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    done = push(Git(repository.path), "origin", "main", old, new)
    assert (done.outcome, done.tip) == (Pushed.DONE, new)
    again = push(Git(repository.path), "origin", "main", new, new)
    assert again.outcome is Pushed.DONE


def test_push_creates_a_branch_that_is_absent(repository: Checkout, bare: Checkout) -> None:
    assert push(Git(repository.path), "origin", "fresh", None, tip(repository)).outcome is Pushed.DONE
    assert tip(bare, "fresh") == tip(repository)


def test_a_teammates_commit_is_never_overwritten(repository: Checkout, bare: Checkout) -> None:
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    theirs = teammate_pushes(repository, bare)
    # A background fetch makes a bare lease worthless; ours names what it expects.
    repository.git("fetch", "-q", "origin")
    done = push(Git(repository.path), "origin", "main", old, new)
    assert (done.outcome, done.tip) == (Pushed.MOVED, theirs)
    assert tip(bare) == theirs


def test_a_remote_that_declines_says_why(repository: Checkout, bare: Checkout) -> None:
    hook = bare.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho main is protected, open a pull request\nexit 1\n")
    hook.chmod(0o755)
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    done = push(Git(repository.path), "origin", "main", old, new)
    assert done.outcome is Pushed.DECLINED
    assert "main is protected" in done.message
    assert tip(bare) == old


def test_an_answer_that_is_lost_is_read_from_the_remote(repository: Checkout, bare: Checkout) -> None:
    """The remote takes the push, then its process dies: the push fails here, and yet it is done."""
    hook = bare.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    assert push(Git(repository.path), "origin", "main", old, new).outcome is Pushed.DONE


def test_a_pre_push_hook_of_the_user_can_decline_the_push(repository: Checkout, bare: Checkout) -> None:
    hook = repository.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    assert push(Git(repository.path), "origin", "main", old, new).outcome is Pushed.DECLINED


def test_what_would_lose_work_is_not_even_tried(repository: Checkout, bare: Checkout) -> None:
    old = tip(repository)
    elsewhere = CommitId(repository.git("commit-tree", "main^{tree}", "-m", "another root"))
    with pytest.raises(GroundError, match="would lose work"):
        push(Git(repository.path), "origin", "main", old, elsewhere)
    assert look(Git(repository.path), "origin", "main") == old


@pytest.mark.parametrize("key", ["uploadpack", "receivepack"])
def test_a_program_that_the_repository_names_for_its_remote_is_not_run(
    repository: Checkout, bare: Checkout, tmp_path: Path, key: str
) -> None:
    proof = tmp_path / "ran"
    repository.git("config", f"remote.origin.{key}", f"touch {proof}; git-{key.removesuffix('pack')}-pack")
    git = Git(repository.path)
    old, new = tip(repository), CommitId(repository.commit("next", {"a": "1\n"}))
    assert fetch(git, "origin", "main") == old
    assert push(git, "origin", "main", old, new).outcome is Pushed.DONE
    assert not proof.exists()


def test_a_proxy_that_the_repository_names_is_not_run(repository: Checkout, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    proxy = tmp_path / "proxy"
    proxy.write_text(f"#!/bin/sh\ntouch '{proof}'\n", "utf-8")
    proxy.chmod(0o755)
    repository.git("config", "core.gitProxy", str(proxy))
    repository.git("remote", "add", "origin", "git://127.0.0.1:1/x")
    with pytest.raises(GroundError, match="origin cannot be read"):
        look(Git(repository.path), "origin", "main")
    assert not proof.exists()
