"""``orchestra attach``: enter an agent's session."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(positional=["agent"])
def attach(c: Context, agent: str, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
    """Enter an agent's session: its tmux window, or its ended session resumed in this terminal."""
    fleet = load_fleet(repo, blueprint)
    require_trust(fleet)  # an ended session is resumed by the runner
    return enter_session(fleet, fleet.require_agent(agent))
