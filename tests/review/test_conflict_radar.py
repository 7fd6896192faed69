"""Conflicts of work as it stands, with uncommitted files, and the order that conflicts least."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName
from orchestra.review.conflict_radar import ConflictRadar, propose_order, read_conflicts
from orchestra.review.verdicts import discard
from orchestra.status import read_status
from tests.conftest import MakeRepository
from tests.fleets import World, make_world
from tests.git_processes import recorded_git_processes

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "status.schema.json").read_text("utf-8"))
NAMES = [AgentName(name) for name in "abcde"]


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    return make_world(make_repository({"a": "1\n", "b": "1\n"}), "one", "two", "three")


def read(world: World) -> ConflictRadar:
    status = read_status(world.fleet)
    return read_conflicts(world.fleet, [row.standing for row in status.rows], status.target_commit)


def test_uncommitted_work_is_compared(world: World) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.at("two").write({"a": "3\n", "new": "x\n"})
    radar = read(world)
    assert [(pair.first, pair.second, pair.paths) for pair in radar.pairs] == [("one", "two", ("a",))]
    assert radar.with_uncommitted == ("two",)
    assert radar.with_target == {}
    assert set(radar.order) == {"one", "two"}


def test_two_new_files_that_no_one_committed_conflict(world: World) -> None:
    world.at("one").write({"new": "1\n"})
    world.at("two").write({"new": "2\n"})
    assert [pair.paths for pair in read(world).pairs] == [("new",)]


def test_work_that_conflicts_with_the_target_is_named(world: World) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.checkout.commit("target", {"a": "3\n"})
    radar = read(world)
    assert radar.with_target == {"one": ("a",)}


def test_discarded_work_is_left_out(world: World) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.at("two").commit("work", {"a": "3\n"})
    discard(world.fleet, world.fleet.require_agent("two"), "no")
    radar = read(world)
    assert (radar.pairs, "two" in radar.order) == ((), False)


def test_it_changes_no_ref_no_index_and_no_file(world: World) -> None:
    world.at("one").write({"new": "1\n"})
    index = Path(world.at("one").git("rev-parse", "--absolute-git-dir")) / "index"
    before = (world.checkout.git("for-each-ref"), world.at("one").git("status", "--porcelain"), index.read_bytes())
    read(world)
    after = (world.checkout.git("for-each-ref"), world.at("one").git("status", "--porcelain"), index.read_bytes())
    assert after == before


def test_work_that_no_snapshot_can_hold_is_compared_as_committed(world: World) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.at("two").commit("work", {"a": "3\n"})
    admin = Path(world.at("two").git("rev-parse", "--absolute-git-dir"))
    (admin / "MERGE_HEAD").write_text(world.at("two").git("rev-parse", "HEAD"))
    radar = read(world)
    assert [pair.paths for pair in radar.pairs] == [("a",)]
    assert list(radar.not_compared) == ["two"]


def test_pairs_that_were_merged_before_are_not_merged_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.at("two").write({"a": "3\n"})
    with recorded_git_processes(tmp_path, monkeypatch) as processes:
        first = read(world)
    assert any("merge-tree" in words for words in processes)
    with recorded_git_processes(tmp_path, monkeypatch) as processes:
        assert read(world) == first
    assert not any("merge-tree" in words for words in processes)


def test_the_document_is_what_the_schema_says(world: World) -> None:
    world.at("one").commit("work", {"a": "2\n"})
    world.at("two").write({"a": "3\n"})
    document = read_status(world.fleet).to_json() | {"conflicts": read(world).to_json()}
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_one_that_conflicts_with_many_goes_last() -> None:
    a, b, c, *_ = NAMES
    opponents = {a: {b, c}, b: {a}, c: {a}}
    assert propose_order([a, b, c], {}, opponents, ()) == (b, c, a)


def test_one_that_conflicts_with_the_target_goes_last() -> None:
    a, b, *_ = NAMES
    assert propose_order([a, b], {}, {}, {a}) == (b, a)


@given(st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))), st.sets(st.integers(0, 9)))
def test_every_order_keeps_predecessors_and_names(edges: set[tuple[AgentName, AgentName]], chosen: set[int]) -> None:
    opponents: dict[AgentName, set[AgentName]] = {}
    for first, second in edges:
        if first != second:
            opponents.setdefault(first, set()).add(second)
            opponents.setdefault(second, set()).add(first)
    pairs = [(first, second) for place, first in enumerate(NAMES) for second in NAMES[place + 1 :]]
    before: dict[AgentName, set[AgentName]] = {}
    for number in chosen:
        first, second = pairs[number]
        before.setdefault(second, set()).update({first, *before.get(first, ())})
    order = propose_order(NAMES, before, opponents, ())
    assert sorted(order) == sorted(NAMES)
    assert all(order.index(first) < order.index(second) for second, firsts in before.items() for first in firsts)
