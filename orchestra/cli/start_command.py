"""``orchestra start``: start the agents' sessions."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet, select_agents
from orchestra.cli.program import task
from orchestra.cli.session_actions import start_agents
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(help={"again": "Restart finished agents too."})
def start(
    c: Context,
    agents: str | None = None,
    again: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """Start a session for every agent that needs one; what exceeds the blueprint's `limits.agents` is queued.

    The sessions keep running when this terminal closes. Failed, stopped or lost agents resume their previous session.
    """
    fleet = load_fleet(repo, blueprint)
    require_trust(fleet)
    start_agents(fleet, select_agents(fleet, agents), finished_too=again)
    return ExitCode.DONE
