"""``orchestra attach``: enter an agent's session."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task("AGENT", examples=("attach api",))
def attach(call: Call, agent: str) -> ExitCode:
    """Enter an agent's session.

    That is its tmux window, or its ended session resumed in this terminal.
    """
    fleet = call.load_fleet()
    require_trust(fleet)  # an ended session is resumed by the runner
    return enter_session(fleet, call.agent(fleet, agent), json=call.json)
