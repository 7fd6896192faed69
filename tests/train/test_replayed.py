"""Faults of the train that replaying real histories showed (docs/replay.md), each made small."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Builtin, BuiltinGate, Scope
from orchestra.git.refs import Kind, agent_ref
from orchestra.review.agent_review import review_agent
from tests.train.train_fixture import TrainFixture, landed, reasons


@pytest.fixture
def stacked(train: TrainFixture) -> TrainFixture:
    """``two`` was begun on ``one``'s commit, which is its recorded base and lands under another name."""
    train.agent("one", scope=Scope(("one/**",))).agent("two", scope=Scope(("two/**",)))
    train.gates(BuiltinGate("scope", Builtin.SCOPE))
    train.approved(one={"one/a": "1\n"})
    below = train.world.at("one").git("rev-parse", "HEAD")
    train.world.at("two").git("reset", "-q", "--hard", below)
    base = agent_ref(train.fleet.name, train.fleet.require_agent("two").name, Kind.BASE)
    train.checkout.git("update-ref", base, below)
    train.commit("two", {"two/b": "2\n"})
    train.approve("two")
    return train


def test_scope_is_judged_from_the_recorded_base_not_from_what_it_was_begun_on(stacked: TrainFixture) -> None:
    report = stacked.merge()

    assert landed(report) == ["one", "two"]
    assert reasons(report) == {"three": "no verdict"}


def test_scope_holds_for_a_branch_begun_on_another(stacked: TrainFixture) -> None:
    stacked.commit("two", {"one/b": "not two's\n"})
    stacked.approve("two")

    report = stacked.merge()

    assert reasons(report)["two"] == "scope"
    assert "one/b is outside" in report.evicted[0].detail
    assert "one/a" not in report.evicted[0].detail


def test_review_shows_what_the_train_judges(stacked: TrainFixture) -> None:
    shown = review_agent(stacked.fleet, stacked.fleet.require_agent("two"))

    assert [change.path for change in shown.changes] == ["two/b"]
    assert [commit.subject for commit in shown.commits] == ["two works"]
    assert shown.preview.scope == ()


def test_what_a_rewritten_target_dropped_is_nobodys_fault(train: TrainFixture) -> None:
    train.checkout.commit("dropped later", {"dropped": "1\n"})
    base = train.tip()
    train.world.at("one").git("reset", "-q", "--hard", base)
    agent = train.fleet.require_agent("one")
    train.checkout.git("update-ref", agent_ref(train.fleet.name, agent.name, Kind.BASE), base)
    train.agent("one", scope=Scope(("one/**",))).gates(BuiltinGate("scope", Builtin.SCOPE))
    train.approved(one={"one/a": "1\n"})
    train.checkout.git("reset", "-q", "--hard", "HEAD~")

    report = train.merge()

    assert landed(report) == ["one"]
    assert train.checkout.git("ls-tree", "-r", "--name-only", "main").split() == ["README.md", "one/a"]


def test_nobody_is_evicted_for_a_conflict_while_those_before_it_are_held(train: TrainFixture) -> None:
    """The target is red, ``one`` waits for the repair; ``two`` is based on ``one`` and does not fit without it."""
    train.checkout.commit("red", {"red.txt": "RED\n", "f": "base\n"})
    for name in ("one", "two", "three"):
        train.world.at(name).git("reset", "-q", "--hard", "main")
        train.checkout.git("update-ref", f"refs/orchestra/{train.fleet.name}/{name}/base", "main")
    train.approved(one={"f": "one\n"}, three={"red.txt": "mended\n"})
    below = train.world.at("one").git("rev-parse", "HEAD")
    train.world.at("two").git("reset", "-q", "--hard", below)
    train.checkout.git("update-ref", f"refs/orchestra/{train.fleet.name}/two/base", below)
    train.approved(two={"f": "two\n"})

    report = train.merge()
    assert (report.landed, report.evicted) == ((), ()), reasons(report)

    assert landed(train.merge(agents=["three"])) == ["three"]
    report = train.merge()
    assert landed(report) == ["one", "two"], reasons(report)
    assert train.checkout.git("show", "main:f") == "two"
