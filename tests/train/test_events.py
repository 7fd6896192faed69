"""What a train tells while it runs, held to its schema; and that every agent's end is told as the report has it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator

from orchestra.blueprint.model import Limits, RunGate
from orchestra.train.events import KINDS, TrainEvent
from orchestra.train.train_report import MergeReport
from tests.conftest import MakeRepository
from tests.train.train_fixture import TESTS, Train, TrainFixture, make_train

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/train-event.schema.json").read_text("utf-8"))


def heard(train: TrainFixture) -> tuple[list[TrainEvent], MergeReport]:
    """The events of a merge, each one checked as the line that ``--events`` makes of it."""
    events: list[TrainEvent] = []
    report = train.merge(progress=events.append)
    Draft202012Validator.check_schema(SCHEMA)
    for event in events:
        Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(event.to_json())))
    return events, report


def of_kind(events: list[TrainEvent], kind: str) -> list[TrainEvent]:
    return [event for event in events if event.kind == kind]


def test_the_schema_knows_every_kind() -> None:
    assert tuple(SCHEMA["properties"]["kind"]["enum"]) == KINDS
    assert [rule["if"]["properties"]["kind"]["const"] for rule in SCHEMA["allOf"]] == list(KINDS)


def test_one_lands_one_is_red_one_conflicts_one_is_blocked(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"README.md": "# sample\n"}), "one", "two", "three", "four", "five")
    train.after(four=("two",)).blueprint(limits=Limits(gates=2)).merge_settings(train=Train.SPECULATIVE)
    train.approved(
        one={"README.md": "# one\n"},
        two={"b.txt": "RED\n"},
        three={"README.md": "# three\n"},
        four={"d": "4\n"},
    )
    events, report = heard(train)
    results = {
        kind: {event.agents[0] for event in of_kind(events, kind)}
        for kind in ("landed", "evicted", "blocked", "waiting")
    }
    assert results["landed"] == {item.agent for item in report.landed} == {"one"}
    assert results["evicted"] == {item.agent for item in report.evicted} == {"two", "three"}
    assert results["blocked"] == {item.agent for item in report.blocked} == {"four"}
    assert results["waiting"] == {item.agent for item in report.waiting} == {"five"}
    (begun,) = of_kind(events, "train.started")
    assert (begun.agents, begun.data["slots"], begun.data["rehearsed"]) == (("one", "two", "three", "four"), 2, False)


def test_every_run_that_begins_ends_and_keeps_its_number_and_slot(train: TrainFixture) -> None:
    train.merge_settings(train=Train.SPECULATIVE).approved(one={"a": "1\n"}, two={"b.txt": "RED\n"}, three={"c": "1\n"})
    events, report = heard(train)
    begun = {event.data["run"]: event for event in of_kind(events, "test.started")}
    ended = {event.data["run"]: event for event in of_kind(events, "test.finished")}
    assert len(begun) == report.tests_run
    assert begun.keys() <= ended.keys()
    for event in (*of_kind(events, "gate.started"), *of_kind(events, "gate.finished")):
        run = begun[event.data["run"]]
        assert (event.data["slot"], event.data["commit"]) == (run.data["slot"], run.data["commit"])


def test_what_a_command_usually_takes_is_told_once_it_was_measured(train: TrainFixture) -> None:
    train.gates(RunGate("lint", "true", timeout_s=60.0), RunGate("tests", TESTS, timeout_s=60.0))
    train.setup(run=("true", "true")).approved(one={"a": "1\n"}, two={"b": "2\n"})
    events, _ = heard(train)
    told = [
        (e.data["gate"], e.data["step"], e.data["steps"], e.data["expected_s"]) for e in of_kind(events, "gate.started")
    ]
    assert told[:4] == [("setup", 1, 2, None), ("setup", 2, 2, None), ("lint", 1, 2, None), ("tests", 2, 2, None)]
    assert [step[:3] for step in told[4:]] == [("lint", 1, 2), ("tests", 2, 2)]
    assert all(isinstance(usual, float) for _, _, _, usual in told[4:])


def test_what_passed_before_is_told_as_such(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.rehearse()
    events, report = heard(train)
    assert report.tests_run == 0
    assert [event.data["cached"] for event in of_kind(events, "test.finished")] == [True]


def test_looking_for_a_reason_is_told_with_the_agents_name(train: TrainFixture) -> None:
    train.approved(one={"left.txt": "1\n"}, two={"right.txt": "1\n"})
    events, report = heard(train)
    assert [item.reason for item in report.evicted] == ["logical-conflict"]
    asked = [event for event in of_kind(events, "test.finished") if event.data["purpose"] == "explain"]
    assert {event.agents for event in asked} == {("two",)}


def test_the_page_lists_what_the_schema_has() -> None:
    page = (Path(__file__).parents[2] / "docs/train.md").read_text("utf-8")
    rows = [
        line.split("|")[1:4] for line in page.partition("<!-- events -->")[2].splitlines() if line.startswith("| `")
    ]
    documented = {kind.strip(" `"): set(re.findall(r"`(\w+)`", data)) for kind, _, data in rows}
    rules = {rule["if"]["properties"]["kind"]["const"]: rule["then"]["properties"]["data"] for rule in SCHEMA["allOf"]}
    assert documented == {kind: set(data["properties"]) for kind, data in rules.items()}


def test_the_example_on_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/train.md").read_text("utf-8")
    lines = page.partition("```json\n")[2].partition("```")[0].splitlines()
    assert lines
    for line in lines:
        Draft202012Validator(SCHEMA).validate(json.loads(line))
