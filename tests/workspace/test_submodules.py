"""Agents' worktrees have the submodules that a person's checkout has, and no branch names an address to contact."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestra.git.refs import CommitId
from orchestra.git.unsaved_work import refuse_unpushed
from orchestra.workspace.spawn_plan import plan_spawn
from orchestra.workspace.submodules import fill_submodules
from tests.conftest import Checkout
from tests.workspace.conftest import run_spawn
from tests.workspace.worlds import Home


@pytest.fixture
def library(home: Home, tmp_path: Path) -> Checkout:
    """A library with a library of its own is a submodule of the repository, below ``libs/a``."""
    made = []
    for name in ("inner", "library"):
        (tmp_path / name).mkdir()
        made.append(Checkout(tmp_path / name))
        made[-1].git("init", "-q")
        made[-1].commit("start", {f"{name}.txt": f"{name}\n"})
    inner, library = made
    allow = ("-c", "protocol.file.allow=always", "submodule")
    library.git(*allow, "add", "-q", str(inner.path), "deps/inner")
    library.commit("use inner")
    home.checkout.git(*allow, "add", "-q", str(library.path), "libs/a")
    home.checkout.git(*allow, "update", "-q", "--init", "--recursive")
    home.checkout.commit("use library")
    return library


def test_submodules_are_filled_without_their_remotes(home: Home, library: Checkout, tmp_path: Path) -> None:
    url = str(library.path)
    shutil.rmtree(tmp_path / "library")  # the remote cannot be reached
    shutil.rmtree(tmp_path / "inner")
    before = home.checkout.git("config", "--list", "--local")
    report = run_spawn(home)
    assert not [note for note in report.notes if "submodule" in note]
    for number in (1, 2):
        worktree = home.agent(number)
        assert (worktree.path / "libs/a/library.txt").read_text() == "library\n"
        assert (worktree.path / "libs/a/deps/inner/inner.txt").read_text() == "inner\n"
        assert worktree.git("status", "--porcelain") == ""
        assert Checkout(worktree.path / "libs/a").git("config", "remote.origin.url") == url
        refuse_unpushed(worktree.path / "libs/a")  # clean can remove what the remote has
    assert [line for line in home.checkout.git("config", "--list", "--local").splitlines() if "submodule." in line] == [
        line for line in before.splitlines() if "submodule." in line
    ]
    assert not plan_spawn(home.fleet()).lines()


def test_submodules_that_the_main_checkout_lacks_are_cloned(
    home: Home, library: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.checkout.git("submodule", "deinit", "-q", "--force", "--all")
    shutil.rmtree(home.checkout.path / ".git/modules")
    for name, value in {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    run_spawn(home)
    assert (home.agent(1).path / "libs/a/deps/inner/inner.txt").exists()


def test_a_submodule_that_cannot_be_filled_is_named_and_stops_nothing(home: Home, library: Checkout) -> None:
    home.checkout.git("submodule", "deinit", "-q", "--force", "--all")
    shutil.rmtree(home.checkout.path / ".git/modules")
    shutil.rmtree(library.path)
    report = run_spawn(home)
    assert not report.not_ready
    assert [note for note in report.notes if note.startswith("schema: submodule libs/a is empty: ")]


def test_what_the_repository_itself_allows_does_not_count(home: Home, library: Checkout) -> None:
    shutil.rmtree(home.checkout.path / ".git/modules")
    home.checkout.git("config", "protocol.file.allow", "always")  # an agent can write that
    report = run_spawn(home)
    assert any("libs/a is empty" in note for note in report.notes), report.notes
    assert not (home.agent(1).path / "libs/a/library.txt").exists()


def test_an_address_that_only_the_branch_names_is_not_contacted(
    home: Home, library: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    run_spawn(home)
    evil = Checkout(tmp_path / "evil")
    evil.path.mkdir()
    evil.git("init", "-q")
    commit = evil.commit("evil", {"evil.txt": "evil\n"})
    agent = home.agent(1)
    agent.git("config", "--file", ".gitmodules", "submodule.evil.path", "evil")
    agent.git("config", "--file", ".gitmodules", "submodule.evil.url", str(evil.path))
    agent.git("add", ".gitmodules")
    agent.git("update-index", "--add", "--cacheinfo", f"160000,{commit},evil")
    agent.git("commit", "-qm", "name another address")
    base = CommitId(home.checkout.git("rev-parse", "main"))
    problems = fill_submodules(agent.path, home.checkout.path / ".git", base)
    assert problems == ["submodule evil is empty: the branch changed .gitmodules, so its address is not contacted"]
    assert not (agent.path / "evil/evil.txt").exists()


def test_a_dry_run_lists_the_submodules(home: Home, library: Checkout) -> None:
    lines = [line for line in plan_spawn(home.fleet()).lines() if "submodule update --init" in line]
    assert lines == [f"git -C {home.agent(n).path} submodule update --init --recursive" for n in (1, 2)]
