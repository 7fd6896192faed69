"""``orchestra logs``: what an agent's sessions printed and did."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from orchestra.cli.call import Call
from orchestra.cli.console import print_result, show_json
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
    declared = call.agent(fleet, agent)
    if call.json and follow:
        raise call.wrong_line("--json prints one document, and --follow does not end", hint="give one of them")
    if call.json:
        show_json({"agent": declared.name, "lines": list(read_log(fleet, declared, raw=raw))})
        return ExitCode.DONE
    with suppress(KeyboardInterrupt) if follow else nullcontext():
        for line in read_log(fleet, declared, follow=follow, raw=raw):
            print_result(line)
    return ExitCode.DONE
