"""``orchestra attach``: enter an agent's session."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session
from orchestra.errors import ExitCode


@task(positional=["agent"])
def attach(c: Context, agent: str, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
    """Enter an agent's session: its tmux window, or its ended session resumed in this terminal."""
    fleet = load_fleet(repo, blueprint)
    return enter_session(fleet, fleet.require_agent(agent))
