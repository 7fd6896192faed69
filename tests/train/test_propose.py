"""Proposals on the way: made after an eviction, tested, offered, taken by a person, and landed like any other work."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Proposer
from orchestra.review.verdicts import approve
from orchestra.train.outcome import MergeReport, Offer
from tests.conftest import MakeRepository
from tests.train.yard import Yard, landed, make_yard, reasons

BASE = "".join(f"line {n}\n" for n in range(1, 31))


def said(text: str) -> str:
    """The file with two lines changed."""
    return BASE.replace("line 5\n", f"line 5 {text}\n").replace("line 20\n", f"line 20 {text}\n")


@pytest.fixture
def yard(make_repository: MakeRepository) -> Yard:
    """Two agents whose work conflicts in one file; rerere and mergiraf may propose."""
    yard = make_yard(make_repository({"f.txt": BASE, "other": "x\n"}), "one", "two")
    yard.merge_settings(proposals=(Proposer.RERERE, Proposer.MERGIRAF))
    return yard.approved(one={"f.txt": said("one"), "a": "1\n"}, two={"f.txt": said("two"), "b": "2\n"})


def remember(yard: Yard, text: str = said("both"), path: str = "f.txt") -> None:
    """A person has merged the two by hand, elsewhere, and git remembers how."""
    checkout = yard.checkout
    checkout.git("config", "rerere.enabled", "true")
    checkout.git("switch", "--quiet", "--detach", "agent/demo/one")
    checkout.git("merge", "--quiet", "agent/demo/two", ok=False)
    checkout.write({path: text})
    checkout.git("commit", "--quiet", "--all", "--message", "by hand")
    checkout.git("switch", "--quiet", "main")


def offer(report: MergeReport, name: str = "two") -> Offer:
    (found,) = [item.proposal for item in report.evicted if item.agent == name]
    assert found is not None
    return found


def take(yard: Yard, name: str = "two") -> None:
    approve(yard.fleet, yard.fleet.require_agent(name), proposal=True)


def test_a_proposal_is_tested_offered_taken_and_lands(yard: Yard) -> None:
    remember(yard)
    head = yard.tip("agent/demo/two")
    report = yard.merge()
    assert (landed(report), reasons(report)) == (["one"], {"two": "conflict"})
    found = offer(report)
    assert found.detail == (
        "a proposal by rerere resolves f.txt; its gates passed; see: orchestra review two --proposal; "
        "take it: orchestra approve two --proposal"
    )
    assert found.commit == yard.world.refs()["demo/two/proposed"]
    checkout = yard.checkout
    assert checkout.git("rev-parse", f"{found.commit}^@").split() == [head, yard.tip()]
    assert checkout.read("f.txt", found.commit) == said("both").rstrip()
    assert yard.tip("agent/demo/two") == head
    again = yard.merge(accept_finished=True)
    assert (landed(again), offer(again)) == ([], found)
    take(yard)
    last = yard.merge()
    assert landed(last) == ["two"]
    assert checkout.read("f.txt", "main") == said("both").rstrip()
    assert checkout.read("b", "main") == "2"
    assert "demo/two/proposed" not in yard.world.refs()
    assert yard.tip("agent/demo/two") == head
