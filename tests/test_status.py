"""Status of a fleet: derived from what is there, in the shape that scripts rely on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import jsonschema
import pytest

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.cli.status_table import format_cost, remarks, row_cells
from orchestra.engine import process_tree
from orchestra.engine.job import Ending
from orchestra.ledger import Json
from orchestra.review.approval import approve
from orchestra.review.verdicts import discard, request_changes
from orchestra.sessions.hook import append
from orchestra.sessions.state import SessionResult, State, Stop, Usage
from orchestra.sessions.store import FleetFolder, Run, SessionRequest, write_json
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
    assert [row.unfinished for row in found.rows] == [None, "1 uncommitted file", "discarded", "ready"]


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


def test_notes_that_are_no_plain_file_are_none(world: World, tmp_path: Path) -> None:
    """An agent may leave a pipe that nobody writes to, or a link to what is not its to show."""
    secret = tmp_path / "secret"
    secret.write_text(NOTES, "utf-8")
    for name in ("schema", "api", "auth", "health"):
        world.at(name).commit("work", {"a": "2\n"})
    os.mkfifo(world.at("schema").path / "AGENT_NOTES.md")
    (world.at("api").path / "AGENT_NOTES.md").symlink_to(secret)
    (world.at("auth").path / "AGENT_NOTES.md").mkdir()
    world.at("health").write({"AGENT_NOTES.md": NOTES + "x" * 3_000_000})
    found = read_status(world.fleet)
    assert [row.notes_filled for row in found.rows] == [False, False, False, True]
    assert len(found.rows[3].standing.notes or "") == 1 << 20
    request_changes(world.fleet, world.fleet.require_agent("api"), "again")
    task = world.at("schema").path / "TASK.md"
    os.mkfifo(task)
    request_changes(world.fleet, world.fleet.require_agent("schema"), "again")
    assert task.read_text("utf-8").endswith("again\n")


def request(agent: str, session: str = "s") -> SessionRequest:
    kind, mode = RunnerKind.CLAUDE, RunnerMode.HEADLESS
    return SessionRequest(
        "1", 1.0, AgentName(agent), 1, kind, mode, home="", worktree="", base="", prompt="p", session_id=session
    )


def used(world: World, agent: str, number: int, usage: Usage) -> None:
    """A session that is over."""
    files = FleetFolder(world.fleet.folder).agent(agent)
    files.queue(request(agent, f"s{number}"))
    run = files.take(request(agent, f"s{number}"))
    write_json(run.record, Ending("exited", 0, None, 1.0, 2.0))
    run.write("result", SessionResult(session_id=f"s{number}", usage=usage))


def test_money_and_tokens_are_told_for_each_and_for_all(world: World) -> None:
    used(world, "schema", 1, Usage(0.5, 1000, 20, 30_000, 3))
    used(world, "schema", 2, Usage(None, 500, 10, 0, 1, sessions_without_cost=1))
    used(world, "api", 1, Usage(1.25, 100, 2, 0, 1))
    found = read_status(world.fleet)
    assert format_cost(found) == (
        "spent 1.75 USD; 1 session did not report a cost; tokens: 1,600 in, 30,000 cached, 32 out"
    )
    document = found.to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["cost_usd"] == 1.75
    assert (document["sessions_without_cost"], document["budget_usd"]) == (1, None)
    assert document["tokens"] == {"input": 1600, "output": 32, "cache": 30_000}


def test_who_was_left_out_is_told_until_the_work_changes(world: World) -> None:
    """By a merge; a commit on the branch, a landing or a ledger that is lost ends it, and none of them ends status."""
    head = world.at("api").commit("work", {"a": "3\n"})
    facts: dict[str, Json] = {"reason": "logical-conflict", "detail": "tests passes without schema", "with": ["schema"]}
    world.fleet.ledger.record("evicted", "api", head=head, **facts)
    world.fleet.ledger.record("evicted", "auth", head="0" * 40, **facts)
    found = read_status(world.fleet)
    assert {row.agent.name: row.evicted is not None for row in found.rows if row.evicted} == {"api": True}
    document = found.to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    row = next(row for row in found.rows if row.agent.name == "api")
    assert "evicted: logical-conflict with schema" in [str(getattr(c, "text", c)) for c in row_cells(row, 0.0)][-1]
    world.at("api").commit("more", {"a": "4\n"})
    assert not any(row.evicted for row in read_status(world.fleet).rows)
    world.at("api").git("reset", "--quiet", "--keep", head)
    assert any(row.evicted for row in read_status(world.fleet).rows)
    for kind in ("proposed", "approved"):  # what would land is another commit then
        parents = ("-p", head, "-p", world.checkout.git("rev-parse", "main"))
        taken = world.checkout.git("commit-tree", "-m", "resolved", *parents, f"{head}^{{tree}}")
        world.checkout.git("update-ref", f"refs/orchestra/demo/api/{kind}", taken)
    assert not any(row.evicted for row in read_status(world.fleet).rows)
    world.checkout.git("update-ref", "-d", "refs/orchestra/demo/api/approved")
    assert any(row.evicted for row in read_status(world.fleet).rows)
    for name in world.fleet.folder.glob("ledger.db*"):
        name.write_bytes(b"damaged")
    assert not any(row.evicted for row in read_status(world.fleet).rows)


def test_running_sessions_without_a_supervisor_and_refused_calls_are_shown(world: World) -> None:
    files = FleetFolder(world.fleet.folder).agent("schema")
    files.queue(request("schema"))
    run, keeper = files.take(request("schema")), process_tree.identity(os.getpid())
    assert keeper is not None
    run.write("run", Run(1, time.time(), keeper, "mark"))
    for detail in ("refused: Write: src/a is outside the scope", "Edit src/b"):
        append(files.path, {"hook_event_name": "PreToolUse", "session_id": "s"}, detail)
    status = read_status(world.fleet)
    assert remarks(status) == ["schema: no supervisor is running that would notice the end; orchestra start starts one"]
    (row,) = [row for row in status.rows if row.agent.name == "schema"]
    assert str(getattr(row_cells(row, 0.0)[-1], "text", "")) == "1 tool call refused"
    document = status.to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_why_somebody_waits_or_stopped_is_told_once_for_all(world: World) -> None:
    for name in ("schema", "api"):
        FleetFolder(world.fleet.folder).agent(name).queue(request(name))
    used(world, "auth", 1, Usage())
    run = FleetFolder(world.fleet.folder).agent("auth").newest()
    assert run is not None
    run.write("stop", Stop("the fleet's budget of 5 USD is spent", 3.0))
    assert remarks(read_status(world.fleet)) == [
        "schema and api: queued, no supervisor is running; orchestra start resumes the queue",
        "auth: stopped, the fleet's budget of 5 USD is spent",
    ]
