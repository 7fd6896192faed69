"""End sessions on purpose, with all their processes, and save their uncommitted work.

Invariant: a stop is on disk before anything is ended, so that nothing starts the session again; uncommitted work is
saved after the last process has ended, when nothing changes it any more. Safe to run twice and during a supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Error as SqliteError

from orchestra.blueprint.model import Agent, AgentName, FleetName
from orchestra.engine import process_tree
from orchestra.errors import MovedError, OrchestraError
from orchestra.fleet import Fleet
from orchestra.git.git_process import Git
from orchestra.git.unsaved_work import keep_snapshot, next_saved, saved_as, take_snapshot
from orchestra.sessions import prompts
from orchestra.sessions.launch import end_session_now, recover_half_started
from orchestra.sessions.message import append_message
from orchestra.sessions.runners.registry import read_result
from orchestra.sessions.session_facts import is_turn_over
from orchestra.sessions.state import Stop
from orchestra.sessions.store import AgentFolder, FleetFolder, Run, RunFolder, SessionRequest

_THREADS = 16
_SAVE_ATTEMPTS = 5
Save = Callable[[FleetName, AgentName, Path, str], str | None]
"""``save(fleet, agent, worktree, reason)``: the ref that now holds the uncommitted work, None when there is none."""


@dataclass(frozen=True)
class StopReport:
    """``stopped``: had a session; ``unqueued``: was queued; ``saved``: agent and ref of its uncommitted work;
    ``unsaved``: agent and why it could not be saved; ``survivors``: agent and pids that could not be ended;
    ``errors``: agent and what else failed."""

    stopped: list[AgentName] = field(default_factory=list)
    unqueued: list[AgentName] = field(default_factory=list)
    saved: list[tuple[AgentName, str]] = field(default_factory=list)
    unsaved: list[tuple[AgentName, str]] = field(default_factory=list)
    survivors: list[tuple[AgentName, tuple[int, ...]]] = field(default_factory=list)
    errors: list[tuple[AgentName, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Running:
    agent: AgentName
    folder: RunFolder
    request: SessionRequest
    run: Run


def save_work(fleet: FleetName, agent: AgentName, worktree: Path, reason: str) -> str | None:
    """Save uncommitted work as refs/orchestra/FLEET/AGENT/saved/N; an existing ref with the same content is returned.

    It changes neither the worktree nor its index, so it may be done at any time and twice.

    Raises GroundError, GitError, DiskFull, MovedError.
    """
    if not (worktree / ".git").exists():
        return None
    git = Git(worktree)
    snapshot = take_snapshot(worktree)
    if snapshot.saved:
        return None
    for attempt in range(1, _SAVE_ATTEMPTS + 1):
        ref = next_saved(git, fleet, agent)  # before the look: what is saved meanwhile takes this number
        same = saved_as(git, fleet, agent, snapshot)
        if same is not None:
            return same
        try:
            keep_snapshot(worktree, snapshot, ref, f"orchestra: uncommitted work of {agent}: {reason}")
        except MovedError:
            # Stop and the supervisor may save the same work at the same time.
            if attempt == _SAVE_ATTEMPTS:
                raise
        else:
            return ref
    return None


def stop_fleet(
    fleet: Fleet, agents: Sequence[Agent] | None = None, *, reason: str = "stopped by you", save: Save = save_work
) -> StopReport:
    """End the sessions of ``agents`` (None: all of the fleet, also those no longer declared) and save their work."""
    folder = FleetFolder(fleet.folder)
    chosen = folder.agents() if agents is None else [folder.agent(agent.name) for agent in agents]
    report = StopReport()
    # Empty the queue and record every stop, so that nothing starts the sessions again.
    with folder.control():
        recorded = [_record_stop(agent, reason, report) for agent in chosen]
    running = [session for session in recorded if session is not None]
    # End them all at once.
    with ThreadPoolExecutor(_THREADS) as pool:
        survivors = list(pool.map(lambda session: _end(session, report), running))
    # Save what is uncommitted, now that nothing changes it any more.
    for session, processes in zip(running, survivors, strict=True):
        if processes:
            report.survivors.append((session.agent, tuple(process.pid for process in processes)))
        try:
            ref = save(fleet.name, session.agent, Path(session.request.worktree), "its session was stopped")
        except (OrchestraError, OSError) as error:
            report.unsaved.append((session.agent, str(error)))
        else:
            if ref is not None:
                report.saved.append((session.agent, ref))
    # Sum up last: writing may fail, as on a full disk, and by now all work is safe.
    for session in running:
        try:
            session.folder.write("result", read_result(session.request, session.folder))
            fleet.ledger.record("session.stopped", session.agent, run=session.folder.number)
        except (OrchestraError, OSError, SqliteError) as error:
            report.errors.append((session.agent, str(error)))
    return report


def _end(session: _Running, report: StopReport) -> tuple[process_tree.ProcessId, ...]:
    try:
        return end_session_now(session.run)
    except (OrchestraError, OSError) as error:
        report.errors.append((session.agent, str(error)))
        return process_tree.members(session.run.mark)


def _record_stop(agent: AgentFolder, reason: str, report: StopReport) -> _Running | None:
    """Take the agent out of the queue and record the stop of its running session, which is returned."""
    if problem := agent.error():
        report.errors.append((agent.name, f"its session files cannot be read: {problem}"))
        return None
    newest = agent.newest()
    try:
        if newest is not None and recover_half_started(agent, newest):
            newest = agent.newest()
        if (queued := agent.request) is not None:
            if queued.prompt not in (prompts.FIRST, prompts.RESUME):  # a person's message: the next start delivers it
                append_message(agent, queued.prompt)
            agent.request_file.unlink()
            report.unqueued.append(agent.name)
    except OSError as error:
        report.errors.append((agent.name, f"it stays in the queue: {error}"))
    if newest is None:
        return None
    request, run = newest.request, newest.run
    if request is None or run is None or not (process_tree.is_alive(run.keeper) or process_tree.members(run.mark)):
        return None
    if newest.stop is None:
        try:
            is_idle = bool(run.window) and is_turn_over(agent, run, request.session_id)
            newest.write("stop", Stop(reason, time.time(), idle=is_idle))
        except OSError as error:  # as on a full disk: the session is ended all the same
            report.errors.append((agent.name, f"the stop could not be recorded: {error}"))
    report.stopped.append(agent.name)
    return _Running(agent.name, newest, request, run)
