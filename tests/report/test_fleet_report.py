"""A report of a real fleet: what git, the ledger and the agents' files say, and nothing when they say nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from orchestra.ledger import Json
from orchestra.report.fleet_report import read_report
from orchestra.report.html_page import render_page
from orchestra.review.approval import approve
from orchestra.review.verdicts import discard, request_changes
from tests.conftest import MakeRepository
from tests.fleets import World, make_world
from tests.report.test_html_page import HIDDEN, PAYLOADS, Outline

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "report.schema.json").read_text("utf-8"))
WITH_SCHEMA: dict[str, Json] = {"with": ["schema"]}
NOTES = "# Notes\n\n## What I Built\n\nThe tables.\n"
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"a": "1\n"}), "schema", "api", "auth", "health")
    (world.checkout.path / ".git" / "info").mkdir(exist_ok=True)
    (world.checkout.path / ".git" / "info" / "exclude").write_text("/AGENT_NOTES.md\n")
    return world


def test_the_document_of_a_fleet_at_work(world: World) -> None:
    world.at("schema").commit("first table", {"a": "2\n", "tables.sql": "x\n"})
    world.at("schema").write({"AGENT_NOTES.md": NOTES})
    world.at("api").commit("other", {"a": "3\n"})
    approve(world.fleet, world.fleet.require_agent("schema"))
    discard(world.fleet, world.fleet.require_agent("auth"), "not needed")
    request_changes(world.fleet, world.fleet.require_agent("api"), "use the tables")
    world.fleet.ledger.record("evicted", "api", reason="conflict", detail="a", **WITH_SCHEMA)
    report = read_report(world.fleet)
    document = json.loads(json.dumps(report.to_json()))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert (report.summary.landed, report.summary.discarded, report.summary.pending) == (0, 1, 3)
    assert (report.summary.evictions, report.summary.rejection_rate) == (1, 1.0)
    assert [(pair.first, pair.second, pair.paths) for pair in report.conflicts] == [("schema", "api", ("a",))]
    schema, api, *_ = report.agents
    assert (schema.added, schema.removed, schema.files_total) == (2, 1, 2)
    assert schema.notes == NOTES
    assert [commit.subject for commit in schema.commits or ()] == ["first table"]
    assert api.requested == "use the tables"
    assert [mark.kind for mark in report.timelines[0].marks] == ["approved"]
    assert report.summary.cost_usd is None


def test_secrets_are_redacted(world: World) -> None:
    world.at("schema").commit(f"use {SECRET}", {"a": "2\n"})
    world.at("schema").write({"AGENT_NOTES.md": f"{NOTES}\n{SECRET}\n"})
    report = read_report(world.fleet)
    assert SECRET not in json.dumps(report.to_json())
    assert SECRET.encode() not in render_page(report)


def test_what_agents_write_is_text_on_the_page(world: World) -> None:
    benign = Outline(render_page(read_report(world.fleet)))
    hostile = "".join(PAYLOADS) + HIDDEN
    path = re.sub(r"[\0/]", "_", "".join(PAYLOADS))[:200]
    world.at("schema").commit(
        hostile.replace("\r", ""), {path: "1\n", b"\xff.txt".decode("utf-8", "surrogateescape"): "1\n"}
    )
    world.at("schema").write({"AGENT_NOTES.md": NOTES + hostile})
    world.fleet.ledger.record("evicted", "schema", reason=hostile, detail=hostile, gate=hostile, **{"with": hostile})
    world.fleet.ledger.record(
        "gate-run", None, gate=hostile, outcome=hostile, seconds=1.0, candidate=hostile, agents=[hostile]
    )
    world.fleet.ledger.record("session.ended", "schema", why=hostile)
    outline = Outline(render_page(read_report(world.fleet)))
    assert {tag for tag, _ in outline.tags} <= {tag for tag, _ in benign.tags} | set(
        "table thead tbody tr th td div ul li details summary svg rect title text line".split()
    )
    assert not any(name.startswith("on") or name == "src" for name, _ in outline.attributes)
    assert PAYLOADS[0] in outline.text


def test_a_fleet_that_has_not_begun_has_a_report(world: World) -> None:
    report = read_report(world.fleet)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report.to_json())))
    assert (report.summary.wall_time_s, report.summary.rejection_rate, report.candidates) == (None, None, ())
    assert b"No train has decided anything yet." in render_page(report)


def test_a_report_changes_no_ref(world: World) -> None:
    world.at("schema").commit("work", {"a": "2\n"})
    before = world.checkout.git("for-each-ref")
    read_report(world.fleet)
    assert world.checkout.git("for-each-ref") == before
