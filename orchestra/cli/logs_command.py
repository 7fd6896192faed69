"""``orchestra logs``: what the agents' sessions printed and did."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from orchestra.cli.call import Call
from orchestra.cli.console import print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    "[AGENT...]",
    help={"follow": "Print new lines until Ctrl-C.", "raw": "The programs' own output, as they printed it."},
    examples=("logs api", "logs -f api auth"),
)
def logs(call: Call, agents: tuple[str, ...], follow: bool = False, raw: bool = False) -> ExitCode:
    """Print what agents' sessions wrote and did.

    With several agents, each line begins with the name of its agent. Without a name: all agents that had a session.
    """
    from orchestra.sessions.logs import read_logs

    fleet = call.load_fleet()
    selected = call.agents(fleet, agents)
    if call.json and follow:
        raise call.wrong_line("--json prints one document, and --follow does not end", hint="give one of them")
    lines = read_logs(fleet, selected, follow=follow, raw=raw)
    if call.json:
        by_agent: dict[str, list[str]] = {}
        for name, line in lines:
            by_agent.setdefault(name, []).append(line)
        rows = [{"agent": name, "lines": agent_lines} for name, agent_lines in by_agent.items()]
        show_json({"fleet": fleet.name, "agents": rows})
        return ExitCode.DONE
    width = max((len(agent.name) for agent in selected or fleet.blueprint.agents), default=0)
    is_one = selected is not None and len(selected) == 1
    with suppress(KeyboardInterrupt) if follow else nullcontext():
        for name, line in lines:
            print_result(line if is_one else f"{name:<{width}} | {line}")
    return ExitCode.DONE
