"""A gate is the agents' code and may reach the repository: one that moves the target itself is noticed and named."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import RunGate
from orchestra.errors import GroundError
from tests.train.train_fixture import TESTS, Train, TrainFixture, landed, reasons

MOVE = "git update-ref refs/heads/main HEAD"


@pytest.mark.parametrize("end", ["true", "false"], ids=["green", "red"])
@pytest.mark.parametrize("policy", [Train.SERIAL, Train.AUTO])
def test_a_gate_that_puts_its_own_candidate_on_the_target(train: TrainFixture, end: str, policy: Train) -> None:
    """Nothing is called landed by that, neither now nor by a later command, and what to type is said."""
    train.approved(one={"a": "1\n"}, two={"b": "2\n"}).merge_settings(train=policy)
    train.gates(RunGate("tests", f"test -e README.md && {{ {MOVE}; {end}; }}"))
    before = train.tip()
    report = train.merge()
    assert landed(report) == [] and report.evicted == ()
    assert "not by this train" in reasons(report)["one"]
    assert f"git update-ref refs/heads/main {before}" in reasons(report)["one"]
    train.gates(RunGate("tests", TESTS))
    with pytest.raises(GroundError, match="local changes in files"):  # the checkout shows what main held
        train.merge()
    assert [ref for ref in train.world.refs() if ref.endswith(("/landed", "/candidate"))] == []
    train.checkout.git("update-ref", "refs/heads/main", before)
    assert landed(train.merge()) == ["one", "two"]


def test_in_a_rehearsal_too(train: TrainFixture) -> None:
    train.gates(RunGate("tests", MOVE)).approved(one={"a": "1\n"})
    assert "not by this train" in reasons(train.rehearse())["one"]


def test_a_gate_that_moves_the_target_elsewhere_is_built_upon_as_a_persons_commit_is(train: TrainFixture) -> None:
    """Nobody can tell it from a person's; what it put there was on no branch, and the train tests what it lands."""
    train.approved(one={"a": "1\n"})
    commit = 'git -c user.name=x -c user.email=x@x commit-tree -p main -m stranger "main^{tree}"'
    train.gates(RunGate("tests", f"test -e '{train.checkout.path}/done' || {{ touch '{train.checkout.path}/done'; "
                                f'git update-ref refs/heads/main "$({commit})"; }}'))  # fmt: skip
    report = train.merge()
    assert landed(report) == ["one"]
    assert train.checkout.git("log", "--format=%s", "main").splitlines()[:2] == ["one works", "stranger"]
