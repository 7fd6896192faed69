"""End sessions on purpose: no orphan is left, no work is lost.

Invariant: a stop is on disk before anything is ended, so that nobody starts it again; uncommitted work is saved after
the last process has gone, when nothing changes it any more. Safe to run twice and beside a supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine import process_tree
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet
from orchestra.sessions import prompts
from orchestra.sessions.autosave import Save, save_work
from orchestra.sessions.launch import end_session_now, recover_half_started
from orchestra.sessions.message import leave_message
from orchestra.sessions.runners.protocol import read_digest
from orchestra.sessions.session_facts import is_turn_over
from orchestra.sessions.state import Stop
from orchestra.sessions.store import AgentFolder, FleetFolder, Order, Run, RunFolder

_AT_ONCE = 16


@dataclass(frozen=True)
class StopReport:
    """``stopped``: had a session; ``unqueued``: was waiting for one; ``saved``: agent and ref of its uncommitted work;
    ``unsaved``: agent and why it could not be saved; ``left``: agent and pids that could not be ended."""

    stopped: list[AgentName] = field(default_factory=list)
    unqueued: list[AgentName] = field(default_factory=list)
    saved: list[tuple[AgentName, str]] = field(default_factory=list)
    unsaved: list[tuple[AgentName, str]] = field(default_factory=list)
    left: list[tuple[AgentName, tuple[int, ...]]] = field(default_factory=list)


def stop_fleet(
    fleet: Fleet, agents: Sequence[Agent] | None = None, *, reason: str = "stopped by you", save: Save = save_work
) -> StopReport:
    """End the sessions of ``agents`` (None: all of the fleet, also those no longer declared) and save their work."""
    folder = FleetFolder(fleet.folder)
    chosen = folder.agents() if agents is None else [folder.agent(agent.name) for agent in agents]
    report = StopReport()
    with folder.control():
        running = [found for agent in chosen if (found := _announce(agent, reason, report)) is not None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ended = list(pool.map(lambda one: end_session_now(one.run), running))
    for one, left in zip(running, ended, strict=True):
        if left:
            report.left.append((one.agent, tuple(who.pid for who in left)))
        _save(fleet, one, report, save)
    for one in running:  # when all work is safe, since a note may fail, as on a full disk
        one.folder.write("digest", read_digest(one.order, one.folder))
        fleet.ledger.record("session.stopped", one.agent, run=one.folder.number)
    return report


@dataclass(frozen=True)
class _Running:
    agent: AgentName
    folder: RunFolder
    order: Order
    run: Run


def _announce(agent: AgentFolder, reason: str, report: StopReport) -> _Running | None:
    """Take the agent out of the queue and mark what runs as stopped; what runs."""
    newest = agent.newest()
    if newest is not None and recover_half_started(agent, newest):
        newest = agent.newest()
    if (order := agent.order) is not None:
        if order.prompt not in (prompts.FIRST, prompts.GO_ON):  # a person's words; the next start goes on with them
            leave_message(agent, order.prompt)
        agent.order_file.unlink()
        report.unqueued.append(agent.name)
    if newest is None:
        return None
    order, run = newest.order, newest.run
    if order is None or run is None or not (process_tree.is_alive(run.keeper) or process_tree.members(run.mark)):
        return None
    if newest.stop is None:
        newest.write("stop", Stop(reason, time.time(), idle=bool(run.window) and is_turn_over(agent, run)))
    report.stopped.append(agent.name)
    return _Running(agent.name, newest, order, run)


def _save(fleet: Fleet, one: _Running, report: StopReport, save: Save) -> None:
    try:
        saved = save(fleet.name, one.agent, Path(one.order.worktree), "its session was stopped")
    except (OrchestraError, OSError) as error:
        report.unsaved.append((one.agent, str(error)))
        return
    if saved is not None:
        report.saved.append((one.agent, saved))
