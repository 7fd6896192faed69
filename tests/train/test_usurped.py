"""A gate is the agents' code and may reach the repository: one that moves the target itself is noticed and named."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import RunGate
from orchestra.errors import GroundError
from tests.train.yard import TESTS, Train, Yard, landed, reasons

MOVE = "git update-ref refs/heads/main HEAD"


@pytest.mark.parametrize("end", ["true", "false"], ids=["green", "red"])
@pytest.mark.parametrize("policy", [Train.SERIAL, Train.AUTO])
def test_a_gate_that_puts_its_own_candidate_on_the_target(yard: Yard, end: str, policy: Train) -> None:
    """Nothing is called landed by that, neither now nor by a later command, and what to type is said."""
    yard.approved(one={"a": "1\n"}, two={"b": "2\n"}).merge_settings(train=policy)
    yard.gates(RunGate("tests", f"test -e README.md && {{ {MOVE}; {end}; }}"))
    before = yard.tip()
    report = yard.merge()
    assert landed(report) == [] and report.evicted == ()
    assert "not by this train" in reasons(report)["one"]
    assert f"git update-ref refs/heads/main {before}" in reasons(report)["one"]
    yard.gates(RunGate("tests", TESTS))
    with pytest.raises(GroundError, match="in the way"):  # the person's checkout does not show what main holds now
        yard.merge()
    assert [ref for ref in yard.world.refs() if ref.endswith(("/landed", "/candidate"))] == []
    yard.checkout.git("update-ref", "refs/heads/main", before)
    assert landed(yard.merge()) == ["one", "two"]


def test_in_a_rehearsal_too(yard: Yard) -> None:
    yard.gates(RunGate("tests", MOVE)).approved(one={"a": "1\n"})
    assert "not by this train" in reasons(yard.rehearse())["one"]


def test_a_gate_that_moves_the_target_elsewhere_is_built_upon_as_a_persons_commit_is(yard: Yard) -> None:
    """Nobody can tell it from a person's; what it put there was on no branch, and the train tests what it lands."""
    yard.approved(one={"a": "1\n"})
    commit = 'git -c user.name=x -c user.email=x@x commit-tree -p main -m stranger "main^{tree}"'
    yard.gates(RunGate("tests", f"test -e '{yard.checkout.path}/done' || {{ touch '{yard.checkout.path}/done'; "
                                f'git update-ref refs/heads/main "$({commit})"; }}'))  # fmt: skip
    report = yard.merge()
    assert landed(report) == ["one"]
    assert yard.checkout.git("log", "--format=%s", "main").splitlines()[:2] == ["one works", "stranger"]
