"""Giving agents a place and taking it back, as tasks: spawn, clean. Shows; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import Cell, Tone, progress, say, show_json, show_table, tell
from orchestra.cli.context import chosen, finish_landing, opened
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.ledger import Json

if TYPE_CHECKING:
    from orchestra.workspace.apply_spawn import Progress
    from orchestra.workspace.spawn import AgentPlace, SpawnPlan, SpawnReport
    from orchestra.workspace.steps import Step

_AGENTS = {"agents": "Names or numbers, separated by commas. Default: all of the fleet."}
_PLACES = 4  # set-up commands at once: they wait for disks and registries more than for cores
_TONES = {"ready": Tone.GOOD, "not-ready": Tone.BAD}


@task(
    help={
        **_AGENTS,
        "start": "Start the agents' sessions as well.",
        "dry-run": "Print the steps and take none of them.",
    }
)
def spawn(
    c: Context,
    agents: str | None = None,
    start: bool = False,
    dry_run: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Give every agent a branch, a worktree with CLAUDE.md, TASK.md and AGENT_NOTES.md, and its set-up.

    Run again, it changes nothing that is there and makes what is missing. A branch or folder that is not the
    fleet's is left alone and named before anything is made. Everything is cut from one commit, pinned for the fleet.
    """
    fleet = opened(repo, blueprint)
    names = _names(fleet, agents)
    if dry_run:
        return _show_plan(fleet, names, json)
    finish_landing(fleet)
    report = _spawn(fleet, names)
    if json:
        show_json(_report_json(fleet, report))
    else:
        _show_report(fleet, report)
    if start:
        from orchestra.cli.session_commands import start_and_show

        start_and_show(fleet, [fleet.require_agent(place.agent) for place in report.places if _may_start(place)])
    return ExitCode.SHORT if report.not_ready else ExitCode.DONE


@task(help={"dry-run": "Print the steps and take none of them."})
def clean(
    c: Context, dry_run: bool = False, repo: str | None = None, blueprint: str | None = None, json: bool = False
) -> ExitCode:
    """Remove the worktrees and branches of agents whose work landed or was discarded; nothing else.

    Uncommitted work in them is saved under refs/orchestra/FLEET/AGENT/saved first. What holds anything that would be
    lost is kept and named.
    """
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.clean import clean as run
    from orchestra.workspace.clean import plan_clean

    fleet = opened(repo, blueprint)
    if dry_run:
        plan = plan_clean(fleet)
        _show_steps(plan.steps, json, skipped=plan.skipped)
        return ExitCode.DONE
    finish_landing(fleet)
    with LocalEngine(_PLACES) as engine, _progress("clean") as told:
        report = run(fleet, engine=engine, progress=told)
    if json:
        show_json(_clean_json(report.steps, report.skipped))
        return ExitCode.DONE
    for step in report.steps:
        say(str(step))
    for name, why in report.skipped:
        tell(f"{name}: {why}", Tone.WAITING)
    if not report.steps:
        say("nothing to clean: no agent with a worktree or branch has landed or was discarded")
    return ExitCode.DONE


def _names(fleet: Fleet, agents: str | None) -> list[AgentName] | None:
    found = chosen(fleet, agents)
    return None if found is None else [agent.name for agent in found]


def _overlap_problems(fleet: Fleet) -> list[str]:
    """Overlapping scopes, where the blueprint calls them errors."""
    from orchestra.plan.finding import Severity
    from orchestra.plan.scope_findings import scope_overlaps

    return [
        f"{finding.message}; {finding.advice}"
        for finding in scope_overlaps(fleet.blueprint)
        if finding.severity is Severity.ERROR
    ]


def _spawn(fleet: Fleet, names: Collection[AgentName] | None) -> SpawnReport:
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.spawn import spawn as run

    with LocalEngine(_PLACES) as engine, _progress("spawn") as told:
        return run(fleet, engine=engine, agents=names, overlap_problems=_overlap_problems(fleet), progress=told)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[Progress], None]]:
    with progress(what) as step:
        yield lambda p: step(f"{p.phase} {p.done}/{p.total} {p.agent}{f': {p.detail}' if p.detail else ''}")


def _show_plan(fleet: Fleet, names: Collection[AgentName] | None, json: bool) -> ExitCode:
    from orchestra.workspace.spawn import SpawnRefused, plan_spawn

    plan: SpawnPlan = plan_spawn(fleet, agents=names, overlap_problems=_overlap_problems(fleet))
    if plan.problems:
        raise SpawnRefused(plan.problems)
    _show_steps(plan.steps, json)
    for note in plan.notes:
        tell(note, Tone.WAITING)
    return ExitCode.DONE


def _show_steps(steps: Sequence[Step], json: bool, *, skipped: Sequence[tuple[AgentName, str]] = ()) -> None:
    if json:
        show_json(_clean_json(steps, skipped))
        return
    for step in steps:
        say(str(step))
    for name, why in skipped:
        tell(f"{name}: {why}", Tone.WAITING)
    if not steps:
        say("nothing to do")


def _clean_json(steps: Sequence[Step], skipped: Sequence[tuple[AgentName, str]]) -> Json:
    return {
        "steps": [str(step) for step in steps],
        "skipped": [{"agent": name, "reason": why} for name, why in skipped],
    }


def _report_json(fleet: Fleet, report: SpawnReport) -> Json:
    return {
        "fleet": fleet.name,
        "base": report.base,
        "steps": [str(step) for step in report.steps],
        "notes": list(report.notes),
        "agents": [
            {
                "name": place.agent,
                "branch": place.branch,
                "worktree": str(place.path),
                "origin": place.had.value,
                "ready": place.readiness.state.value,
                "reason": place.readiness.reason,
                "log": str(place.readiness.log) if place.readiness.log else None,
            }
            for place in report.places
        ],
    }


def _show_report(fleet: Fleet, report: SpawnReport) -> None:
    say(f"{fleet.name}: {len(report.places)} agents, cut from {report.base[:10]}, landing on {fleet.target}")
    show_table(("agent", "branch", "worktree", "", "set-up"), [_row(place) for place in report.places])
    for note in report.notes:
        tell(note, Tone.WAITING)
    for place in report.not_ready:
        log = f" (log: {place.readiness.log})" if place.readiness.log else ""
        tell(f"{place.agent} is not ready: {place.readiness.reason}{log}", Tone.BAD)
    if report.not_ready:
        tell("orchestra spawn tries the set-up of these again")


def _row(place: AgentPlace) -> list[str | Cell]:
    ready = place.readiness.state.value
    return [place.agent, place.branch, str(place.path), place.had.value, Cell(ready, _TONES.get(ready, Tone.QUIET))]


def _may_start(place: AgentPlace) -> bool:
    return place.readiness.state.value == "ready"
