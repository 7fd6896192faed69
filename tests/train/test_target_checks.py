"""What a train may start on, and what it refuses with the words that mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.fleet import Fleet, read_snapshot
from orchestra.git.repository import Repository
from orchestra.train.target_branch import TargetPosition, check_target
from tests.conftest import Checkout, MakeRepository
from tests.fleets import make_blueprint


def position(checkout: Checkout, remote: str | None = None, target: str = "main") -> TargetPosition:
    fleet = Fleet(Repository.discover(checkout.path), make_blueprint("one"), target, remote)
    return check_target(read_snapshot(fleet))


@pytest.fixture
def cloned(repository: Checkout, tmp_path: Path) -> Checkout:
    folder = tmp_path / "origin.git"
    repository.git("clone", "-q", "--bare", str(repository.path), str(folder))
    repository.git("remote", "add", "origin", str(folder))
    repository.git("fetch", "-q", "origin")
    return repository


def ahead_there(checkout: Checkout) -> str:
    made = checkout.git("commit-tree", "main^{tree}", "-p", "main", "-m", "theirs")
    checkout.git("push", "-q", "origin", f"{made}:refs/heads/main")
    return made


def test_no_remote(repository: Checkout) -> None:
    found = position(repository)
    assert found.start == found.local == repository.git("rev-parse", "main")
    assert found.checkouts == (repository.path,)
    assert found.remote_tip is None


def test_behind_its_remote_a_train_starts_from_the_remotes_tip(cloned: Checkout) -> None:
    theirs = ahead_there(cloned)
    found = position(cloned, "origin")
    assert (found.start, found.local) == (theirs, cloned.git("rev-parse", "main"))


def test_ahead_of_its_remote_is_fine(cloned: Checkout) -> None:
    mine = cloned.commit("mine", {"a": "1\n"})
    found = position(cloned, "origin")
    assert found.start == found.local == mine


def test_diverged_is_refused_with_the_mend(cloned: Checkout) -> None:
    ahead_there(cloned)
    cloned.commit("mine", {"a": "1\n"})
    with pytest.raises(GroundError, match="1 commits only here, 1 only there") as refused:
        position(cloned, "origin")
    assert "git pull --no-rebase origin main" in str(refused.value.hint)


def test_a_remote_without_the_branch(cloned: Checkout) -> None:
    cloned.git("branch", "work")
    assert position(cloned, "origin", "work").remote_tip is None


def test_unborn_and_absent_targets(tmp_path: Path, repository: Checkout) -> None:
    empty = Checkout(tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "-q")
    with pytest.raises(GroundError, match="main has no commit yet"):
        position(empty)
    with pytest.raises(GroundError, match="there is no branch trunk"):
        position(repository, target="trunk")


def rebase(checkout: Checkout) -> None:
    checkout.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-i", "main~1")


def merge(checkout: Checkout) -> None:
    checkout.git("merge", "-q", "--no-commit", "--no-ff", "side")


def cherry_pick(checkout: Checkout) -> None:
    checkout.git("cherry-pick", "clash", ok=False)


def bisect(checkout: Checkout) -> None:
    checkout.git("bisect", "start", "main", "main~2")


@pytest.mark.parametrize("begin", [rebase, merge, cherry_pick, bisect], ids=lambda f: f.__name__)
def test_in_the_middle_of_something_is_refused(
    make_repository: MakeRepository, begin: Callable[[Checkout], None]
) -> None:
    checkout = make_repository({"f": "1\n"}, {"f": "2\n"}, {"f": "3\n"})
    checkout.git("branch", "side", "main~2")
    checkout.git("switch", "-q", "side")
    checkout.commit("side", {"g": "1\n"})
    checkout.git("switch", "-q", "-c", "clash", "main~2")
    checkout.commit("clash", {"f": "x\n"})
    checkout.git("switch", "-q", "main")
    begin(checkout)
    with pytest.raises(GroundError, match="in the middle of") as refused:
        position(checkout)
    assert "git " in str(refused.value.hint)
    assert position(checkout, target="side")


def test_linked_worktrees_detached_heads_and_shallow_clones_work(repository: Checkout, tmp_path: Path) -> None:
    linked = tmp_path / "linked \u00e9"
    repository.git("worktree", "add", "-q", "-b", "other", str(linked))
    repository.git("checkout", "-q", "--detach")
    found = position(Checkout(linked))
    assert found.checkouts == ()
    repository.commit("more", {"a": "1\n"})
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", str(shallow), "--branch", "main")
    assert position(Checkout(shallow), "origin")


def test_git_dir_in_the_environment_changes_nothing(
    repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    found = position(repository)
    assert found.checkouts == (repository.path,)
