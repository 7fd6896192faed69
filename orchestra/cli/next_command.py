"""``orchestra next``: go to the agent that needs a person most."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import print_result, show_json
from orchestra.cli.program import task
from orchestra.cli.session_actions import enter_session
from orchestra.errors import ExitCode


@task(examples=("next", "next --json"))
def next(call: Call) -> ExitCode:
    """Go to the agent that needs a person most.

    Questions come first, then ended turns, failures, and finished work that is not reviewed; of those the oldest. It
    enters the session of an agent that asks; for the others it prints the command to type.
    """
    from orchestra.cli.next_step import list_needs, next_command
    from orchestra.status import read_status

    fleet = call.load_fleet()
    status = read_status(fleet)
    needs = list_needs(status)
    if call.json:
        rows = [
            {"agent": n.row.agent.name, "state": n.row.state.state, "reason": n.reason, "command": n.command}
            for n in needs
        ]
        show_json({"fleet": fleet.name, "waiting": rows, "next": next_command(status)})
        return ExitCode.DONE
    if not needs:
        words = next_command(status)
        if not (words or "").startswith("path "):
            print_result("No agent is waiting for a person.")
        call.print_next(words)
        return ExitCode.DONE
    first = needs[0]
    if first.command.startswith("attach "):
        return enter_session(fleet, first.row.agent)
    print_result(f"{first.row.agent.name}: {first.reason}")
    if len(needs) > 1:
        print_result(f"{len(needs) - 1} more: {', '.join(need.row.agent.name for need in needs[1:])}")
    call.print_next(first.command)
    return ExitCode.DONE
