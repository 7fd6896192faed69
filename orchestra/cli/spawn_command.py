"""``orchestra spawn``: give every agent its branch, worktree, instruction files and set-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName, RunnerKind
from orchestra.cli.call import Call, recover_landing
from orchestra.cli.console import Cell, Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.cli.session_actions import print_start_report, start_agents, start_report_to_json
from orchestra.cli.table_layout import show_table
from orchestra.cli.trust_command import require_trust, untrusted_note
from orchestra.cli.workspace_output import COMMANDS_AT_ONCE, phase_progress, print_not_ready, print_steps
from orchestra.errors import ExitCode, UsageError
from orchestra.fleet import Fleet
from orchestra.text import format_count

if TYPE_CHECKING:
    from orchestra.workspace.spawn import SpawnReport

_TONES = {"ready": Tone.GOOD, "not-ready": Tone.BAD}


@task(
    "[BLUEPRINT|AGENT...]",
    help={
        "fresh": "Begin a new round: archive what the agents have, and start them from today's target.",
        "start": "Start the agents' sessions as well.",
        "dry-run": "Print the steps and change nothing.",
        "yes": "Trust the commands of a blueprint that is in the repository, without asking.",
    },
    examples=("spawn mvp5", "spawn api auth", "spawn --fresh"),
    exits={0: "every agent is ready", 1: "the set-up of some agents failed, or --fresh left some as they are"},
)
def spawn(
    call: Call,
    words: tuple[str, ...],
    fresh: bool = False,
    start: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> ExitCode:
    """Give every agent its branch, worktree and set-up.

    Each worktree has CLAUDE.md, TASK.md and AGENT_NOTES.md. A first word that names a blueprint spawns its fleet.

    Run again, it creates what is missing and changes nothing else. A branch or folder that does not belong to the
    fleet stops it before anything is created. Branches start from today's target, and an agent that has no commits, no
    session and no uncommitted work is moved to it.

    With --fresh the fleet, or the named agents, begin a new round. Uncommitted work is saved, and each agent's refs and
    branch are kept below refs/orchestra/archive/FLEET/N/AGENT.
    """
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.spawn import spawn as run
    from orchestra.workspace.spawn_plan import SpawnRefused, plan_spawn

    call, agents = call.split_words(words)
    fleet = call.load_fleet()
    if call.blueprint is not None:
        _note_shadowing(fleet, call.blueprint)
    names = call.names(fleet, agents)
    if dry_run:
        fleet.repository.require_writable()
        plan = plan_spawn(fleet, agents=names, fresh=fresh)
        if plan.problems:
            raise SpawnRefused(plan.problems, plan.blueprint_errors)
        notes = [*plan.notes, *untrusted_note(fleet)]
        print_steps(plan.lines(), notes, json=call.json, nothing="Nothing to do.")
        return ExitCode.DONE
    require_trust(fleet, yes=yes)
    recover_landing(fleet)
    with LocalEngine(COMMANDS_AT_ONCE) as engine, phase_progress("spawn") as listener:
        report = run(fleet, engine=engine, agents=names, fresh=fresh, progress=listener)
    ready = [place.agent for place in report.places if place.readiness.state.value == "ready"]
    started = start_agents(fleet, [fleet.require_agent(name) for name in ready]) if start else None
    if call.json:
        show_json(spawn_report_to_json(fleet, report) | {"started": start_report_to_json(started) if started else None})
    else:
        print_spawn_report(fleet, report)
        if started:
            print_start_report(started)
    if report.not_ready:
        call.print_next(" ".join(["spawn", *(place.agent for place in report.not_ready)]), with_blueprint=False)
    elif ready:
        following = "status --watch" if start else _start_command(fleet, ready)
        if names and following == "start":
            following = f"start {' '.join(ready)}"
        call.print_next(following, with_blueprint=False)
    return ExitCode.SHORT if report.not_ready or report.not_renewed else ExitCode.DONE


def _start_command(fleet: Fleet, ready: Sequence[AgentName]) -> str:
    """Return the words that put these agents to work; agents without a runner wait for a person."""
    has_runner = [name for name in ready if fleet.require_agent(name).runner.kind is not RunnerKind.NONE]
    return "start" if has_runner else f"path {ready[0]}"


def _note_shadowing(fleet: Fleet, blueprint: str) -> None:
    """Say that a blueprint of the repository hides the shipped one of the same name."""
    from orchestra.blueprint.load import find_blueprint

    try:
        shipped = find_blueprint(blueprint, None)
    except UsageError:
        return
    if shipped.resolve() != fleet.blueprint.source.resolve() and "/" not in blueprint:
        print_note(
            f"{blueprint} is {fleet.blueprint.source}, which hides the shipped blueprint of that name", Tone.WAITING
        )


def print_spawn_report(fleet: Fleet, report: SpawnReport) -> None:
    """Print each agent's place and the result of its set-up."""
    agents = format_count(len(report.places), "agent")
    print_result(f"{fleet.name}: {agents}, branched from {report.base[:10]}, landing on {fleet.target}")
    rows: list[list[str | Cell]] = []
    for place in report.places:
        ready = place.readiness.state.value
        tone = _TONES.get(ready, Tone.QUIET)
        rows.append([place.agent, place.branch, str(place.path), place.origin.value, Cell(ready, tone)])
    show_table(("agent", "branch", "worktree", "", "set-up"), rows)
    for note in report.notes:
        print_note(note, Tone.WAITING)
    print_not_ready([(place.agent, place.readiness) for place in report.not_ready])


def spawn_report_to_json(fleet: Fleet, report: SpawnReport) -> dict[str, object]:
    """Return the report as ``spawn --json`` prints it, without the sessions."""
    return {
        "fleet": fleet.name,
        "base": report.base,
        "steps": list(report.steps),
        "notes": list(report.notes),
        "agents": [
            {
                "name": place.agent,
                "branch": place.branch,
                "worktree": str(place.path),
                "origin": place.origin.value,
                "ready": place.readiness.state.value,
                "reason": place.readiness.reason,
                "error_line": place.readiness.error_line,
                "elapsed_s": place.readiness.elapsed_s,
                "log": str(place.readiness.log) if place.readiness.log else None,
            }
            for place in report.places
        ],
    }
