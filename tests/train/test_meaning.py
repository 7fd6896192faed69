"""Merges that are clean as text and wrong, or right for the wrong reason (facts/merge.md 5, 24 and 26)."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Guarantee, Limits, RunGate
from tests.conftest import MakeRepository
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons

# Red when something is broken and nothing mends it, or when two migrations have one number.
MENDED = "test ! -e broken || test -e mended"
NUMBERS = "test -z \"$(ls | grep -o '^[0-9][0-9]*_' | sort | uniq -d)\""


def masked(make_repository: MakeRepository, policy: Train, guarantee: Guarantee) -> TrainFixture:
    train = make_train(make_repository({"f": "\n"}), "breaks", "mends")
    train.gates(RunGate("tests", MENDED)).blueprint(limits=Limits(gates=2))
    train.merge_settings(train=policy, guarantee=guarantee)
    return train.approved(breaks={"broken": "\n"}, mends={"mended": "\n"})


@pytest.mark.parametrize("policy", [Train.BATCH, Train.AUTO])
def test_24_what_a_later_one_mends_lands_with_it_where_the_tip_counts(
    make_repository: MakeRepository, policy: Train
) -> None:
    assert set(landed(masked(make_repository, policy, Guarantee.TIP_GREEN).merge())) == {"breaks", "mends"}


def test_24_and_is_stopped_where_each_step_counts(make_repository: MakeRepository) -> None:
    report = masked(make_repository, Train.AUTO, Guarantee.STEP_GREEN).merge()
    assert (landed(report), reasons(report)) == (["mends"], {"breaks": "gate"})


@pytest.mark.parametrize("first", ["one", "two"])
def test_24_lines_added_at_one_place_are_a_conflict_in_either_order(
    make_repository: MakeRepository, first: str
) -> None:
    second = {"one": "two", "two": "one"}[first]
    train = make_train(make_repository({"f": "top\nbottom\n"}), first, second)
    train.approved(one={"f": "top\none\nbottom\n"}, two={"f": "top\ntwo\nbottom\n"})
    report = train.merge()
    assert (landed(report), reasons(report)) == ([first], {second: "conflict"})
    assert report.evicted[0].with_ == (first,)


def test_26_two_migrations_with_one_number(make_repository: MakeRepository) -> None:
    """No path in common and no line: only the gate sees it, and each is green alone."""
    train = make_train(make_repository({"001_first": "\n"}), "users", "other", "orders")
    train.gates(RunGate("tests", NUMBERS))
    train.approved(users={"002_users": "\n"}, other={"other": "\n"}, orders={"002_orders": "\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("orders", "logical-conflict", ("users",))
