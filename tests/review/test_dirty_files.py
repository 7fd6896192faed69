"""Uncommitted files within a budget of time: real worktrees, and a git that is held as long as the test wants."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine.job import Ending
from orchestra.review.dirty_files import BackgroundLooks, DirtyFiles, look_at_all, look_within
from orchestra.sessions.state import State
from orchestra.sessions.store import FleetFolder, SessionRequest, write_json
from orchestra.status import read_status
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

A, B = AgentName("a"), AgentName("b")


@pytest.fixture
def rounds() -> Iterator[BackgroundLooks]:
    """Looks that end with the test: their git processes must not count in others."""
    looks = BackgroundLooks()
    yield looks
    looks._request = None


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"f": "1\n"}), "a", "b")
    world.fleet.folder.mkdir(parents=True, exist_ok=True)
    world.at("a").write({"new": "x"})
    return world


class Held:
    """A ``git`` that waits in ``status`` of worktrees that hold a file ``.hold`` (ignored), until released."""

    def __init__(self, folder: Path) -> None:
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        real = shutil.which("git")
        program = folder / "git"
        program.write_text(
            f'#!/bin/sh\ncase " $* " in *" status "*) [ -e .hold ] && read word < {self.gate};; esac\n'
            f'exec {real} "$@"\n',
            "utf-8",
        )
        program.chmod(0o755)

    def release(self) -> None:
        """Everybody who waits, and who will."""
        self._end = os.open(self.gate, os.O_RDWR)
        os.write(self._end, b"go\n" * 100)


@pytest.fixture
def held(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    (world.checkout.path / ".git/info").mkdir(exist_ok=True)
    (world.checkout.path / ".git/info/exclude").write_text(".hold\n", "utf-8")
    made = Held(tools)
    yield made
    made.release()


def figures(world: World) -> Path:
    return world.fleet.folder / "trees.json"


def test_all_of_them_now(world: World) -> None:
    began = time.time()
    found = look_at_all(world.fleet, world.fleet.blueprint.agents)
    assert {name: tree.files for name, tree in found.items()} == {A: 1, B: 0}
    assert all(tree.at is not None and tree.at >= began for tree in found.values())


def test_what_takes_too_long_shows_what_was_known_with_its_age(world: World, held: Held) -> None:
    look_at_all(world.fleet, world.fleet.blueprint.agents)
    figures(world).write_text(json.dumps({"a": {"files": 7, "at": time.time() - 120}}), "utf-8")
    world.at("a").write({".hold": ""})
    found = look_within(0.5)(world.fleet, world.fleet.blueprint.agents)
    assert found[A].files == 7
    assert 120 <= (found[A].age_s(time.time()) or 0) < 180
    assert found[B].files == 0


def test_what_was_never_looked_at_is_not_known_and_not_clean(world: World, held: Held) -> None:
    for name in "ab":
        world.at(name).write({".hold": ""})
    found = look_within(0.0)(world.fleet, world.fleet.blueprint.agents)
    assert found == {A: DirtyFiles(), B: DirtyFiles()}


def test_a_status_says_the_age_and_decides_nothing_by_it(world: World, held: Held) -> None:
    figures(world).write_text(json.dumps({"a": {"files": 0, "at": time.time() - 60}}), "utf-8")
    world.at("a").write({".hold": ""})
    [row] = read_status(world.fleet, [world.fleet.require_agent("a")], look=look_within(0.2)).rows
    shown = read_status(world.fleet, look=look_within(0.2)).to_json()["agents"]
    assert isinstance(shown, list)
    first = shown[0]
    assert isinstance(first, dict)
    assert (row.tree.files, first["uncommitted_files"]) == (0, 0)
    age = first["uncommitted_age_s"]
    assert isinstance(age, float)
    assert age >= 60
    held.release()
    [now] = read_status(world.fleet, [world.fleet.require_agent("a")]).rows  # what start and merge ask
    assert (now.tree.files, now.state.state) == (1, State.WORKING)


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "{",
        "[]",
        '{"a": 3}',
        '{"a": {"files": "x", "at": 1}}',
        '{"a": {"files": -1, "at": 1}}',
        '{"a": {"files": 1, "at": 99999999999}}',
        '{"a": {"files": 1, "at": NaN}}',
        '{"a": {"files": 1e999, "at": 1}}',
    ],
)
def test_figures_that_cannot_be_are_none(world: World, held: Held, spoilt: str) -> None:
    """Torn, of another shape, or from the future: a clock was set."""
    figures(world).write_text(spoilt, "utf-8")
    world.at("a").write({".hold": ""})
    assert look_within(0.0)(world.fleet, [world.fleet.require_agent("a")]) == {A: DirtyFiles()}


def test_figures_that_cannot_be_kept_cost_nothing_but_themselves(world: World) -> None:
    figures(world).mkdir()
    (figures(world) / "in the way").write_text("", "utf-8")
    assert look_at_all(world.fleet, world.fleet.blueprint.agents)[A].files == 1
    assert look_within(30.0)(world.fleet, world.fleet.blueprint.agents)[A].files == 1


def test_a_worktree_that_is_gone_is_known_at_once(world: World, held: Held, rounds: BackgroundLooks) -> None:
    look_at_all(world.fleet, world.fleet.blueprint.agents)
    shutil.rmtree(world.at("a").path)
    assert not look_within(0.0)(world.fleet, world.fleet.blueprint.agents)[A].there
    assert not rounds(world.fleet, world.fleet.blueprint.agents)[A].there


def test_the_rounds_come_to_every_worktree(world: World, rounds: BackgroundLooks) -> None:
    chosen = world.fleet.blueprint.agents
    first = rounds(world.fleet, chosen)
    assert set(first) == {A, B}
    pause, deadline = threading.Event(), time.monotonic() + 60
    while {name: tree.files for name, tree in rounds(world.fleet, chosen).items()} != {A: 1, B: 0}:
        assert time.monotonic() < deadline
        pause.wait(0.02)
    world.at("a").write({"another": "x"})
    while rounds(world.fleet, chosen)[A].files != 2:
        assert time.monotonic() < deadline
        pause.wait(0.02)


def test_a_figure_from_before_a_session_ended_does_not_say_that_it_left_nothing(world: World, held: Held) -> None:
    agent = world.fleet.require_agent("a")
    world.at("a").commit("work", {"f": "2\n"})
    world.at("a").write({"left": "", ".hold": ""})
    files = FleetFolder(world.fleet.folder).agent("a")
    kinds = {"kind": RunnerKind.COMMAND, "mode": RunnerMode.HEADLESS}
    place = {"home": "", "worktree": str(world.at("a").path), "base": ""}
    request = SessionRequest(id="1", at=1.0, agent=agent.name, number=1, prompt="p", session_id="s", **kinds, **place)  # type: ignore[arg-type]
    files.queue(request)
    write_json(files.take(request).record, Ending("exited", 0, None, time.time() - 90, time.time() - 30))
    figures(world).write_text(json.dumps({"a": {"files": 0, "at": time.time() - 60}}), "utf-8")
    [row] = read_status(world.fleet, [agent], look=look_within(0.2)).rows
    assert (row.tree.files, row.state.state) == (0, State.UNKNOWN)
    assert "not been checked since" in row.state.reason
    held.release()
    [row] = read_status(world.fleet, [agent], look=look_within(30.0)).rows
    assert (row.tree.files, row.state.state) == (1, State.FAILED)
