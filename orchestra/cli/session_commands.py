"""Agents at work, as tasks: start, stop, attach, next, logs, doctor. Shows; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.blueprint.model import Agent, AgentName
from orchestra.cli.console import Tone, is_terminal, say, tell
from orchestra.cli.context import chosen, opened
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.sessions.start import StartReport
    from orchestra.sessions.state import AgentState

_AGENTS = {"agents": "Names or numbers, separated by commas. Default: all of the fleet."}
_AGENT = {"agent": "Its name or number."}


@task(help={**_AGENTS, "again": "Also agents that have finished."})
def start(
    c: Context,
    agents: str | None = None,
    again: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """Start a session for every agent that needs one: as many at once as the blueprint's limits say, the rest queued.

    They go on when this terminal closes. What failed, was stopped or got lost goes on in its own session.
    """
    fleet = opened(repo, blueprint)
    start_and_show(fleet, chosen(fleet, agents), again=again)
    return ExitCode.DONE


def start_and_show(fleet: Fleet, agents: Sequence[Agent] | None, *, again: bool = False) -> None:
    """Start the sessions of ``agents`` (None: all) and say what became of each."""
    from orchestra.sessions.start import start_fleet
    from orchestra.workspace.provision import agent_environment

    show_started(start_fleet(fleet, _states(fleet), agents, again=again, environment=agent_environment))


def show_started(report: StartReport) -> None:
    """What a start did, one line a group."""
    if report.queued:
        say(f"queued: {', '.join(report.queued)}")
    for name, course in report.messages:
        say(f"{name}: {course}")
    if report.running and not report.messages:
        say(f"already at work: {', '.join(report.running)}")
    for name, why in report.skipped:
        say(f"{name}: not started, {why}", Tone.QUIET)
    for name, lines in report.by_hand:
        say(f"{name}: start it yourself")
        for line in lines:
            say(f"  {line}")
    if report.queued:
        tell("orchestra status --watch shows them; orchestra logs AGENT --follow shows one")


@task(help={**_AGENTS, "reason": "Kept on record and shown by status."})
def stop(
    c: Context,
    agents: str | None = None,
    reason: str = "stopped by you",
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """End the sessions of agents, with every process they started, and save their uncommitted work."""
    from orchestra.sessions.stop import stop_fleet

    fleet = opened(repo, blueprint)
    report = stop_fleet(fleet, chosen(fleet, agents), reason=reason)
    for name in report.unqueued:
        say(f"{name}: taken from the queue")
    for name in report.stopped:
        say(f"{name}: stopped")
    for name, ref in report.saved:
        say(f"{name}: uncommitted work saved as {ref}; it is in the worktree, too")
    for name, why in report.unsaved:
        tell(f"{name}: its uncommitted work is in its worktree and could not be saved elsewhere: {why}", Tone.BAD)
    for name, pids in report.left:
        tell(f"{name}: these processes could not be ended: {', '.join(map(str, pids))}", Tone.BAD)
    if not report.stopped and not report.unqueued:
        say("no session is at work")
    return ExitCode.SHORT if report.left or report.unsaved else ExitCode.DONE


@task(positional=["agent"], help=_AGENT)
def attach(c: Context, agent: str, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
    """Go into an agent's session: its tmux window, or its ended session resumed in this terminal."""
    fleet = opened(repo, blueprint)
    return _go_to(fleet, fleet.require_agent(agent))


@task()
def next(c: Context, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
    """Go to the agent that has waited longest for a person; without a terminal, say which and how."""
    from orchestra.sessions.attach import next_waiting

    fleet = opened(repo, blueprint)
    found = next_waiting(_states(fleet))
    if found is None:
        say("nobody waits for a person")
        return ExitCode.DONE
    return _go_to(fleet, fleet.require_agent(found))


@task(
    positional=["agent"],
    help={**_AGENT, "follow": "Go on until interrupted.", "raw": "The program's own output, unread."},
)
def logs(
    c: Context,
    agent: str,
    follow: bool = False,
    raw: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """What an agent's sessions said and did, in readable lines."""
    from orchestra.sessions.logs import read_log

    fleet = opened(repo, blueprint)
    for line in read_log(fleet, fleet.require_agent(agent), follow=follow, raw=raw):
        say(line)
    return ExitCode.DONE


def _go_to(fleet: Fleet, agent: Agent) -> ExitCode:
    import shlex

    from orchestra.engine.process import foreground
    from orchestra.sessions.attach import attach_to

    way = attach_to(fleet, agent)
    if not way.argv:
        say(f"{agent.name}: {way.hint}")
        return ExitCode.DONE
    folder = way.cwd or fleet.worktree(agent)
    if not is_terminal():
        say(f"cd {shlex.quote(str(folder))} && {shlex.join(way.argv)}")
        return ExitCode.DONE
    return ExitCode.DONE if foreground(way.argv, cwd=folder) == 0 else ExitCode.SHORT


def _states(fleet: Fleet) -> Mapping[AgentName, AgentState]:
    from orchestra.status import read_status

    return {row.agent.name: row.state for row in read_status(fleet).rows}
