"""Format a plan as lines of text. The printer makes control characters in file names visible."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestra.blueprint.model import Agent, Origin
from orchestra.plan.capacity import dollars, size
from orchestra.plan.finding import Finding, Severity
from orchestra.plan.merge_order_chart import draw_text
from orchestra.plan.plan_report import PlanReport, Spawning
from orchestra.text import format_duration, format_list

MOST_OF_A_KIND = {Severity.ERROR: 8, Severity.WARNING: 8, Severity.NOTE: 3}
"""Findings of one kind that are shown; 1,225 overlapping pairs would hide everything else."""
_SHORT = 7  # digits of a commit id, as git shows them
_WIDEST_SCOPE = 60
_MOST_PATHS = 8


def draw_plan(report: PlanReport) -> list[str]:
    """Return the whole plan but for its findings."""
    sections = (
        _head(report),
        ["merge order (all agents work at the same time; their branches land from top to bottom)", *_order(report)],
        ["agents", *(f"  {line}" for line in _agents(report))],
        _protected(report),
        ["resources", *(f"  {line}" for line in _takes(report))],
        ["spawn would", *(f"  {line}" for line in _spawning(report.spawning, refuses=bool(report.errors)))]
        if report.spawning
        else [],
    )
    return [line for section in sections if section for line in (*section, "")][:-1]


def draw_findings(report: PlanReport) -> list[tuple[Severity, list[str]]]:
    """Return each finding's lines with its severity; of each kind the first ``MOST_OF_A_KIND``, then how many more."""
    drawn: list[tuple[Severity, list[str]]] = []
    for severity, code in dict.fromkeys((finding.severity, finding.code) for finding in report.findings):
        alike = [finding for finding in report.findings if (finding.severity, finding.code) == (severity, code)]
        most = MOST_OF_A_KIND[severity]
        drawn += [(severity, draw_finding(finding, report.repository)) for finding in alike[:most]]
        if len(alike) > most:
            omitted = f"{severity}: {len(alike) - most} more of this kind (--json lists all) [{code}]"
            drawn.append((severity, [omitted]))
    return drawn


def draw_finding(finding: Finding, repository: Path) -> list[str]:
    """Return ``file:line:column: severity: message [code]``, then what to change; files below the repository
    shortened."""
    place = _where(finding.origin, repository)
    return [f"{place}: {finding.severity}: {finding.message} [{finding.code}]", f"    {finding.advice}"]


def count_findings(findings: Sequence[Finding]) -> str:
    """Return ``1 error, 2 warnings, 3 notes``, or ``no findings``."""
    counts = [(sum(1 for f in findings if f.severity is severity), severity) for severity in Severity]
    return ", ".join(plural(count, severity) for count, severity in counts if count) or "no findings"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _head(report: PlanReport) -> list[str]:
    blueprint = report.blueprint
    title = "" if blueprint.title == blueprint.name else f": {blueprint.title}"
    commit = f"at {report.commit[:_SHORT]}" if report.commit else "(no commit)"
    checked = "never passed: run `orchestra check`, which runs set-up and gates on the target"
    if green := report.last_green:
        which = "this commit" if green.commit == report.commit else green.commit[:_SHORT]
        checked = f"{which} passed set-up and gates {format_duration(green.age_s)} ago (orchestra check)"
    return [
        f"plan of {blueprint.name}{title}",
        f"  blueprint  {_below(blueprint.source, report.repository)}",
        f"  target     {report.target} {commit}",
        f"  checked    {checked}",
    ]


def _protected(report: PlanReport) -> list[str]:
    lines = []
    if report.blueprint.protected:
        lines.append(f"  {format_list(report.blueprint.protected, most=_MOST_PATHS)}")
    if report.judging:
        lines.append(f"  as they decide how branches are judged: {format_list(report.judging, most=_MOST_PATHS)}")
    return ["protected (only agents whose `may_edit` names them may change these)", *lines] if lines else []


def _order(report: PlanReport) -> list[str]:
    chain = _chain(report.graph.critical_path, len(report.agents))
    return [*(f"  {line}" for line in draw_text(report.graph)), f"  critical path: {chain}"]


def _chain(names: Sequence[str], agent_count: int) -> str:
    if len(names) < 2:  # noqa: PLR2004
        return "none, every agent may land first"
    return f"{' -> '.join(names)} ({len(names)} of {plural(agent_count, 'agent')} land one after another)"


def _agents(report: PlanReport) -> list[str]:
    rows = [
        (
            str(planned.agent.number),
            planned.agent.name,
            planned.agent.stage or "-",
            planned.agent.branch,
            os.path.relpath(planned.worktree, report.repository),
            plural(planned.files, "file"),
            scope_summary(planned.agent),
        )
        for planned in report.agents
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def scope_summary(agent: Agent) -> str:
    """Return the patterns of a scope on one line, cut where it gets long: ``src/**, !src/gen/**, ... (3 more)``."""
    if agent.scope is None:
        patterns = ["(everything that is not protected)"]
    else:
        patterns = [*agent.scope.include, *(f"!{pattern}" for pattern in agent.scope.exclude)]
    patterns += [f"+{pattern}" for pattern in agent.may_edit]
    shown = list(patterns)
    while len(shown) > 1 and len(", ".join(shown)) > _WIDEST_SCOPE:
        shown.pop()
    omitted = [f"... ({len(patterns) - len(shown)} more)"] if len(shown) < len(patterns) else []
    return ", ".join([*shown, *omitted])


def _takes(report: PlanReport) -> list[str]:
    lines = [("slots", _slots(report)), ("disk", _disk(report)), ("cost", _cost(report))]
    lines += [("", assumption) for assumption in report.cost.assumptions]
    lines.append(("history", _history(report)))
    return [f"{name:<8} {text}" for name, text in lines]


def _spawning(spawning: Spawning, *, refuses: bool) -> list[str]:
    """Return the steps of the fleet and of its first agent in full; the other agents' steps are similar."""
    agents = list(dict.fromkeys(agent for agent, _ in spawning.steps if agent is not None))
    shown = [step for agent, step in spawning.steps if agent in (None, *agents[:1])]
    omitted = len(spawning.steps) - len(shown)
    if omitted:
        shown.append(f"... {plural(omitted, 'step')} more for {', '.join(agents[1:])} (spawn --dry-run shows them all)")
    if not spawning.steps:
        shown.append("refuse, for the errors below" if refuses else "have nothing to do")
    return [*shown, *(f"note: {note}" for note in spawning.notes)]


def _slots(report: PlanReport) -> str:
    slots = report.slots
    memory = f", {size(slots.memory_bytes)} of memory" if slots.client_bytes else ""
    return (
        f"{slots.agents} of {plural(len(report.agents), 'agent')} at once, {plural(slots.gates, 'candidate')} under "
        f"test at once; {plural(slots.cores, 'core')}{memory} here"
    )


def _disk(report: PlanReport) -> str:
    disk = report.disk
    free = f"{size(disk.free_bytes)} are free"
    if disk.bytes_per_worktree is None or disk.needed_bytes is None:
        return f"{plural(disk.worktrees, 'worktree')} to make, of a size that this partial clone does not know; {free}"
    tracked = "tracked files only, without what set-up installs"
    many = f"{plural(disk.worktrees, 'worktree')} of {size(disk.bytes_per_worktree)} to make: {size(disk.needed_bytes)}"
    return f"{many} ({tracked}); {free}"


def _cost(report: PlanReport) -> str:
    high = report.cost.high
    if high is None:
        return "no limit, because:" if report.cost.assumptions else "no limit is declared"
    return f"at most {dollars(high)}, based on:"


def _history(report: PlanReport) -> str:
    history = report.history
    bulk = f", {history.bulk:,} of which changed too many files to be meaningful" if history.bulk else ""
    cut = f" ({history.cut})" if history.cut else ""
    return f"{plural(history.commits, 'commit')} read{cut}{bulk}"


def _where(origin: Origin, repository: Path) -> str:
    return f"{_below(origin.file, repository)}:{origin.line}:{origin.column}"


def _below(path: Path, repository: Path) -> str:
    """Return the path, relative to the repository when it is inside."""
    return str(path.relative_to(repository)) if path.is_relative_to(repository) else str(path)
