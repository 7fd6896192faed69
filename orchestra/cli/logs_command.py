"""``orchestra logs``: what an agent's sessions printed and did."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import print_result
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    "AGENT",
    help={"follow": "Print new lines until Ctrl-C.", "raw": "The program's own output, as it printed it."},
    examples=("logs api", "logs -f api"),
)
def logs(call: Call, agent: str, follow: bool = False, raw: bool = False) -> ExitCode:
    """Print what an agent's sessions wrote and did."""
    from orchestra.sessions.logs import read_log

    fleet = call.load_fleet()
    for line in read_log(fleet, call.agent(fleet, agent), follow=follow, raw=raw):
        print_result(line)
    return ExitCode.DONE
