"""Start sessions and enter them: shared by start, spawn, request-changes, attach and next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.blueprint.model import Agent, RunnerKind
from orchestra.cli.call import agent_rows
from orchestra.cli.console import Tone, is_terminal, print_result, show_json
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.sessions.start import StartReport


def start_agents(fleet: Fleet, agents: Sequence[Agent] | None, *, finished_too: bool = False) -> StartReport:
    """Start the sessions of ``agents`` (None: all)."""
    from orchestra.sessions.start import start_fleet
    from orchestra.status import read_status
    from orchestra.workspace.provision import agent_environment

    states = {row.agent.name: row.state for row in read_status(fleet).rows}
    return start_fleet(fleet, states, agents, include_finished=finished_too, environment=agent_environment)


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


def start_report_to_json(report: StartReport) -> dict[str, object]:
    """Return what a start did, as a part of a JSON document."""
    return {
        "queued": list(report.queued),
        "running": list(report.running),
        "skipped": agent_rows(report.skipped, "reason"),
        "by_hand": agent_rows(((name, list(lines)) for name, lines in report.by_hand), "commands"),
        "messages": agent_rows(((name, str(state)) for name, state in report.messages), "delivery"),
    }


def enter_session(fleet: Fleet, agent: Agent, *, json: bool = False) -> ExitCode:
    """Attach this terminal to an agent's session; without a terminal, or with ``json``, print the command that does."""
    import shlex

    from orchestra.engine.process import foreground
    from orchestra.sessions.attach import attach_to

    session = attach_to(fleet, agent)
    folder = session.cwd or fleet.worktree(agent)
    if json:
        show_json({"agent": agent.name, "argv": list(session.argv), "folder": str(folder), "hint": session.hint})
        return ExitCode.DONE
    if not session.argv:
        print_result(f"{agent.name}: {session.hint}")
        return ExitCode.DONE if agent.runner.kind is RunnerKind.NONE else ExitCode.SHORT
    if not is_terminal():
        print_result(f"cd {shlex.quote(str(folder))} && {shlex.join(session.argv)}")
        return ExitCode.DONE
    return ExitCode.DONE if foreground(session.argv, cwd=folder) == 0 else ExitCode.SHORT
