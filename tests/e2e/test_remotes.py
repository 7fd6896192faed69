"""Remotes: none, on disk, ahead, behind, diverged, moving in between, refusing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository

from .conftest import FILES, MakeRoad
from .road import Road


@pytest.fixture
def remote(road: Road) -> Checkout:
    """A bare repository on disk that ``road`` has as its origin."""
    path = road.folder / "origin.git"
    road.checkout.git("clone", "-q", "--bare", ".", str(path))
    road.checkout.git("remote", "add", "origin", str(path))
    road.checkout.git("fetch", "-q", "origin")
    return Checkout(path)


@pytest.fixture
def colleague(remote: Checkout, tmp_path: Path) -> Checkout:
    """Somebody else's clone."""
    subprocess.run(["git", "clone", "-q", str(remote.path), str(tmp_path / "colleague")], check=True)
    return Checkout(tmp_path / "colleague")


def push(colleague: Checkout, **files: str) -> str:
    colleague.git("pull", "-q", "--rebase")
    commit = colleague.commit("colleague", {f"{name}.txt": text for name, text in files.items()})
    colleague.git("push", "-q", "origin", "HEAD:main")
    return commit


def test_push_absent_and_present(road: Road, remote: Checkout) -> None:
    before = remote.git("rev-parse", "main")
    road.ready("one", "two", "three")
    assert road.merge("one")["pushed"] is False
    assert remote.git("rev-parse", "main") == before
    report = road.merge("two", "--push")  # what is here and not there goes along
    assert report["pushed"] is True
    assert remote.git("rev-parse", "main") == road.checkout.git("rev-parse", "main") == report["target"]["after"]
    road.fleet(**road.declared | {"merge": {"push": True}})
    road.merge()
    assert remote.git("rev-parse", "main") == road.checkout.git("rev-parse", "main")
    assert remote.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    road.json("clean")
    road.assert_final_state()


def test_push_without_a_remote(road: Road) -> None:
    road.ready("one")
    assert "no remote to push to" in road.refused("merge", "--push", code=2)
    assert "has no remote 'upstream'" in road.fleet("one", remote="upstream").refused("merge")


def test_behind_then_diverged(road: Road, remote: Checkout, colleague: Checkout) -> None:
    road.ready("one", "two")
    push(colleague, ahead="1\n")
    assert len(road.merge("one")["landed"]) == 1
    assert {"ahead.txt", "one.txt"} <= set(road.checkout.tree())  # it started from the remote's tip
    assert (road.checkout.path / "ahead.txt").exists()
    push(colleague, other="2\n")
    before = road.refs("refs/heads/") | road.refs()
    said = road.refused("merge", "two")
    assert "have diverged: 1 commits only here, 1 only there" in said
    assert "git pull --no-rebase origin main" in said
    assert road.refs("refs/heads/") | road.refs() == before
    road.checkout.git("pull", "-q", "--rebase", "origin", "main")
    assert len(road.merge("two", "--push")["landed"]) == 1
    assert road.status()["one"]["state"] == "landed"  # though the pull gave its commit another name
    assert len(road.json("clean")["skipped"]) == 0
    road.assert_final_state()


def test_work_in_the_way_of_what_the_remote_has(road: Road, colleague: Checkout) -> None:
    road.ready("one")
    push(colleague, ahead="1\n")
    road.checkout.write({"ahead.txt": "mine\n"})
    assert "local changes in files that would be updated: ahead.txt" in road.refused("merge", "one")
    (road.checkout.path / "ahead.txt").unlink()
    road.merge("one")
    road.assert_final_state()


def test_the_remote_moves_while_gates_run(road: Road, remote: Checkout, colleague: Checkout, tmp_path: Path) -> None:
    colleague.git("config", "user.name", "C")
    colleague.git("config", "user.email", "c@example.org")
    script = tmp_path / "colleague.sh"
    script.write_text(
        f"mkdir {tmp_path}/done || exit 0\ncd {colleague.path} && git commit -q --allow-empty -m in-between && "
        "git push -q origin HEAD:main\n"
    )
    road.fleet("one", "two", gates={"slow": {"run": f"sh {script}"}})
    road.ready("one", "two")
    report = road.merge("--push")
    assert len(report["landed"]) == 2
    assert "in-between" in road.checkout.git("log", "--format=%s", "main").splitlines()
    assert remote.git("rev-parse", "main") == road.checkout.git("rev-parse", "main")
    assert road.landed_agents() == ["one", "two"]
    road.assert_final_state()


def test_the_remote_refuses(road: Road, remote: Checkout) -> None:
    hook = remote.path / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho main is protected, open a pull request >&2\nexit 1\n")
    hook.chmod(0o755)
    road.ready("one")
    before = road.checkout.git("rev-parse", "main")
    report = road.merge("one", "--push", code=1)
    assert "main is protected, open a pull request" in report["waiting"][0]["reason"]
    assert road.checkout.git("rev-parse", "main") == remote.git("rev-parse", "main") == before
    road.assert_final_state()
    hook.unlink()
    assert len(road.merge("one", "--push")["landed"]) == 1
    road.assert_final_state()


def test_the_remote_is_gone(road: Road, remote: Checkout) -> None:
    road.ready("one")
    remote.path.rename(remote.path.with_name("elsewhere"))
    for words in (["merge", "one"], ["rehearse"]):
        said = road.refused(*words)
        assert "remote origin cannot be read" in said
        assert "git ls-remote origin" in said
    assert road.run("status").code == 0
    road.assert_final_state()


def test_the_remotes_branch_is_its_first_or_another(
    make_road: MakeRoad, make_repository: MakeRepository, tmp_path: Path
) -> None:
    """An empty remote, a remote whose default branch is called otherwise, a clone with nothing else in it."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "trunk", str(tmp_path / "empty.git")], check=True)
    road = make_road()
    road.checkout.git("remote", "add", "origin", str(tmp_path / "empty.git"))
    road.ready("one", "two")
    road.merge("one")
    assert road.merge("two", "--push")["pushed"] is True
    assert Checkout(tmp_path / "empty.git").git("rev-parse", "main") == road.checkout.git("rev-parse", "main")

    make_repository(FILES, name="trunk", branch="trunk")
    subprocess.run(["git", "clone", "-q", str(tmp_path / "trunk"), str(tmp_path / "clone/repo")], check=True)
    other = make_road("one", at=tmp_path / "clone/repo")
    other.checkout.git("switch", "-q", "-c", "mine")
    other.ready("one")
    assert other.merge()["target"]["branch"] == "trunk"
    other.assert_final_state("trunk")
