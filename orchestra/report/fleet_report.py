"""Read a report: status, branches, verdicts and the ledger, each through the function that every command uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestra.candidates.containment import is_at_or_below
from orchestra.errors import GitError
from orchestra.fleet import Fleet
from orchestra.gates.gate_history import RUN_EVENT
from orchestra.gates.secrets_gate import redact
from orchestra.git.log import CommitInfo, FileChange, changes, commits
from orchestra.git.refs import CommitId
from orchestra.ledger import Event
from orchestra.plan.merge_order_chart import merge_graph
from orchestra.report.report_values import (
    AgentCard,
    BranchCommit,
    ChangedFile,
    ConflictingPair,
    FleetReport,
    GateResult,
    Graph,
    GraphLayer,
    Summary,
)
from orchestra.report.timeline import read_timelines
from orchestra.report.train_history import gate_times, read_candidates
from orchestra.review.agent_review import gate_records
from orchestra.review.branch_status import BranchStatus
from orchestra.review.eviction import end_of
from orchestra.review.gate_preview import BranchWork, GatePreview, kept_out_names, kept_out_paths, preview_gates
from orchestra.review.verdicts import Verdict, requested_changes
from orchestra.sessions.logs import read_last_lines
from orchestra.sessions.state import Usage
from orchestra.status import Row, Status, read_status

_AT_ONCE = 4
_MOST_TEXT = 6000  # characters of a task or of notes
_MOST_FILES = 60
_MOST_COMMITS = 30
_MOST_FINDINGS = 40
_LOG_LINES = 15
_LOG_WIDTH = 200
_GATE_LOG_BYTES = 2000
_PASSED = ("passed", "not-needed", "warned")


def read_report(fleet: Fleet, progress: Callable[[str], None] = lambda _: None) -> FleetReport:
    """Return the report of a fleet as it is now. ``progress`` is called with each agent's name."""
    status, events = read_status(fleet), fleet.ledger.events()
    blueprint = fleet.blueprint
    graph = merge_graph(blueprint)
    pending = [row for row in status.rows if _is_pending(row.standing)]
    works = [
        (row, BranchWork(row.agent, row.standing.refs.base, row.standing.head, row.standing.notes))
        for row in pending
        if row.standing.refs.base is not None and row.standing.head is not None
    ]
    progress("built-in gates")
    previews = preview_gates(fleet, [work for _, work in works])
    by_agent = {row.agent.name: preview for (row, _), preview in zip(works, previews, strict=True)}
    bases = {row.standing.refs.base for row in status.rows if row.standing.refs.base is not None}
    kept_out = {base: kept_out_names(fleet, base) for base in bases}

    def make_card(row: Row) -> AgentCard:
        progress(row.agent.name)
        return _agent_card(fleet, status, row, by_agent.get(row.agent.name, GatePreview()), kept_out)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        cards = list(pool.map(make_card, status.rows))
    names = [agent.name for agent in blueprint.agents]
    return FleetReport(
        fleet=fleet.name,
        title=blueprint.title,
        description=blueprint.description,
        target=fleet.target,
        target_commit=status.target_commit,
        made_at=status.taken_at,
        summary=_summary(status, events, len(pending)),
        timelines=read_timelines(names, events, gate_times(events), status.taken_at),
        candidates=read_candidates(events),
        merge_graph=Graph(
            tuple(GraphLayer(layer.stage, tuple(agent.name for agent in layer.agents)) for layer in graph.layers),
            tuple((arrow.before, arrow.after) for arrow in graph.arrows),
            tuple(graph.critical_path),
        ),
        conflicts=tuple(ConflictingPair(pair.first, pair.second, pair.paths) for pair in status.conflicts),
        pending=tuple(row.agent.name for row in pending if row.standing.commits),
        agents=tuple(cards),
        unknown=status.unknown,
    )


def _is_pending(standing: BranchStatus) -> bool:
    return standing.refs.landed is None and standing.verdict is not Verdict.DISCARDED


def _summary(status: Status, events: Sequence[Event], pending: int) -> Summary:
    kinds = [event.kind for event in events]
    landings, evictions = kinds.count("landed"), kinds.count("evicted")
    times = [event.at for event in events]
    seconds = [event.data.get("seconds") for event in events if event.kind == RUN_EVENT]
    used = status.usage
    return Summary(
        agents=len(status.rows),
        landed=sum(row.standing.refs.landed is not None for row in status.rows),
        discarded=sum(row.standing.verdict is Verdict.DISCARDED for row in status.rows),
        pending=pending,
        landings=landings,
        evictions=evictions,
        rejection_rate=evictions / (landings + evictions) if landings + evictions else None,
        wall_time_s=max(times) - min(times) if times else None,
        gate_runs=len(seconds),
        gate_time_s=sum(float(value) for value in seconds if isinstance(value, int | float)),
        cost_usd=used.cost_usd,
        sessions_without_cost=used.sessions_without_cost,
        budget_usd=status.fleet.blueprint.limits.budget_usd,
    )


def _agent_card(
    fleet: Fleet, status: Status, row: Row, preview: GatePreview, kept_out: Mapping[CommitId, frozenset[str]]
) -> AgentCard:
    agent, standing = row.agent, row.standing
    used = row.session.usage if row.session is not None else Usage()
    work = _branch_work(fleet, standing, status.target_commit, kept_out)
    made, changed = work if work is not None else (None, None)
    lines = read_last_lines(fleet, agent.name, _LOG_LINES)
    return AgentCard(
        number=agent.number,
        name=agent.name,
        title=agent.title,
        stage=agent.stage,
        state=row.state.state.value,
        reason=row.state.reason,
        verdict=standing.verdict.value,
        branch=agent.branch,
        commit=standing.head,
        landed=standing.refs.landed,
        task=_cut(agent.task),
        done_when=agent.done_when,
        notes=_cut(redact(standing.notes)) if standing.notes and row.notes_filled else None,
        requested=_requested(fleet, standing),
        findings=_findings(row, preview),
        conflicts_with=tuple(row.conflicts_with),
        uncommitted_files=row.tree.files,
        commits=None if made is None else tuple(_commit(commit) for commit in made[-_MOST_COMMITS:]),
        files=None if changed is None else tuple(_file(change) for change in changed[:_MOST_FILES]),
        files_total=len(changed or ()),
        added=sum(change.added or 0 for change in changed or ()),
        removed=sum(change.removed or 0 for change in changed or ()),
        gates=_gates(fleet, row),
        log_end=tuple(redact("\n".join(line[:_LOG_WIDTH] for line in lines)).splitlines()),
        cost_usd=used.cost_usd,
        sessions_without_cost=used.sessions_without_cost,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
    )


def _branch_work(
    fleet: Fleet, standing: BranchStatus, target: CommitId | None, kept_out: Mapping[CommitId, frozenset[str]]
) -> tuple[tuple[CommitInfo, ...], list[FileChange]] | None:
    """Return the commits of a branch and what they change, without instruction files; None where git has none."""
    base = standing.refs.base
    tip = standing.head or standing.refs.approved or standing.refs.discarded
    if base is None or tip is None:
        return None
    repository = fleet.repository
    try:
        since = repository.fork(target, tip, base) if target else base
        since = base if since == tip else since  # the target contains the branch
        hidden = kept_out_paths(standing.agent, kept_out[base])
        changed = [c for c in changes(repository, since, tip) if not is_at_or_below(c.path, hidden)]
        return commits(repository, since, tip), changed
    except GitError:  # a damaged branch is unknown; the report is still made for the others
        return None


def _requested(fleet: Fleet, standing: BranchStatus) -> str | None:
    if standing.verdict not in (Verdict.CHANGES_REQUESTED, Verdict.ANSWERED):
        return None
    message = requested_changes(fleet, standing.agent)
    return _cut(redact(message)) if message else None


def _findings(row: Row, preview: GatePreview) -> tuple[str, ...]:
    lines = []
    if row.evicted is not None:
        others = f" with {', '.join(row.evicted.others)}" if row.evicted.others else ""
        lines.append(f"evicted by the last merge: {row.evicted.reason}{others}: {row.evicted.detail}")
    for result in preview.results:
        for finding in result.findings:
            word = "refuses it" if result.stops and not finding.is_advisory else "warns"
            lines.append(f"{result.gate} {word}: {finding}" + (f" ({finding.fix})" if finding.fix else ""))
    lines += [f"changes what judges it: {change}" for change in row.judging_changes]
    if not any(result.builtin == "scope" for result in preview.results):
        lines += [f"{finding.path}: {finding.reason}" for finding in preview.scope]
    shown = lines[:_MOST_FINDINGS] + [f"and {len(lines) - _MOST_FINDINGS} more"] * (len(lines) > _MOST_FINDINGS)
    return tuple(redact(_cut(line)) for line in shown)


def _gates(fleet: Fleet, row: Row) -> tuple[GateResult, ...]:
    results = []
    for record in gate_records(fleet, row.agent):
        result = GateResult(record.gate, record.outcome, record.at, log=record.log)
        if record.log and record.outcome not in _PASSED:
            result = replace(result, log_end=end_of(record.log, _GATE_LOG_BYTES))
        results.append(result)
    return tuple(results)


def _commit(commit: CommitInfo) -> BranchCommit:
    return BranchCommit(commit.id, redact(commit.subject), commit.author, commit.authored_at)


def _file(change: FileChange) -> ChangedFile:
    path = f"{change.renamed_from} -> {change.path}" if change.renamed_from else change.path
    return ChangedFile(path, change.added, change.removed)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}\n... {len(text) - _MOST_TEXT:,} characters more"
