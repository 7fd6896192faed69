"""``orchestra next``: enter the session that has waited longest for a person."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.console import print_result
from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session, read_states
from orchestra.errors import ExitCode


@task()
def next(c: Context, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
    """Enter the session of the agent that has waited longest for a person; without a terminal, print the command."""
    from orchestra.sessions.attach import next_waiting

    fleet = load_fleet(repo, blueprint)
    name = next_waiting(read_states(fleet))
    if name is None:
        print_result("No agent is waiting for a person.")
        return ExitCode.DONE
    return enter_session(fleet, fleet.require_agent(name))
