"""Faults of the train that replaying real histories showed (docs/replay.md), each made small."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Builtin, BuiltinGate, Scope
from orchestra.git.refs import Kind, agent_ref
from orchestra.review.agent_review import review_agent
from tests.train.yard import Yard, landed, reasons


@pytest.fixture
def stacked(yard: Yard) -> Yard:
    """``two`` was begun on ``one``'s commit, which is its recorded base and lands under another name."""
    yard.agent("one", scope=Scope(("one/**",))).agent("two", scope=Scope(("two/**",)))
    yard.gates(BuiltinGate("scope", Builtin.SCOPE))
    yard.approved(one={"one/a": "1\n"})
    below = yard.world.at("one").git("rev-parse", "HEAD")
    yard.world.at("two").git("reset", "-q", "--hard", below)
    base = agent_ref(yard.fleet.name, yard.fleet.require_agent("two").name, Kind.BASE)
    yard.checkout.git("update-ref", base, below)
    yard.commit("two", {"two/b": "2\n"})
    yard.approve("two")
    return yard


def test_scope_is_judged_from_the_recorded_base_not_from_what_it_was_begun_on(stacked: Yard) -> None:
    report = stacked.merge()

    assert landed(report) == ["one", "two"]
    assert reasons(report) == {"three": "no verdict"}


def test_scope_holds_for_a_branch_begun_on_another(stacked: Yard) -> None:
    stacked.commit("two", {"one/b": "not two's\n"})
    stacked.approve("two")

    report = stacked.merge()

    assert reasons(report)["two"] == "scope"
    assert "one/b is outside" in report.evicted[0].detail
    assert "one/a" not in report.evicted[0].detail


def test_review_shows_what_the_train_judges(stacked: Yard) -> None:
    shown = review_agent(stacked.fleet, stacked.fleet.require_agent("two"))

    assert [change.path for change in shown.changes] == ["two/b"]
    assert [commit.subject for commit in shown.commits] == ["two works"]
    assert shown.findings == ()


def test_what_a_rewritten_target_dropped_is_nobodys_fault(yard: Yard) -> None:
    yard.checkout.commit("dropped later", {"dropped": "1\n"})
    base = yard.tip()
    yard.world.at("one").git("reset", "-q", "--hard", base)
    agent = yard.fleet.require_agent("one")
    yard.checkout.git("update-ref", agent_ref(yard.fleet.name, agent.name, Kind.BASE), base)
    yard.agent("one", scope=Scope(("one/**",))).gates(BuiltinGate("scope", Builtin.SCOPE))
    yard.approved(one={"one/a": "1\n"})
    yard.checkout.git("reset", "-q", "--hard", "HEAD~")

    report = yard.merge()

    assert landed(report) == ["one"]
    assert yard.checkout.git("ls-tree", "-r", "--name-only", "main").split() == ["README.md", "one/a"]


def test_nobody_is_evicted_for_a_conflict_while_those_before_it_are_held(yard: Yard) -> None:
    """The target is red, ``one`` waits for the mend; ``two`` was begun on ``one`` and does not fit without it."""
    yard.checkout.commit("red", {"red.txt": "RED\n", "f": "base\n"})
    for name in ("one", "two", "three"):
        yard.world.at(name).git("reset", "-q", "--hard", "main")
        yard.checkout.git("update-ref", f"refs/orchestra/{yard.fleet.name}/{name}/base", "main")
    yard.approved(one={"f": "one\n"}, three={"red.txt": "mended\n"})
    below = yard.world.at("one").git("rev-parse", "HEAD")
    yard.world.at("two").git("reset", "-q", "--hard", below)
    yard.checkout.git("update-ref", f"refs/orchestra/{yard.fleet.name}/two/base", below)
    yard.approved(two={"f": "two\n"})

    report = yard.merge()

    assert landed(report) == ["three", "one", "two"], reasons(report)
    assert yard.checkout.git("show", "main:f") == "two"
