"""Find the agent that has waited longest for a person, and the command that attaches to its session."""

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
from orchestra.sessions.runners.placeholders import fill
from orchestra.sessions.state import AgentState, State
from orchestra.sessions.store import FleetFolder

_WAITING = (State.WAITING, State.IDLE)


@dataclass(frozen=True, slots=True)
class Attach:
    """Run ``argv`` in ``cwd`` to attach; without argv, ``hint`` says what to do instead."""

    argv: tuple[str, ...] = ()
    cwd: Path | None = None
    hint: str = ""


def next_waiting(states: Mapping[AgentName, AgentState]) -> AgentName | None:
    """Return the agent to attend to: permissions and questions before ended turns, the longest wait first."""
    waiting = [name for name, state in states.items() if state.state in _WAITING]
    return min(
        waiting, key=lambda name: (_WAITING.index(states[name].state), states[name].at or 0.0, name), default=None
    )


def attach_to(fleet: Fleet, agent: Agent) -> Attach:
    """Return how to attach to an agent's session, or to resume it when it has ended."""
    folder = FleetFolder(fleet.folder).agent(agent.name)
    newest = folder.newest()
    request, run = (newest.request, newest.run) if newest is not None else (None, None)
    if newest is None or request is None or run is None:
        if agent.runner.kind is RunnerKind.NONE:
            return Attach(hint="; ".join(manual_commands(fleet.worktree(agent))))
        return Attach(hint=f"it has no session yet: run orchestra start {agent.name}")
    alive = process_tree.is_alive(run.keeper)
    if run.window and (alive or tmux.find_pane(run.window, run.mark) is not None):
        return Attach(tmux.attach_argv(tmux.session_name(fleet.folder), run.window), fleet.worktree(agent))
    if alive:
        return Attach(hint=f"it works headless: run orchestra logs -f {agent.name}")
    result, worktree = newest.result, fleet.worktree(agent)
    session = (result.session_id if result else "") or request.session_id
    if request.kind is RunnerKind.CLAUDE:
        argv = (PROGRAM, "--resume", session, "--settings", str(folder.settings), "--permission-mode", "acceptEdits")
        return Attach(argv, worktree)
    if not request.resume_argv:
        read_it = f"run orchestra logs {agent.name}, or orchestra start {agent.name} for a new one"
        return Attach(hint=f"its session has ended, and its runner has no `resume` command; {read_it}")
    values = {"prompt": "", "prompt_file": "", "worktree": str(worktree), "session_id": session}
    values["settings"] = str(folder.policy)
    return Attach(tuple(fill(part, values) for part in request.resume_argv), worktree)
