"""``orchestra next``: enter the session that has waited longest for a person."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import print_result
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session, read_states
from orchestra.errors import ExitCode


@task(examples=("next",))
def next(call: Call) -> ExitCode:
    """Go to the agent that needs a person most.

    Enter the session of the agent that has waited longest for a person; without a terminal, print the command.
    """
    from orchestra.sessions.attach import next_waiting

    fleet = call.load_fleet()
    name = next_waiting(read_states(fleet))
    if name is None:
        print_result("No agent is waiting for a person.")
        return ExitCode.DONE
    return enter_session(fleet, fleet.require_agent(name))
