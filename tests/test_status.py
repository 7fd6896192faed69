"""Status of a fleet: derived from what is there, in the shape that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from orchestra.review.verdicts import approve, discard
from orchestra.session.state import State
from orchestra.status import Status, read_status
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "status.schema.json").read_text("utf-8"))
NOTES = "# Notes\n\n## What I Built\n\nThe tables.\n"


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"a": "1\n"}), "schema", "api", "auth", "health")
    world.checkout.git("config", "core.excludesFile", str(world.checkout.path / ".git" / "hidden"))
    (world.checkout.path / ".git" / "hidden").write_text("/AGENT_NOTES.md\n")
    return world


def _states(found: Status) -> dict[str, State]:
    return {row.agent.name: row.state.state for row in found.rows}


def test_every_agent_has_a_row_with_a_reason_and_a_source(world: World) -> None:
    world.at("schema").commit("work", {"a": "2\n"})
    world.at("schema").write({"AGENT_NOTES.md": NOTES})
    world.at("api").write({"new": "x"})
    world.at("auth").commit("work", {"a": "3\n"})
    discard(world.fleet, world.fleet.require_agent("auth"), "no")
    found = read_status(world.fleet)
    assert _states(found) == {
        "schema": State.FINISHED,
        "api": State.WORKING,
        "auth": State.DISCARDED,
        "health": State.READY,
    }
    assert all(row.state.source for row in found.rows)
    assert [row.unfinished for row in found.rows] == [None, "1 uncommitted files", "discarded", "ready"]


def test_the_document_is_what_the_schema_says(world: World) -> None:
    world.at("schema").commit("work", {"a": "2\n"})
    world.at("api").commit("work", {"a": "3\n"})
    approve(world.fleet, world.fleet.require_agent("schema"))
    world.checkout.git("update-ref", "refs/orchestra/demo/old-name/base", "HEAD")
    document = read_status(world.fleet).to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    rows = document["agents"]
    assert isinstance(rows, list)
    first = rows[0]
    assert isinstance(first, dict)
    assert (first["verdict"], first["commits"], first["conflicts_with"]) == ("approved", 1, ["api"])
    assert document["not_declared"] == ["old-name"]


def test_the_schema_refuses_what_is_not_a_status() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert not validator.is_valid({"fleet": "x", "target": {"branch": "main", "commit": None}, "agents": [{}]})


def test_a_worktree_that_is_gone_is_unknown(world: World) -> None:
    world.checkout.git("worktree", "remove", str(world.at("schema").path))
    assert _states(read_status(world.fleet))["schema"] is State.UNKNOWN


def test_only_the_agents_asked_for(world: World) -> None:
    found = read_status(world.fleet, [world.fleet.require_agent("3")])
    assert [row.agent.name for row in found.rows] == ["auth"]


def test_it_changes_no_ref_no_index_and_no_file(world: World) -> None:
    world.at("api").write({"new": "x"})
    before = world.checkout.git("for-each-ref")
    index = Path(world.at("api").git("rev-parse", "--absolute-git-dir")) / "index"
    stat = index.stat()
    read_status(world.fleet)
    assert world.checkout.git("for-each-ref") == before
    assert (index.stat().st_mtime_ns, index.stat().st_ino) == (stat.st_mtime_ns, stat.st_ino)
