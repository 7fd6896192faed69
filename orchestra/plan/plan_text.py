"""Format a plan as lines of text of at most 80 columns, findings first. The printer makes control characters visible.

Paths and patterns are not broken, so that they can be copied; only they may make a line longer.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestra.blueprint.model import Agent
from orchestra.plan.capacity import dollars, size
from orchestra.plan.finding import Finding, Severity, sentence
from orchestra.plan.plan_report import PlanReport, Spawning
from orchestra.text import format_count, format_duration, format_list

WIDTH = 80
MOST_SHOWN = 5
"""Warnings that are shown, each on one line, where not all findings are wanted."""
MOST_OF_A_KIND = 8
"""Errors of one kind that are shown in full there; 1,225 overlapping pairs would hide everything else."""
_SHORT = 7  # digits of a commit id, as git shows them
_WIDEST_SCOPE = 60
_MOST_PATHS = 8


def draw_plan(report: PlanReport, *, all_findings: bool = False) -> list[tuple[str, Severity | None]]:
    """Return the lines of the whole plan, each with the severity of the finding that it belongs to."""
    sections: list[Iterable[tuple[str, Severity | None]]] = [
        _plain(_head(report)),
        _findings(report, all_findings=all_findings),
        _plain(_order(report)),
        _plain(_protected(report)),
        _plain(_resources(report)),
        _plain(_spawning(report.spawning, report) if report.spawning else ()),
    ]
    lines: list[tuple[str, Severity | None]] = []
    for section in map(list, sections):
        lines += [("", None), *section] if lines and section else section
    return lines


def draw_finding(finding: Finding, repository: Path) -> list[str]:
    """Return ``file:line:column: severity: message [code]``, then what to change; files below the repository
    shortened."""
    return [f"{_place(finding, repository)}: {finding.message} [{finding.code}]", f"    {finding.advice}"]


def count_findings(findings: Sequence[Finding]) -> str:
    """Return ``1 error, 2 warnings, 3 notes``, or ``no findings``."""
    counts = [(sum(1 for f in findings if f.severity is severity), severity) for severity in Severity]
    return ", ".join(format_count(count, severity) for count, severity in counts if count) or "no findings"


def _plain(lines: Iterable[str]) -> list[tuple[str, Severity | None]]:
    return [(line, None) for line in lines]


def _wrapped(text: str, *, first_indent: str = "  ", later_indent: str | None = None) -> list[str]:
    """Return the text on lines of ``WIDTH`` columns; a long word is not broken."""
    later_indent = " " * len(first_indent) if later_indent is None else later_indent
    wrapper = textwrap.TextWrapper(WIDTH, first_indent, later_indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)


def _head(report: PlanReport) -> Iterator[str]:
    blueprint = report.blueprint
    title = "" if blueprint.title == blueprint.name else f": {blueprint.title}"
    yield from _wrapped(f"plan of {blueprint.name}{title}", first_indent="", later_indent="  ")
    yield from _wrapped(_below(blueprint.source, report.repository), first_indent="  blueprint  ")
    commit = f"at {report.commit[:_SHORT]}" if report.commit else "(no commit)"
    yield from _wrapped(f"{report.target} {commit}", first_indent="  target     ")
    checked = "never passed: run `orchestra check`, which runs set-up and gates on the target"
    if green := report.last_green:
        checked_commit = "this commit" if green.commit == report.commit else green.commit[:_SHORT]
        checked = f"{checked_commit} passed set-up and gates {format_duration(green.age_s)} ago (orchestra check)"
    yield from _wrapped(checked, first_indent="  checked    ")


def _findings(report: PlanReport, *, all_findings: bool) -> Iterator[tuple[str, Severity | None]]:
    """Yield errors in full, then a line for each of the first warnings and how many are not shown, or all in full."""
    yield count_findings(report.findings), None
    shown = report.findings if all_findings else report.errors
    for severity, code in dict.fromkeys((finding.severity, finding.code) for finding in shown):
        alike = [finding for finding in shown if (finding.severity, finding.code) == (severity, code)]
        most = len(alike) if all_findings else MOST_OF_A_KIND
        for finding in alike[:most]:
            fact, advice = draw_finding(finding, report.repository)
            for line in (*_wrapped(fact, later_indent="    "), *_wrapped(advice.strip(), first_indent="      ")):
                yield line, severity
        if len(alike) > most:
            yield f"  {severity}: {len(alike) - most:,} more of this kind (--all) [{code}]", severity
    if all_findings:
        return
    warnings = [finding for finding in report.findings if finding.severity is Severity.WARNING]
    for finding in warnings[:MOST_SHOWN]:
        line = f"  {finding.severity}: {finding.message}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 3].rstrip()}...", Severity.WARNING
    if len(report.findings) > len(report.errors):
        notes = len(report.findings) - len(report.errors) - len(warnings)
        hidden = [f"{len(warnings) - MOST_SHOWN} more warnings"] if len(warnings) > MOST_SHOWN else []
        hidden += [format_count(notes, "note")] if notes else []
        yield f"  orchestra plan --all: {format_list([*hidden, 'what to change'])}", None


def _order(report: PlanReport) -> Iterator[str]:
    """Yield the layers from top to bottom, each agent with the files that it may change."""
    yield from _wrapped("merge order (agents work at the same time; branches land from top to bottom)", first_indent="")
    after: dict[str, list[str]] = {}
    for arrow in report.graph.arrows:
        after.setdefault(arrow.after, []).append(arrow.before)
    planned_by_name = {planned.agent.name: planned for planned in report.agents}
    digits = len(str(len(report.agents)))
    widest = max((len(name) for name in planned_by_name), default=0)
    if not planned_by_name:
        yield "    no agents: `orchestra adopt BRANCH...` takes in branches"
    has_stages = any(layer.stage for layer in report.graph.layers)
    for number, layer in enumerate(report.graph.layers):
        if number:
            yield "" if layer.stage is None and has_stages else "    ▼"
        if has_stages:
            yield f"  {layer.stage or '(no stage: anywhere that the arrows allow)'}"
        for agent in layer.agents:
            planned = planned_by_name[agent.name]
            details = f"{format_count(planned.files, 'file')} in {scope_summary(agent)}"
            if agent.adopted:
                details = f"adopted branch {agent.branch}; {details}"
            if agent.name in after:
                details += f"; after {format_list(after[agent.name])}"
            yield from _wrapped(details, first_indent=f"    {agent.number:>{digits}} {agent.name:<{widest}}  ")
    names = report.graph.critical_path
    chain = "none, every agent may land first"
    if len(names) > 1:
        chain = (
            f"{' -> '.join(names)} ({len(names)} of {format_count(len(report.agents), 'agent')} land one after another)"
        )
    yield from _wrapped(f"critical path: {chain}", later_indent="    ")


def scope_summary(agent: Agent) -> str:
    """Return the patterns of a scope on one line, cut where it gets long: ``src/**, !src/gen/**, ... (3 more)``."""
    patterns = ["everything that is not protected"]
    if agent.scope is not None:
        patterns = [*agent.scope.include, *(f"!{pattern}" for pattern in agent.scope.exclude)]
    patterns += [f"+{pattern}" for pattern in agent.may_edit]
    shown = list(patterns)
    while len(shown) > 1 and len(", ".join(shown)) > _WIDEST_SCOPE:
        shown.pop()
    omitted = [f"... ({len(patterns) - len(shown)} more)"] if len(shown) < len(patterns) else []
    return ", ".join([*shown, *omitted])


def _protected(report: PlanReport) -> Iterator[str]:
    if report.blueprint.protected or report.judging:
        yield "protected (only agents whose `may_edit` names them may change these)"
    if report.blueprint.protected:
        yield from _wrapped(format_list(report.blueprint.protected, most=_MOST_PATHS))
    if report.judging:
        paths = format_list(report.judging, most=_MOST_PATHS)
        yield from _wrapped(f"as they decide how branches are judged: {paths}", later_indent="    ")


def _resources(report: PlanReport) -> Iterator[str]:
    slots, disk, cost, history = report.slots, report.disk, report.cost, report.history
    agents = format_count(len(report.agents), "agent")
    memory = f", {size(slots.memory_bytes)} of memory" if slots.client_bytes else ""
    at_once = f"{slots.agents} of {agents} at once, {format_count(slots.gates, 'candidate')} under test at once"
    to_make = format_count(disk.worktrees, "worktree")
    if disk.bytes_per_worktree is None or disk.needed_bytes is None:
        space = f"{to_make} to make, of a size that this partial clone does not know"
    else:
        each = f"{to_make} of {size(disk.bytes_per_worktree)} to make: {size(disk.needed_bytes)}"
        space = f"{each} (tracked files only, without what set-up installs)"
    bound = "no limit, because:" if cost.assumptions else "no limit is declared"
    bulk = f", {history.bulk:,} of which changed too many files to be meaningful" if history.bulk else ""
    cut = f" ({history.cut})" if history.cut else ""
    rows = [
        ("slots", f"{at_once}; {format_count(slots.cores, 'core')}{memory} here"),
        ("disk", f"{space}; {size(disk.free_bytes)} are free"),
        ("cost", bound if cost.high is None else f"about {dollars(cost.high)}, from:"),
        *(("", assumption) for assumption in cost.assumptions),
        ("history", f"{format_count(history.commits, 'commit')} read{cut}{bulk}"),
    ]
    yield "resources"
    for name, text in rows:
        yield from _wrapped(text, first_indent=f"  {name:<8} ", later_indent=" " * (11 if name else 13))


def _spawning(spawning: Spawning, report: PlanReport) -> Iterator[str]:
    """Yield the steps of the fleet and of its first agent; the other agents' steps are similar."""
    yield "spawn would"
    agents = list(dict.fromkeys(agent for agent, _ in spawning.steps if agent is not None))
    shown = [step for agent, step in spawning.steps if agent in (None, *agents[:1])]
    omitted = len(spawning.steps) - len(shown)
    if omitted:
        steps = format_count(omitted, "more step")
        shown.append(f"... {steps} for {format_list(agents[1:], most=_MOST_PATHS)} (spawn --dry-run shows them)")
    if not spawning.steps:
        shown.append("refuse, for the errors above" if report.errors else "have nothing to do")
    findings = set(map(sentence, report.findings))
    for line in (*shown, *(f"note: {note}" for note in spawning.notes if note not in findings)):
        # Absolute paths in and next to the repository are shown as they are from inside it.
        inside = line.replace(f"{report.repository}/", "").replace(f"{report.repository.parent}/", "../")
        yield from _wrapped(inside, later_indent="      ")


def _place(finding: Finding, repository: Path) -> str:
    """Return ``file:line:column: severity``."""
    origin = finding.origin
    return f"{_below(origin.file, repository)}:{origin.line}:{origin.column}: {finding.severity}"


def _below(path: Path, repository: Path) -> str:
    """Return the path, relative to the repository when it is inside."""
    return str(path.relative_to(repository)) if path.is_relative_to(repository) else str(path)
