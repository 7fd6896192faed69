"""``review --sarif``: what the standard requires of a document, and where each finding points."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import jsonschema
import pytest

from orchestra.blueprint.model import Builtin, BuiltinGate, Gate, Policy
from orchestra.ledger import Json
from orchestra.review.agent_review import review_agent
from orchestra.review.sarif import to_sarif
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
REQUIRED = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "minItems": 1,
            "items": {
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {"driver": {"required": ["name", "rules"]}},
                    },
                    "results": {
                        "items": {
                            "required": ["ruleId", "level", "message"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"required": ["text"]},
                                "locations": {
                                    "items": {"required": ["physicalLocation"]},
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}
"""The members that the schema of SARIF 2.1.0 requires, of those that are used."""


def sarif_of(world: World) -> tuple[list[dict[str, Json]], str]:
    document = to_sarif(review_agent(world.fleet, world.fleet.require_agent("one")), "1.2.3")
    text = json.dumps(document)
    jsonschema.validate(json.loads(text), REQUIRED)
    if schema := os.environ.get("ORCHESTRA_SARIF_SCHEMA"):  # the whole schema of the standard
        jsonschema.validate(json.loads(text), json.loads(Path(schema).read_text("utf-8")))
    return json.loads(text)["runs"][0]["results"], text


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"a.txt": "a\n"}), "one")
    gates: dict[str, Gate] = {
        "secrets": BuiltinGate("secrets", Builtin.SECRETS),
        "commits": BuiltinGate("commits", Builtin.COMMITS, Policy.WARN),
    }
    blueprint = replace(world.fleet.blueprint, gates=MappingProxyType(gates))
    return replace(world, fleet=replace(world.fleet, blueprint=blueprint))


def test_findings_have_rules_levels_and_places(world: World) -> None:
    world.at("one").commit("one", {"src/a b\u00e9.py": f"x = 1\ntoken = '{TOKEN}'\n", "node_modules/x.js": "1\n"})
    results, text = sarif_of(world)
    assert [(result["ruleId"], result["level"]) for result in results] == [("secrets", "error"), ("commits", "warning")]
    place = {"artifactLocation": {"uri": "src/a%20b%C3%A9.py"}, "region": {"startLine": 2}}
    assert results[0]["locations"] == [{"physicalLocation": place}]
    assert TOKEN not in text
    assert re.search(r"fingerprint [0-9a-f]+", text)


def test_a_deleted_secret_has_no_line_in_the_branch(world: World) -> None:
    world.at("one").commit("one", {"b.py": f"token = '{TOKEN}'\n"})
    world.at("one").commit("two", {"b.py": "token = read()\n"})
    ((finding,), _) = sarif_of(world)
    assert finding["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "b.py"}}}]


def test_a_changed_judge_is_a_finding_of_its_own(world: World) -> None:
    world.at("one").commit("one", {".github/workflows/ci.yml": "on: push\n"})
    ((finding,), _) = sarif_of(world)
    assert (finding["ruleId"], finding["level"]) == ("judging-changes", "warning")


def test_work_without_findings_is_a_document_without_results(world: World) -> None:
    world.at("one").commit("one", {"a.txt": "b\n"})
    assert sarif_of(world)[0] == []
