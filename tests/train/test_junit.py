"""A gate that writes JUnit XML: a failure names the test in the report, the JSON, the review and the headline."""

from __future__ import annotations

import json

from orchestra.blueprint.model import RunGate
from orchestra.review.agent_review import review_agent
from orchestra.review.eviction import last_eviction
from tests.gates.branches import github_token
from tests.train.train_fixture import TrainFixture, landed

# Writes its report in the slot, and is red while a file is named broken.
CASE = '<testcase classname="shop" name="adds" file="t.py"><failure message="1 is not 2"/></testcase>'
COMMAND = f"mkdir -p out; [ ! -e broken ] && exit 0; echo '<testsuite>{CASE}</testsuite>' >out/a.xml; exit 1"
NAMED = "shop.adds (t.py): 1 is not 2"


def test_a_red_gate_names_the_tests_of_its_report(train: TrainFixture) -> None:
    train.gates(RunGate("tests", COMMAND, 60.0, junit="out/*.xml"))
    report = train.approved(one={"fine": "1"}, two={"broken": "1"}).merge()
    assert landed(report) == ["one"]
    (evicted,) = report.evicted
    assert evicted.detail.endswith(f"passes without it; fails: {NAMED}")
    test = {"name": "shop.adds", "file": "t.py", "message": "1 is not 2"}
    assert json.loads(json.dumps(report.to_json()))["evicted"][0]["failed_tests"] == [test]
    (record,) = review_agent(train.fleet, train.fleet.require_agent("two")).gates
    assert record.failed_tests == (NAMED,)


def test_a_merge_names_the_tests_that_its_rehearsal_saw_fail(train: TrainFixture) -> None:
    train.gates(RunGate("tests", COMMAND, 60.0, junit="out/*.xml"))
    train.approved(one={"fine": "1"}, two={"broken": "1"})
    (rehearsed,) = train.rehearse(agents=["one", "two"]).evicted
    report = train.merge()
    (evicted,) = report.evicted
    assert report.tests_run == 0
    assert rehearsed.detail.endswith(f"; fails: {NAMED}")
    assert evicted.detail.endswith(f"; fails: {NAMED}")
    assert evicted.failed_tests == rehearsed.failed_tests


def test_a_red_gate_without_a_report_names_the_tests_in_its_log(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "[ ! -e broken ] || { echo 'FAILED tests/test_a.py::test_b - 1'; exit 1; }", 60.0))
    (evicted,) = train.approved(one={"broken": "1"}).merge().evicted
    assert evicted.detail.endswith("passes without it; fails: tests/test_a.py::test_b")


def test_the_headline_names_the_tests_that_fail_on_the_target(train: TrainFixture) -> None:
    train.checkout.commit("break it", {"broken": "1"})
    train.gates(RunGate("tests", COMMAND, 60.0, junit="out/*.xml"))
    report = train.approved(one={"fine": "1"}).merge()
    assert report.headline.startswith("main itself fails `tests`")
    assert NAMED in report.headline


def test_a_report_that_the_branch_committed_names_nothing(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "sleep 2; [ ! -e broken ]", 60.0, junit="out/*.xml"))
    text = '<testsuite><testcase name="made up"><failure/></testcase></testsuite>'
    (evicted,) = train.approved(two={"broken": "1", "out/a.xml": text}).merge().evicted
    assert evicted.failed_tests == ()


def test_a_secret_that_a_gate_prints_is_quoted_in_no_report(train: TrainFixture) -> None:
    token = github_token()
    report_file = f'<testsuite><testcase name="adds"><failure message="got {token}"/></testcase></testsuite>'
    command = "[ ! -e broken ] && exit 0; mkdir -p out; cp broken out/a.xml; echo error: $(cat broken); exit 1"
    train.gates(RunGate("tests", command, 60.0, junit="out/*.xml"))
    (evicted,) = train.approved(one={"broken": report_file}).merge().evicted
    assert evicted.failed_tests
    assert evicted.log is not None
    texts = [
        evicted.detail,
        str(evicted.failed_tests),
        str(last_eviction(train.fleet, train.fleet.require_agent("one"))),
    ]
    texts += [path.read_text("utf-8") for path in (train.fleet.folder / "gates").glob("*.txt")]
    assert not any(token in text for text in texts)
    assert any("[secret " in text for text in texts)
