"""Start sessions and enter them: shared by start, spawn, request-changes, attach and next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra.blueprint.model import Agent, AgentName
from orchestra.cli.console import Tone, is_terminal, print_note, print_result
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.sessions.start import StartReport
    from orchestra.sessions.state import AgentState


def start_agents(fleet: Fleet, agents: Sequence[Agent] | None, *, finished_too: bool = False) -> None:
    """Start the sessions of ``agents`` (None: all) and print what was done for each."""
    from orchestra.sessions.start import start_fleet
    from orchestra.workspace.provision import agent_environment

    states = read_states(fleet)
    print_start_report(start_fleet(fleet, states, agents, include_finished=finished_too, environment=agent_environment))


def print_start_report(report: StartReport) -> None:
    """Print what a start did, one line a group."""
    if report.queued:
        print_result(f"queued: {', '.join(report.queued)}")
    for name, course in report.messages:
        print_result(f"{name}: {course}")
    if report.running and not report.messages:
        print_result(f"already running: {', '.join(report.running)}")
    for name, reason in report.skipped:
        print_result(f"{name}: not started: {reason}", Tone.QUIET)
    for name, lines in report.by_hand:
        print_result(f"{name}: start it by hand:")
        for line in lines:
            print_result(f"  {line}")
    if report.queued:
        print_note("Watch them: orchestra status --watch; read one: orchestra logs AGENT --follow")


def enter_session(fleet: Fleet, agent: Agent) -> ExitCode:
    """Attach this terminal to an agent's session; without a terminal, print the command that does."""
    import shlex

    from orchestra.engine.process import foreground
    from orchestra.sessions.attach import attach_to

    session = attach_to(fleet, agent)
    if not session.argv:
        print_result(f"{agent.name}: {session.hint}")
        return ExitCode.DONE
    folder = session.cwd or fleet.worktree(agent)
    if not is_terminal():
        print_result(f"cd {shlex.quote(str(folder))} && {shlex.join(session.argv)}")
        return ExitCode.DONE
    return ExitCode.DONE if foreground(session.argv, cwd=folder) == 0 else ExitCode.SHORT


def read_states(fleet: Fleet) -> Mapping[AgentName, AgentState]:
    """Return every agent's state."""
    from orchestra.status import read_status

    return {row.agent.name: row.state for row in read_status(fleet).rows}
