"""Going to an agent: who waits longest for a person, and what puts that person before its session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName, RunnerKind
from orchestra.engine import process_tree
from orchestra.fleet import Fleet
from orchestra.sessions import tmux
from orchestra.sessions.prompts import manual_commands
from orchestra.sessions.runners.claude import PROGRAM
from orchestra.sessions.runners.command import fill
from orchestra.sessions.state import AgentState, State
from orchestra.sessions.store import AgentFolder, FleetFolder, SessionRequest

_WAITS = (State.WAITING, State.IDLE)


@dataclass(frozen=True, slots=True)
class Attach:
    """Run ``argv`` in ``cwd`` to be there; without it, ``hint`` says what can be done instead."""

    argv: tuple[str, ...] = ()
    cwd: Path | None = None
    hint: str = ""


def next_waiting(states: Mapping[AgentName, AgentState]) -> AgentName | None:
    """Who waits for a person: permissions and questions before ended turns, the longest wait first."""
    waiting = [name for name, state in states.items() if state.state in _WAITS]
    return min(waiting, key=lambda name: (_WAITS.index(states[name].state), states[name].at or 0.0, name), default=None)


def attach_to(fleet: Fleet, agent: Agent) -> Attach:
    """The way into an agent's session, open or over."""
    folder = FleetFolder(fleet.folder).agent(agent.name)
    newest = folder.newest()
    request, run = (newest.request, newest.run) if newest is not None else (None, None)
    if newest is None or request is None or run is None:
        if agent.runner.kind is RunnerKind.NONE:
            return Attach(hint="; ".join(manual_commands(fleet.worktree(agent))))
        return Attach(hint=f"{agent.name} has no session yet: orchestra start --agents {agent.name}")
    alive = process_tree.is_alive(run.keeper)
    if run.window and (alive or tmux.find_pane(run.window, run.mark) is not None):
        return Attach(tmux.attach_argv(tmux.session_name(fleet.folder), run.window), fleet.worktree(agent))
    if alive:
        return Attach(hint=f"{agent.name} works headless: orchestra logs {agent.name} --follow shows what it does")
    result = newest.result
    return _resume(fleet, agent, folder, request, (result.session_id if result else "") or request.session_id)


def _resume(fleet: Fleet, agent: Agent, folder: AgentFolder, request: SessionRequest, session: str) -> Attach:
    worktree = fleet.worktree(agent)
    if request.kind is RunnerKind.CLAUDE:
        argv = (PROGRAM, "--resume", session, "--settings", str(folder.settings), "--permission-mode", "acceptEdits")
        return Attach(argv, worktree)
    if not request.resume_argv:
        return Attach(hint=f"the session of {agent.name} is over, and its blueprint has no `resume` command")
    values = {"prompt": "", "prompt_file": "", "worktree": str(worktree), "session_id": session}
    values["settings"] = str(folder.policy)
    return Attach(tuple(fill(part, values) for part in request.resume_argv), worktree)
