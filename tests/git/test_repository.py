"""Opening a repository from wherever a person stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.errors import GroundError, UsageError
from orchestra.git.repository import Divergence, Repository
from tests.conftest import Checkout, MakeRepository


@pytest.mark.parametrize("name", ["repo", "with space", "ünïcode-雪", "quo'te\"s", "dollar$HOME"])
def test_it_is_found_from_the_top_below_and_a_linked_worktree(make_repository: MakeRepository, name: str) -> None:
    repository = make_repository({"deep/er/a": "a"}, name=name)
    linked = repository.path.parent / f"{name} linked"
    repository.git("worktree", "add", "-q", "-b", "side", str(linked))
    for folder in (repository.path, repository.path / "deep" / "er", linked, linked / "deep"):
        found = Repository.discover(folder)
        assert (found.home, found.common_dir, found.bare) == (repository.path, repository.path / ".git", False)


def test_a_bare_repository_is_its_own_home(make_repository: MakeRepository, tmp_path: Path) -> None:
    source = make_repository()
    source.git("clone", "-q", "--bare", str(source.path), str(tmp_path / "bare.git"))
    bare = Checkout(tmp_path / "bare.git")
    bare.git("worktree", "add", "-q", str(tmp_path / "work"), "main")
    for folder in (bare.path, tmp_path / "work"):
        found = Repository.discover(folder)
        assert (found.home, found.bare) == (bare.path, True)


def test_outside_a_repository(tmp_path: Path) -> None:
    with pytest.raises(GroundError, match="not inside a git repository"):
        Repository.discover(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        Repository.discover(tmp_path / "gone")


def test_an_unborn_branch_has_a_name_and_no_tip(tmp_path: Path) -> None:
    Checkout(tmp_path).git("init", "-q", "-b", "trunk")
    repository = Repository.discover(tmp_path)
    assert repository.current_branch() == "trunk"
    assert repository.branch_tip("trunk") is None
    assert repository.worktrees()[0].head is None


def test_a_detached_head_has_no_branch(repository: Checkout) -> None:
    repository.git("checkout", "-q", "--detach")
    found = Repository.discover(repository.path)
    assert found.current_branch() is None
    assert found.default_target(None) is None


def test_the_target_is_the_remote_s_default_branch(make_repository: MakeRepository, tmp_path: Path) -> None:
    upstream = make_repository(branch="trunk")
    upstream.git("clone", "-q", str(upstream.path), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    clone.git("checkout", "-q", "-b", "feature")
    repository = Repository.discover(clone.path)
    assert repository.default_remote() == "origin"
    assert repository.default_target("origin") == "trunk"
    assert repository.default_target(None) == "feature"


def test_worktrees_tell_lock_branch_and_absence(repository: Checkout, tmp_path: Path) -> None:
    repository.git("worktree", "add", "-q", "--lock", "--reason", "busy", "-b", "side", str(tmp_path / "side"))
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "loose"))
    main, *others = Repository.discover(repository.path).worktrees()
    by_name = {tree.path.name: tree for tree in others}
    assert main.branch == "main"
    assert (by_name["side"].branch, by_name["side"].locked) == ("side", "busy")
    assert (by_name["loose"].branch, by_name["loose"].locked) == (None, None)


def test_distances(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "1"}, {"a": "2"}, {"a": "3"})
    checkout.git("checkout", "-q", "-b", "side", "HEAD~2")
    checkout.commit("on the side", {"b": "b"})
    repository = Repository.discover(checkout.path)
    assert repository.divergence("side", "main") == Divergence(ahead=1, behind=2)
    assert repository.count_commits("main", "side") == 1
    assert repository.is_ancestor("main~2", "side")
    assert not repository.is_ancestor("main", "side")
    assert repository.merge_base("main", "side") == checkout.git("rev-parse", "main~2")
    with pytest.raises(GroundError, match="does not exist"):
        repository.require_commit("refs/heads/gone")


def test_unrelated_histories_have_no_merge_base(repository: Checkout) -> None:
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit("another beginning")
    assert Repository.discover(repository.path).merge_base("main", "other") is None


def test_a_checkout_whose_repository_says_bare_is_refused_with_the_fix(repository: Checkout) -> None:
    repository.git("worktree", "add", "-q", "-b", "work", "../work")
    repository.git("config", "core.bare", "true")
    for folder in (repository.path, repository.path.parent / "work"):
        with pytest.raises(GroundError, match=r"core\.bare=true") as caught:
            Repository.discover(folder)
        assert caught.value.hint == f"git -C {repository.path} config core.bare false"


def test_a_checkout_whose_repository_names_another_work_tree_is_refused(repository: Checkout, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    repository.git("config", "core.worktree", str(tmp_path / "elsewhere"))
    with pytest.raises(GroundError, match=r"core\.worktree") as caught:
        Repository.discover(repository.path)
    assert "--unset core.worktree" in str(caught.value.hint)


@pytest.mark.parametrize("bare", [False, True])
def test_safe_bare_repository_explicit_is_met(
    repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    home = repository.path
    if bare:
        home = tmp_path / "bare.git"
        repository.git("clone", "-q", "--bare", ".", str(home))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.bareRepository")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "explicit")
    opened = Repository.discover(home)
    assert (opened.home, opened.bare) == (home, bare)
    assert opened.branch_tip("main") == repository.git("rev-parse", "main")
    assert opened.worktrees()[0].path == home


def test_a_repository_of_another_user_is_named_as_such(repository: Checkout) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    os.chown(repository.path, 12345, 12345)
    os.chown(repository.path / ".git", 12345, 12345)
    with pytest.raises(GroundError, match="another user owns it") as caught:
        Repository.discover(repository.path)
    assert "safe.directory" in str(caught.value.hint)


def test_a_worktree_whose_commondir_a_power_cut_emptied_is_restored(repository: Checkout, tmp_path: Path) -> None:
    repository.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    (repository.path / ".git/worktrees/side/commondir").write_text("", "utf-8")
    paths = [worktree.path for worktree in Repository.discover(repository.path).worktrees()]
    assert paths == [repository.path, tmp_path / "side"]
    assert Checkout(tmp_path / "side").git("rev-parse", "--abbrev-ref", "HEAD") == "side"
