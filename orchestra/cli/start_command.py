"""``orchestra start``: start the agents' sessions."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import show_json
from orchestra.cli.program import task
from orchestra.cli.session_actions import print_start_report, start_agents, start_report_to_json
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
    report = start_agents(fleet, selected, finished_too=again)
    if call.json:
        show_json({"fleet": fleet.name, **start_report_to_json(report)})
    else:
        print_start_report(report)
    call.print_next("status --watch" if report.queued or report.running else None)
    return ExitCode.DONE
