"""Fleets at work: real supervisors, keepers and programs, held and released through FIFOs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.blueprint.model import Agent, AgentName, Limits, Runner, RunnerKind
from orchestra.engine import process, process_tree
from orchestra.fleet import Fleet
from orchestra.gates.notes_gate import notes_filled
from orchestra.sessions.session_facts import read_session_facts
from orchestra.sessions.start import StartReport, start_fleet
from orchestra.sessions.state import AgentState, SessionFacts, WorkFacts, derive_state
from orchestra.sessions.stop import stop_fleet
from orchestra.sessions.store import AgentFolder, FleetFolder, RunFolder
from tests.conftest import MakeRepository
from tests.e2e.road import Road
from tests.fleets import World, make_world

COMMIT = "echo $ORCHESTRA_NOTE > work.txt; git add work.txt; git commit -qm work"
NOTES = "printf '## What I Built\\n\\nIt.\\n' > AGENT_NOTES.md; git add AGENT_NOTES.md"


class LiveFleet:
    """A fleet of agents with worktrees, whose program is a shell script."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.fleet: Fleet = world.fleet
        self.folder = folder

    @property
    def sessions(self) -> FleetFolder:
        return FleetFolder(self.fleet.folder)

    def agent(self, name: str) -> Agent:
        return self.fleet.require_agent(name)

    def files(self, name: str) -> AgentFolder:
        return self.sessions.agent(name)

    def newest(self, name: str) -> RunFolder:
        """The last run of one that had some."""
        run = self.files(name).newest()
        assert run is not None, self.log()
        return run

    @property
    def hold(self) -> str:
        """Shell words by which an agent says who it is and waits for ``go``; FIFOs of its own for each."""
        for agent in self.fleet.blueprint.agents:
            for what in ("here", "go"):
                os.mkfifo(self.folder / f"{agent.directory}.{what}")
        return f'at={self.folder}/$(basename "$PWD"); echo $$ > $at.here; read word < $at.go'

    def who(self, name: str) -> process_tree.ProcessId:
        """The shell of an agent that holds; waits for it."""
        pid = (self.folder / f"{self.agent(name).directory}.here").read_text("utf-8")
        found = process_tree.identity(int(pid))
        assert found is not None
        return found

    def go(self, *names: str) -> None:
        """Release agents that hold."""
        for name in names:
            (self.folder / f"{self.agent(name).directory}.go").write_text("go\n", "utf-8")

    def fifo(self, name: str) -> Path:
        path = self.folder / name
        os.mkfifo(path)
        return path

    def use(self, runner: Runner, limits: Limits | None = None) -> None:
        """Every agent gets that runner."""
        blueprint = self.fleet.blueprint
        agents = tuple(replace(agent, runner=runner) for agent in blueprint.agents)
        changed = replace(blueprint, agents=agents, runner=runner, limits=limits or blueprint.limits)
        self.fleet = replace(self.fleet, blueprint=changed)

    def use_script(self, script: str, *, limits: Limits | None = None, resume: str = "", **more: float) -> None:
        """Every agent runs ``script``; ``$1`` is the prompt, ``$2`` the session id."""
        command = ("/bin/sh", "-c", script, "agent", "{prompt}", "{session_id}")
        again = ("/bin/sh", "-c", resume, "agent", "{prompt}", "{session_id}") if resume else ()
        self.use(
            Runner(kind=RunnerKind.COMMAND, command=command, resume=again, timeout_s=more.get("timeout_s")), limits
        )

    def work(self, name: str) -> WorkFacts:
        """What git says, in plain git."""
        agent, place = self.agent(name), self.fleet.worktree(self.agent(name))
        if not place.exists():
            return WorkFacts(spawned=True, worktree_exists=False)
        checkout = self.world.at(name)
        # Without optional locks: a status that is asked again and again holds index.lock now and then, and the agent's
        # own commit fails on it (seen: one in five under load).
        found = checkout.git("--no-optional-locks", "status", "--porcelain")
        left = [line for line in found.splitlines() if "AGENT_NOTES" not in line]
        commits = int(checkout.git("rev-list", "--count", f"main..{agent.branch}"))
        notes = place / "AGENT_NOTES.md"
        filled = notes.exists() and notes_filled(notes.read_text("utf-8"))
        head = checkout.git("rev-parse", f"refs/heads/{agent.branch}").strip()
        return WorkFacts(True, True, "", commits, len(left), filled, head=head)

    def facts(self, name: str) -> SessionFacts:
        return read_session_facts(self.fleet)[AgentName(name)]

    def state(self, name: str) -> AgentState:
        return derive_state(self.work(name), read_session_facts(self.fleet).get(AgentName(name)))

    def states(self) -> dict[AgentName, AgentState]:
        return {agent.name: self.state(agent.name) for agent in self.fleet.blueprint.agents}

    def start(self, *names: str, again: bool = False) -> StartReport:
        agents = [self.agent(name) for name in names] or None
        return start_fleet(self.fleet, self.states(), agents, include_finished=again)

    def supervisor(self) -> process_tree.ProcessId | None:
        """Who works the queue off, alive."""
        who = self.sessions.supervisor
        return who if who is not None and process_tree.is_alive(who) else None

    def wait_until_done(self, timeout_s: float = 120.0) -> None:
        """Until nothing runs and nothing is queued."""
        started = self.sessions.supervisor
        assert started is not None, self.log()
        assert process.wait_gone(started, timeout_s), self.log()
        assert self.supervisor() is None, self.log()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
        """Until that holds, while a supervisor works."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, self.log()
            supervisor = self.sessions.supervisor
            if supervisor is not None:
                process.wait_gone(supervisor, 0.05)

    def log(self) -> str:
        try:
            return self.sessions.supervisor_log.read_text("utf-8")
        except OSError:
            return "no log"

    def output(self, name: str) -> str:
        return self.newest(name).out.read_text("utf-8")


@pytest.fixture
def make_live_fleet(make_repository: MakeRepository, tmp_path: Path) -> Iterator[Callable[..., LiveFleet]]:
    """``make_live_fleet("a", "b")``: agents with worktrees. What still runs at the end is ended, which is checked."""
    made: list[LiveFleet] = []

    def make(*names: str) -> LiveFleet:
        live = LiveFleet(make_world(make_repository(), *names), tmp_path)
        made.append(live)
        return live

    yield make
    for live in made:
        stop_fleet(live.fleet, save=lambda *_: None)
        who = live.sessions.supervisor
        assert who is None or process.wait_gone(who, 30), live.log()


@pytest.fixture
def roads() -> Iterator[list[Road]]:
    """The fleets of real programs that a test makes; their sessions are stopped at its end."""
    made: list[Road] = []
    yield made
    for road in made:
        road.run("stop")
