"""Landing on a remote: the push comes first, with a lease, and what the remote says is what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import make_fleet
from orchestra.train.events import TrainEvent
from orchestra.train.landing import recover
from orchestra.train.landing_journal import Landing, write_journal
from tests.conftest import Checkout
from tests.fleets import World
from tests.train.train_fixture import TrainFixture, landed, reasons


@pytest.fixture
def bare(train: TrainFixture, tmp_path: Path) -> Checkout:
    """origin, a bare repository that has main; the yard's fleet knows it."""
    folder = tmp_path / "origin.git"
    train.checkout.git("clone", "-q", "--bare", str(train.checkout.path), str(folder))
    train.checkout.git("remote", "add", "origin", str(folder))
    train.world = World(train.checkout, make_fleet(train.fleet.repository, train.fleet.blueprint))
    return Checkout(folder)


def teammate(train: TrainFixture, message: str = "theirs") -> str:
    """A commit on the remote's main that this repository has not seen."""
    at = train.checkout.git("ls-remote", "origin", "refs/heads/main").split()[0]
    train.checkout.git("fetch", "-q", "origin")
    blob = train.checkout.git("hash-object", "-w", "--stdin", stdin=f"{message}\n".encode())
    tree = train.checkout.git("ls-tree", at) + f"\n100644 blob {blob}\t{message}\n"
    made = train.checkout.git("commit-tree", train.checkout.git("mktree", stdin=tree.encode()), "-p", at, "-m", message)
    train.checkout.git("push", "-q", "origin", f"{made}:refs/heads/main")
    return made


def tip(checkout: Checkout) -> str:
    return checkout.git("rev-parse", "main")


def test_push_puts_the_same_commit_there_and_here(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge(push=True)
    assert landed(report) == ["one", "two"]
    assert report.pushed
    assert tip(bare) == train.tip() == report.after
    assert not [ref for ref in bare.git("for-each-ref", "--format=%(refname)").split() if "orchestra" in ref]


def test_without_push_the_remote_stays(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"})
    before = tip(bare)
    assert not train.merge().pushed
    assert tip(bare) == before


def test_behind_its_remote_the_train_starts_from_there(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"})
    theirs = teammate(train)
    report = train.merge()
    assert landed(report) == ["one"]
    assert train.checkout.git("rev-parse", "main~1") == theirs
    assert (train.checkout.path / "theirs").exists()
    assert train.checkout.git("status", "--porcelain") == ""


def test_somebody_who_pushes_in_the_middle_is_built_upon(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    pushed: list[str] = []

    def push_too(event: TrainEvent) -> None:
        if event.kind == "gate.started" and not pushed:
            pushed.append(teammate(train))

    report = train.merge(push=True, progress=push_too)
    assert landed(report) == ["one", "two"]
    assert bare.git("log", "--format=%s", "main").splitlines() == ["two works", "one works", "theirs", "commit 1"]
    assert tip(bare) == train.tip()


def test_a_remote_that_declines_lands_nothing_and_says_why(train: TrainFixture, bare: Checkout) -> None:
    hook = bare.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho open a pull request\nexit 1\n")
    hook.chmod(0o755)
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    before = train.tip()
    report = train.merge(push=True)
    assert landed(report) == []
    assert "declined the push to main: open a pull request" in reasons(report)["one"]
    assert train.tip() == before == tip(bare)
    assert not [name for name in train.world.refs() if name.endswith(("candidate", "landed"))]


def test_diverged_is_refused_before_anything_runs(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"})
    teammate(train)
    train.checkout.commit("mine", {"mine": "1\n"})
    with pytest.raises(GroundError, match="have diverged"):
        train.merge()


def test_push_without_a_remote_is_a_usage_error(train: TrainFixture) -> None:
    with pytest.raises(UsageError, match="no remote to push to"):
        train.merge(push=True)


def candidate(train: TrainFixture) -> tuple[str, Landing]:
    """What a merge of ``one`` with --push had written just before its push."""
    train.approved(one={"a": "1\n"})
    told = train.rehearse(agents=["one"])
    commit, old = told.landed[0].commit, train.tip()
    train.checkout.git("update-ref", "refs/orchestra/demo/one/candidate", commit)
    intent = Landing(
        "demo", "main", old, commit, {AgentName("one"): commit}, {AgentName("one"): "notes\n"}, "origin", old
    )
    write_journal(train.fleet.repository.state_folder, intent)
    return commit, intent


def test_killed_after_the_push_the_next_command_lands_it_here_too(train: TrainFixture, bare: Checkout) -> None:
    commit, _ = candidate(train)
    train.checkout.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    assert recover(train.fleet.repository, print) == ("finished landing one",)
    assert train.tip() == commit == train.world.refs()["demo/one/landed"]
    assert train.checkout.git("status", "--porcelain") == ""
    assert recover(train.fleet.repository, print) == ()


def test_killed_before_the_push_it_did_not_happen(train: TrainFixture, bare: Checkout) -> None:
    commit, intent = candidate(train)
    assert recover(train.fleet.repository, print) == ("took back a landing of one that had not started",)
    assert train.tip() == intent.old == tip(bare)
    assert "demo/one/candidate" not in train.world.refs()
    assert train.merge(push=True, agents=["one"]).landed[0].commit == commit


def test_landed_there_while_somebody_moved_the_target_here(train: TrainFixture, bare: Checkout) -> None:
    commit, _ = candidate(train)
    train.checkout.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    train.checkout.commit("mine", {"mine": "1\n"})
    with pytest.raises(GroundError, match="one landed on origin, but main moved here") as refused:
        recover(train.fleet.repository, print)
    assert "git pull --no-rebase origin main" in str(refused.value.hint)
    train.checkout.git("pull", "-q", "--rebase", "origin", "main")
    assert recover(train.fleet.repository, print) == ("finished landing one",)
    assert train.world.refs()["demo/one/landed"] == commit
    assert train.checkout.git("status", "--porcelain") == ""


def test_a_push_runs_the_persons_pre_push_hook(train: TrainFixture, bare: Checkout) -> None:
    hook = train.checkout.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho ran >'{train.checkout.path}/hook-ran'\n", "utf-8")
    hook.chmod(0o755)
    train.approved(one={"a": "1\n"})
    assert landed(train.merge(push=True)) == ["one"]
    assert (train.checkout.path / "hook-ran").exists()


def test_a_pre_push_hook_that_fails_lands_nothing(train: TrainFixture, bare: Checkout) -> None:
    hook = train.checkout.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'cannot upload' >&2; exit 1\n", "utf-8")
    hook.chmod(0o755)
    train.approved(one={"a": "1\n"})
    before = train.tip()
    assert "cannot upload" in reasons(train.merge(push=True))["one"]
    assert train.tip() == before


def test_a_branch_that_the_remote_deleted_is_not_made_there_again(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    assert landed(train.merge(agents=["one"], push=True)) == ["one"]
    bare.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(GroundError, match="renamed or deleted"):
        train.merge(push=True)
    assert "refs/heads/main" not in bare.git("for-each-ref")


def test_waiting_for_the_remote_is_reported_before_it_answers(train: TrainFixture, bare: Checkout) -> None:
    train.approved(one={"a": "1\n"})
    texts: list[str] = []
    train.merge(agents=["one"], progress=lambda event: texts.append(event.text))
    assert texts[0] == "fetching main from origin"
