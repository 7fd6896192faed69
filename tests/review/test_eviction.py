"""What an evicted agent is told: the record, the log's end, and the conflict as it is today."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.blueprint.model import RunGate
from orchestra.errors import UsageError
from orchestra.ledger import Json
from orchestra.review.eviction import last_eviction
from orchestra.sessions.eviction_message import from_train
from tests.conftest import MakeRepository
from tests.fleets import World, make_world
from tests.train.train_fixture import NOTES, make_train, reasons

API: dict[str, Json] = {"with": ["api"]}
ALONE: dict[str, Json] = {"with": []}


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    return make_world(make_repository({"shared": "one\ntwo\nthree\n", "bin": b"\0"}), "schema")


def test_an_agent_that_was_never_evicted(world: World) -> None:
    with pytest.raises(UsageError, match="no merge has evicted schema"):
        last_eviction(world.fleet, world.fleet.require_agent("schema"))


def test_a_conflict_comes_with_its_pieces(world: World) -> None:
    world.at("schema").commit("mine", {"shared": "one\nmine\nthree\n", "bin": b"\1", "TASK.md": "forced in"})
    world.checkout.commit("theirs", {"shared": "one\ntheirs\nthree\n", "bin": b"\2", "TASK.md": "also here"})
    world.fleet.ledger.record("evicted", "schema", reason="conflict", detail="shared", log=None, **API)
    eviction = last_eviction(world.fleet, world.fleet.require_agent("schema"))
    pieces = {conflict.path: conflict.hunks for conflict in eviction.conflicts}
    assert set(pieces) == {"shared", "bin"}
    (hunk,) = pieces["shared"]
    ours, base, theirs = re.split(r"^(?:[|]{7}|={7}).*$", hunk, flags=re.MULTILINE)
    assert ("theirs" in ours, "two" in base, "mine" in theirs) == (True, True, True)
    message = from_train(eviction)
    assert "git rebase main" in message
    assert "api" in message
    assert hunk in message


def test_a_conflict_comes_with_what_the_other_side_was_after(make_repository: MakeRepository) -> None:
    """As a real merge leaves it: the other one has landed, its notes are kept with its commit."""
    train = make_train(make_repository({"shared": "one\ntwo\nthree\n"}), "api", "schema")
    train.notes("api", NOTES.replace("A thing that works.", "The second line is what clients ask for."))
    train.approved(api={"shared": "one\nof api\nthree\n"}, schema={"shared": "one\nof schema\nthree\n"})
    assert reasons(train.merge()) == {"schema": "conflict"}
    message = from_train(last_eviction(train.fleet, train.fleet.require_agent("schema")))
    assert "It conflicts with the work of: api." in message
    assert "api describes its work:\n\n```\nThe second line is what clients ask for." in message
    assert "two\n=======\nof schema" in message


def test_a_conflict_of_single_commits_comes_with_the_log(world: World, tmp_path: Path) -> None:
    """The branch as a whole merges, so what is told is what the train wrote down."""
    world.at("schema").commit("mine", {"shared": "one\nmine\nthree\n"})
    log = tmp_path / "conflict.txt"
    log.write_text("== shared\nthe pieces of a commit\n", "utf-8")
    world.fleet.ledger.record("evicted", "schema", reason="conflict", detail="shared", log=str(log), **API)
    assert "the pieces of a commit" in from_train(last_eviction(world.fleet, world.fleet.require_agent("schema")))


def test_a_red_gate_comes_with_its_command_and_the_end_of_its_log(world: World, tmp_path: Path) -> None:
    log = tmp_path / "tests.log"
    log.write_bytes(b"x" * 200_000 + b"\nFAILED: the last line \xff\n")
    fleet = replace(
        world.fleet, blueprint=replace(world.fleet.blueprint, gates={"tests": RunGate("tests", "make check")})
    )
    fleet.ledger.record("evicted", "schema", reason="gate", detail="red", log=str(log), gate="tests", **ALONE)
    message = from_train(last_eviction(fleet, fleet.require_agent("schema")))
    assert "make check" in message
    assert "FAILED: the last line" in message
    assert len(message) < 40_000


def test_a_log_that_is_gone_is_left_out(world: World) -> None:
    world.fleet.ledger.record("evicted", "schema", reason="gate", detail="red", log="/nowhere/log", **ALONE)
    assert last_eviction(world.fleet, world.fleet.require_agent("schema")).log == ""
