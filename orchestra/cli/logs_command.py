"""``orchestra logs``: what an agent's sessions printed and did."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.console import print_result
from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    positional=["agent"],
    help={"follow": "Print new lines until interrupted.", "raw": "The program's own output, as it printed it."},
)
def logs(
    c: Context,
    agent: str,
    follow: bool = False,
    raw: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """Print what an agent's sessions wrote and did, in readable lines."""
    from orchestra.sessions.logs import read_log

    fleet = load_fleet(repo, blueprint)
    for line in read_log(fleet, fleet.require_agent(agent), follow=follow, raw=raw):
        print_result(line)
    return ExitCode.DONE
