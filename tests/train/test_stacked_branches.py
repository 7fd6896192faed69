"""Branches begun on one another, in a train: fault 7 of docs/replay.md and what follows from it."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName, Limits
from orchestra.git.refs import Kind, agent_ref
from tests.conftest import MakeRepository
from tests.train.train_fixture import Strategy, Train, TrainFixture, landed, make_train, reasons


def begin_on(train: TrainFixture, name: str, below: str, *, recorded: bool = True) -> None:
    """``name``'s branch starts at ``below``'s tip; ``recorded``: and so does its base."""
    tip = train.world.at(below).git("rev-parse", "HEAD")
    train.world.at(name).git("reset", "-q", "--hard", tip)
    if recorded:
        train.checkout.git("update-ref", agent_ref(train.fleet.name, AgentName(name), Kind.BASE), tip)


def stacked(make_repository: MakeRepository, strategy: Strategy, *order: str, recorded: bool = True) -> TrainFixture:
    """``two`` on ``one`` and ``three`` on ``two``, each changing the line that the one below wrote."""
    train = make_train(make_repository({"f": "base\n"}), *order)
    train.merge_settings(strategy=strategy, train=Train.AUTO).blueprint(limits=Limits(gates=2))
    train.approved(one={"f": "one\n"})
    begin_on(train, "two", "one", recorded=recorded)
    train.approved(two={"f": "two\n"})
    begin_on(train, "three", "two", recorded=recorded)
    return train.approved(three={"f": "three\n"})


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_stack_lands_in_one_train(make_repository: MakeRepository, strategy: Strategy) -> None:
    train = stacked(make_repository, strategy, "one", "two", "three")
    report = train.merge()
    assert landed(report) == ["one", "two", "three"], reasons(report)
    assert train.checkout.git("show", "main:f") == "three"
    assert train.checkout.git("status", "--porcelain") == ""


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_stack_lands_one_train_after_the_other(make_repository: MakeRepository, strategy: Strategy) -> None:
    train = stacked(make_repository, strategy, "one", "two", "three")
    for name in ("one", "two", "three"):
        assert landed(train.merge(agents=[name])) == [name]
    assert train.checkout.git("show", "main:f") == "three"


def test_an_agent_that_began_on_a_neighbour_by_itself(make_repository: MakeRepository) -> None:
    """Its recorded base is the target's: all of the stack counts as its own, and merging leaves out what landed."""
    train = stacked(make_repository, Strategy.MERGE, "one", "two", "three", recorded=False)
    train.after(two=("one",), three=("two",))
    assert landed(train.merge()) == ["one", "two", "three"]
    assert train.checkout.git("log", "--format=%s", "--no-merges", "main").count("one works") == 1


def test_merge_lands_a_stack_from_below_whatever_the_declared_order(make_repository: MakeRepository) -> None:
    train = stacked(make_repository, Strategy.MERGE, "three", "two", "one")
    assert landed(train.merge()) == ["one", "two", "three"]


def test_merge_holds_back_who_was_begun_on_one_that_does_not_land(make_repository: MakeRepository) -> None:
    """It has done nothing wrong, so it is not evicted; and its commits cannot land without those below."""
    train = stacked(make_repository, Strategy.MERGE, "one", "two", "three")
    train.commit("one", {"red.txt": "RED\n"})
    train.approve("one")
    assert reasons(train.merge()) == {"one": "gate", "two": "blocked by one", "three": "blocked by one"}


def test_merge_waits_for_who_made_what_it_was_begun_on_not_for_who_merged_it(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"f": "base\n"}), "one", "merger", "two").merge_settings(strategy=Strategy.MERGE)
    train.approved(one={"f": "one\n"})
    begin_on(train, "two", "one")
    train.commit("merger", {"red.txt": "RED\n"})
    train.world.at("merger").git("merge", "-q", "--no-edit", "agent/demo/one")
    train.approve("merger")
    report = train.approved(two={"g": "two\n"}).merge()
    assert landed(report) == ["one", "two"], reasons(report)
    assert reasons(report) == {"merger": "gate"}
