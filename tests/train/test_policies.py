"""Every policy on real repositories: the same work lands, and only the number of test runs differs."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Guarantee, Limits, RunGate
from tests.conftest import MakeRepository
from tests.train.train_fixture import TESTS, Strategy, Train, TrainFixture, landed, make_train, reasons

NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def six(make_repository: MakeRepository) -> TrainFixture:
    """c is red alone; b and e conflict in text; the rest is fine."""
    train = make_train(make_repository({"README.md": "# sample\n"}), *NAMES)
    files = {name: {f"{name}.new": f"{name}\n"} for name in NAMES}
    files["c"] = {"c.txt": "RED\n"}
    files["b"] = files["e"] = {"README.md": "# b\n"}
    files["e"] = {"README.md": "# e\n"}
    return train.approved(**files)


@pytest.mark.parametrize(
    ("policy", "guarantee", "slots"),
    [
        (Train.SERIAL, Guarantee.TIP_GREEN, 1),
        (Train.SPECULATIVE, Guarantee.TIP_GREEN, 3),
        (Train.BATCH, Guarantee.TIP_GREEN, 1),
        (Train.AUTO, Guarantee.TIP_GREEN, 1),
        (Train.AUTO, Guarantee.TIP_GREEN, 3),
        (Train.AUTO, Guarantee.STEP_GREEN, 2),
    ],
)
def test_the_same_work_lands(six: TrainFixture, policy: Train, guarantee: Guarantee, slots: int) -> None:
    six.merge_settings(train=policy, guarantee=guarantee).blueprint(limits=Limits(gates=slots))
    before = six.tip()
    report = six.merge()
    assert sorted(landed(report)) == ["a", "b", "d", "f"]
    assert reasons(report) == {"c": "gate", "e": "conflict"}
    assert six.checkout.git("status", "--porcelain") == ""
    shape = "--format=%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
    assert six.checkout.git("log", "--reverse", shape, f"{before}..main").split() == landed(report)


@pytest.mark.parametrize("strategy", [Strategy.SQUASH, Strategy.MERGE])
@pytest.mark.parametrize("policy", list(Train))
def test_every_policy_with_every_strategy(make_repository: MakeRepository, policy: Train, strategy: Strategy) -> None:
    """bad is red alone, late conflicts with early; rebase is what all the other tests use."""
    train = make_train(make_repository({"README.md": "# sample\n"}), "early", "bad", "late", "last")
    train.approved(early={"README.md": "# early\n"}, bad={"c.txt": "RED\n"}, late={"README.md": "# late\n"})
    train.approved(last={"last": "1\n"}).merge_settings(train=policy, strategy=strategy)
    train.commit("last", {"last": "2\n"})
    train.approve("last")
    before = train.tip()
    report = train.merge()
    assert landed(report) == ["early", "last"]
    assert reasons(report) == {"bad": "gate", "late": "conflict"}
    assert [out.with_ for out in report.evicted if out.agent == "late"] == [("early",)]
    own = train.checkout.git("log", "--first-parent", "--format=%H", f"{before}..main").splitlines()
    assert len(own) == 2, "one commit for each agent on the first-parent line"
    assert {len(train.checkout.git("log", "-1", "--format=%P", one).split()) for one in own} == {
        2 if strategy is Strategy.MERGE else 1
    }
    assert (train.checkout.path / "last").read_text("utf-8") == "2\n"
    assert train.checkout.git("status", "--porcelain") == ""


def test_batch_lands_all_that_is_green_with_one_test(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"README.md": "# sample\n"}), *NAMES)
    train.approved(**{name: {f"{name}.new": "1\n"} for name in NAMES}).merge_settings(train=Train.BATCH)
    report = train.merge()
    assert landed(report) == list(NAMES)
    assert report.tests_run == 1
    assert len(train.checkout.git("reflog", "show", "main").splitlines()) == 2


def test_step_green_tests_every_step(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"README.md": "# sample\n"}), *NAMES)
    train.approved(**{name: {f"{name}.new": "1\n"} for name in NAMES})
    train.merge_settings(train=Train.AUTO, guarantee=Guarantee.STEP_GREEN)
    report = train.merge()
    assert landed(report) == list(NAMES)
    assert report.tests_run == len(NAMES)


def test_a_pair_that_is_red_together_lands_only_one(make_repository: MakeRepository) -> None:
    for policy in (Train.SERIAL, Train.AUTO):
        train = make_train(make_repository({"README.md": "x\n"}, name=f"{policy}/repo"), "left", "right", "more")
        train.approved(left={"left.txt": "l\n"}, right={"right.txt": "r\n"}, more={"more": "1\n"})
        train.merge_settings(train=policy).blueprint(limits=Limits(gates=3))
        report = train.merge()
        assert len(report.landed) == 2, policy
        assert len(report.evicted) == 1, policy


def test_no_gates_at_all(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"README.md": "x\n"}), "one", "two")
    train.gates().approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge()
    assert landed(report) == ["one", "two"]
    assert report.tests_run == 0


def test_a_test_that_nobody_wants_any_more_is_ended(make_repository: MakeRepository) -> None:
    """a is red at once; what was built on it would wait for ever."""
    train = make_train(make_repository({"README.md": "x\n"}), "a", "b", "c")
    hangs = f"if [ -e a.txt ] && [ -e b.new ]; then exec tail -f /dev/null; fi; {TESTS}"
    train.gates(RunGate("tests", hangs, timeout_s=60))
    train.approved(a={"a.txt": "RED\n"}, b={"b.new": "1\n"}, c={"c.new": "1\n"})
    train.merge_settings(train=Train.SPECULATIVE).blueprint(limits=Limits(gates=3))
    report = train.merge()
    assert landed(report) == ["b", "c"]
    assert reasons(report) == {"a": "gate"}
