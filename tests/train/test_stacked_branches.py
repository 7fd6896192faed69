"""Branches begun on one another, in a train: fault 7 of docs/replay.md and what follows from it."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName, Limits
from orchestra.git.refs import Kind, agent_ref
from tests.conftest import MakeRepository
from tests.train.yard import Strategy, Train, Yard, landed, make_yard, reasons


def begin_on(yard: Yard, name: str, below: str, *, recorded: bool = True) -> None:
    """``name``'s branch starts at ``below``'s tip; ``recorded``: and so does its base."""
    tip = yard.world.at(below).git("rev-parse", "HEAD")
    yard.world.at(name).git("reset", "-q", "--hard", tip)
    if recorded:
        yard.checkout.git("update-ref", agent_ref(yard.fleet.name, AgentName(name), Kind.BASE), tip)


def stacked(make_repository: MakeRepository, strategy: Strategy, *order: str, recorded: bool = True) -> Yard:
    """``two`` on ``one`` and ``three`` on ``two``, each changing the line that the one below wrote."""
    yard = make_yard(make_repository({"f": "base\n"}), *order)
    yard.merge_settings(strategy=strategy, train=Train.AUTO).blueprint(limits=Limits(gates=2))
    yard.approved(one={"f": "one\n"})
    begin_on(yard, "two", "one", recorded=recorded)
    yard.approved(two={"f": "two\n"})
    begin_on(yard, "three", "two", recorded=recorded)
    return yard.approved(three={"f": "three\n"})


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_stack_lands_in_one_train(make_repository: MakeRepository, strategy: Strategy) -> None:
    yard = stacked(make_repository, strategy, "one", "two", "three")
    report = yard.merge()
    assert landed(report) == ["one", "two", "three"], reasons(report)
    assert yard.checkout.git("show", "main:f") == "three"
    assert yard.checkout.git("status", "--porcelain") == ""


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_stack_lands_one_train_after_the_other(make_repository: MakeRepository, strategy: Strategy) -> None:
    yard = stacked(make_repository, strategy, "one", "two", "three")
    for name in ("one", "two", "three"):
        assert landed(yard.merge(agents=[name])) == [name]
    assert yard.checkout.git("show", "main:f") == "three"


def test_an_agent_that_began_on_a_neighbour_by_itself(make_repository: MakeRepository) -> None:
    """Its recorded base is the target's: all of the stack counts as its own, and merging leaves out what landed."""
    yard = stacked(make_repository, Strategy.MERGE, "one", "two", "three", recorded=False)
    yard.after(two=("one",), three=("two",))
    assert landed(yard.merge()) == ["one", "two", "three"]
    assert yard.checkout.git("log", "--format=%s", "--no-merges", "main").count("one works") == 1


def test_merge_lands_a_stack_from_below_whatever_the_declared_order(make_repository: MakeRepository) -> None:
    yard = stacked(make_repository, Strategy.MERGE, "three", "two", "one")
    assert landed(yard.merge()) == ["one", "two", "three"]


def test_merge_holds_back_who_was_begun_on_one_that_does_not_land(make_repository: MakeRepository) -> None:
    """It has done nothing wrong, so it is not evicted; and its commits cannot land without those below."""
    yard = stacked(make_repository, Strategy.MERGE, "one", "two", "three")
    yard.commit("one", {"red.txt": "RED\n"})
    yard.approve("one")
    assert reasons(yard.merge()) == {"one": "gate", "two": "blocked by one", "three": "blocked by one"}


def test_merge_waits_for_who_made_what_it_was_begun_on_not_for_who_merged_it(make_repository: MakeRepository) -> None:
    yard = make_yard(make_repository({"f": "base\n"}), "one", "merger", "two").merge_settings(strategy=Strategy.MERGE)
    yard.approved(one={"f": "one\n"})
    begin_on(yard, "two", "one")
    yard.commit("merger", {"red.txt": "RED\n"})
    yard.world.at("merger").git("merge", "-q", "--no-edit", "agent/demo/one")
    yard.approve("merger")
    report = yard.approved(two={"g": "two\n"}).merge()
    assert landed(report) == ["one", "two"], reasons(report)
    assert reasons(report) == {"merger": "gate"}
