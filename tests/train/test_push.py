"""Landing on a remote: the push comes first, with a lease, and what the remote says is what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import GroundError, UsageError
from orchestra.fleet import make_fleet
from orchestra.train.events import TrainEvent
from orchestra.train.landing_journal import Intent, write_intent
from orchestra.train.recover import recover
from tests.conftest import Checkout
from tests.fleets import World
from tests.train.yard import Yard, landed, reasons


@pytest.fixture
def bare(yard: Yard, tmp_path: Path) -> Checkout:
    """origin, a bare repository that has main; the yard's fleet knows it."""
    folder = tmp_path / "origin.git"
    yard.checkout.git("clone", "-q", "--bare", str(yard.checkout.path), str(folder))
    yard.checkout.git("remote", "add", "origin", str(folder))
    yard.world = World(yard.checkout, make_fleet(yard.fleet.repository, yard.fleet.blueprint))
    return Checkout(folder)


def teammate(yard: Yard, message: str = "theirs") -> str:
    """A commit on the remote's main that this repository has not seen."""
    at = yard.checkout.git("ls-remote", "origin", "refs/heads/main").split()[0]
    yard.checkout.git("fetch", "-q", "origin")
    blob = yard.checkout.git("hash-object", "-w", "--stdin", stdin=f"{message}\n".encode())
    tree = yard.checkout.git("ls-tree", at) + f"\n100644 blob {blob}\t{message}\n"
    made = yard.checkout.git("commit-tree", yard.checkout.git("mktree", stdin=tree.encode()), "-p", at, "-m", message)
    yard.checkout.git("push", "-q", "origin", f"{made}:refs/heads/main")
    return made


def tip(checkout: Checkout) -> str:
    return checkout.git("rev-parse", "main")


def test_push_puts_the_same_commit_there_and_here(yard: Yard, bare: Checkout) -> None:
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = yard.merge(push=True)
    assert landed(report) == ["one", "two"]
    assert report.pushed
    assert tip(bare) == yard.tip() == report.after
    assert not [ref for ref in bare.git("for-each-ref", "--format=%(refname)").split() if "orchestra" in ref]


def test_without_push_the_remote_stays(yard: Yard, bare: Checkout) -> None:
    yard.approved(one={"a": "1\n"})
    before = tip(bare)
    assert not yard.merge().pushed
    assert tip(bare) == before


def test_behind_its_remote_the_train_starts_from_there(yard: Yard, bare: Checkout) -> None:
    yard.approved(one={"a": "1\n"})
    theirs = teammate(yard)
    report = yard.merge()
    assert landed(report) == ["one"]
    assert yard.checkout.git("rev-parse", "main~1") == theirs
    assert (yard.checkout.path / "theirs").exists()
    assert yard.checkout.git("status", "--porcelain") == ""


def test_somebody_who_pushes_in_the_middle_is_built_upon(yard: Yard, bare: Checkout) -> None:
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"})
    pushed: list[str] = []

    def push_too(event: TrainEvent) -> None:
        if event.kind == "gate.started" and not pushed:
            pushed.append(teammate(yard))

    report = yard.merge(push=True, progress=push_too)
    assert landed(report) == ["one", "two"]
    assert bare.git("log", "--format=%s", "main").splitlines() == ["two works", "one works", "theirs", "commit 1"]
    assert tip(bare) == yard.tip()


def test_a_remote_that_declines_lands_nothing_and_says_why(yard: Yard, bare: Checkout) -> None:
    hook = bare.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho open a pull request\nexit 1\n")
    hook.chmod(0o755)
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"})
    before = yard.tip()
    report = yard.merge(push=True)
    assert landed(report) == []
    assert "declines the push to main: open a pull request" in reasons(report)["one"]
    assert yard.tip() == before == tip(bare)
    assert not [name for name in yard.world.refs() if name.endswith(("candidate", "landed"))]


def test_diverged_is_refused_before_anything_runs(yard: Yard, bare: Checkout) -> None:
    yard.approved(one={"a": "1\n"})
    teammate(yard)
    yard.checkout.commit("mine", {"mine": "1\n"})
    with pytest.raises(GroundError, match="have diverged"):
        yard.merge()


def test_push_without_a_remote_is_a_usage_error(yard: Yard) -> None:
    with pytest.raises(UsageError, match="no remote to push to"):
        yard.merge(push=True)


def candidate(yard: Yard) -> tuple[str, Intent]:
    """What a merge of ``one`` with --push had written just before its push."""
    yard.approved(one={"a": "1\n"})
    told = yard.rehearse(agents=["one"])
    commit, old = told.landed[0].commit, yard.tip()
    yard.checkout.git("update-ref", "refs/orchestra/demo/one/candidate", commit)
    intent = Intent("demo", "main", old, commit, {"one": commit}, {"one": "notes\n"}, "origin", old)
    write_intent(yard.fleet.repository.state_folder, intent)
    return commit, intent


def test_killed_after_the_push_the_next_command_lands_it_here_too(yard: Yard, bare: Checkout) -> None:
    commit, _ = candidate(yard)
    yard.checkout.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    assert recover(yard.fleet.repository) == ("finished landing one",)
    assert yard.tip() == commit == yard.world.refs()["demo/one/landed"]
    assert yard.checkout.git("status", "--porcelain") == ""
    assert recover(yard.fleet.repository) == ()


def test_killed_before_the_push_it_did_not_happen(yard: Yard, bare: Checkout) -> None:
    commit, intent = candidate(yard)
    assert recover(yard.fleet.repository) == ("took back a landing of one that had not begun",)
    assert yard.tip() == intent.old == tip(bare)
    assert "demo/one/candidate" not in yard.world.refs()
    assert yard.merge(push=True, agents=["one"]).landed[0].commit == commit


def test_landed_there_while_somebody_moved_the_target_here(yard: Yard, bare: Checkout) -> None:
    commit, _ = candidate(yard)
    yard.checkout.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    yard.checkout.commit("mine", {"mine": "1\n"})
    with pytest.raises(GroundError, match="one landed on origin, but main moved here") as refused:
        recover(yard.fleet.repository)
    assert "git pull --rebase origin main" in str(refused.value.hint)
    yard.checkout.git("pull", "-q", "--rebase", "origin", "main")
    assert recover(yard.fleet.repository) == ("finished landing one",)
    assert yard.world.refs()["demo/one/landed"] == commit
    assert yard.checkout.git("status", "--porcelain") == ""
