"""``orchestra plan``: what would happen, where agents overlap, and the resources it takes. Read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode

if TYPE_CHECKING:
    from orchestra.blueprint.model import AgentName
    from orchestra.fleet import Fleet
    from orchestra.plan.plan_report import PlanReport

_GRAPHS = ("text", "mermaid", "dot")


@task(
    "[BLUEPRINT]",
    help={
        "all": "All findings with what to change, instead of errors and the first warnings.",
        "graph": "FORMAT: Only the merge order, as text, mermaid or dot (Graphviz).",
        "resolved": "Only the composed blueprint: one YAML document, each value with the file and line that set it.",
    },
    examples=("plan mvp5", "plan --graph=mermaid"),
    exits={
        0: "spawn and merge would go ahead",
        2: "the blueprint has an error",
        3: "the repository or machine has one",
    },
)
def plan(call: Call, all: bool = False, graph: str | None = None, resolved: bool = False) -> ExitCode:
    """Show what would happen, and what is likely to hurt.

    What spawn would do, the merge order, overlapping scopes and estimated resources; read-only.

    Each finding says what to change in the blueprint, with file and line. An error is what spawn or merge would
    refuse. Warnings and notes change no exit code.
    """
    _check_flags(call, graph, resolved)
    fleet = call.load_fleet()
    if resolved:
        return _say_resolved(fleet)
    if graph is not None:
        return _say_graph(fleet, graph)
    report = plan_fleet(fleet)
    if call.json:
        show_json(report.to_json())
    else:
        _say_report(report, all_findings=all)
        call.print_next("spawn" if report.exit_code == 0 and report.spawning and report.spawning.steps else None)
    return report.exit_code


def _check_flags(call: Call, graph: str | None, resolved: bool) -> None:
    if graph is not None and graph not in _GRAPHS:
        raise call.wrong_line(f"no graph {graph!r}", hint=f"--graph takes {', '.join(_GRAPHS)}")
    if (graph is not None) + resolved + call.json > 1:
        raise call.wrong_line("--graph, --resolved and --json each show one thing", hint="give one of them")


def plan_fleet(fleet: Fleet) -> PlanReport:
    """Return the plan with what spawn would do."""
    from orchestra.plan.plan import plan
    from orchestra.plan.plan_report import Spawning
    from orchestra.workspace.spawn_plan import plan_spawn

    would = plan_spawn(fleet)
    steps: list[tuple[AgentName | None, str]] = [(None, line) for line in would.fleet_lines()]
    steps += [(agent_spawn.name, line) for agent_spawn in would.agents for line in agent_spawn.lines()]
    problems = tuple(problem for problem in would.problems if problem not in would.blueprint_errors)
    return plan(fleet, spawning=Spawning(would.base, tuple(steps), problems, would.notes))


def _say_report(report: PlanReport, *, all_findings: bool) -> None:
    from orchestra.plan.finding import Severity
    from orchestra.plan.plan_text import draw_plan

    tones = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.WAITING}
    for line, severity in draw_plan(report, all_findings=all_findings):
        print_result(line, tones.get(severity, Tone.PLAIN) if severity else Tone.PLAIN)


def _say_graph(fleet: Fleet, graph: str) -> ExitCode:
    from orchestra.plan.merge_order_chart import draw_dot, draw_mermaid, draw_text, merge_graph

    order = merge_graph(fleet.blueprint)
    drawn = {
        "text": lambda: draw_text(order),
        "mermaid": lambda: draw_mermaid(order),
        "dot": lambda: draw_dot(order, fleet.name),
    }
    for line in drawn[graph]():
        print_result(line)
    return ExitCode.DONE


def _say_resolved(fleet: Fleet) -> ExitCode:
    from orchestra.blueprint.load import resolved
    from orchestra.plan.resolved_blueprint import draw_resolved

    home = fleet.repository.home
    composed = resolved(fleet.blueprint.source, blueprint_paths=[home / "blueprints"])
    for line in draw_resolved(composed, home):
        print_result(line)
    return ExitCode.DONE
