"""``orchestra start``: start the agents' sessions."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.program import task
from orchestra.cli.session_actions import start_agents
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task("[AGENT...]", help={"again": "Restart finished agents too."}, examples=("start", "start api auth"))
def start(call: Call, agents: tuple[str, ...], again: bool = False) -> ExitCode:
    """Start the agents' sessions.

    Every agent that needs a session gets one; what exceeds the blueprint's `limits.agents` is queued.
    The sessions keep running when this terminal closes. Failed, stopped or lost agents resume their previous session.
    """
    fleet = call.load_fleet()
    selected = call.agents(fleet, agents)
    require_trust(fleet)
    start_agents(fleet, selected, finished_too=again)
    return ExitCode.DONE
