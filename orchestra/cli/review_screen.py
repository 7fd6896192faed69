"""The review of one agent, on one screen or as one document. Prints; decides nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from orchestra.blueprint.model import Builtin
from orchestra.cli.console import Cell, Tone, diff_cells
from orchestra.cli.pager import show_page
from orchestra.cli.table_layout import table_cells
from orchestra.fleet import Fleet
from orchestra.git.log import FileChange
from orchestra.ledger import Json
from orchestra.review.agent_review import AgentReview
from orchestra.review.branch_status import BranchStatus
from orchestra.review.verdicts import Verdict
from orchestra.sessions.state import State
from orchestra.status import Row, read_status
from orchestra.text import format_count, format_duration

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BLANK_LINES = re.compile(r"\n{3,}")
_PASSED = ("passed", "skipped", "not-needed")
_MOST_FILES = 10
_STATES_WITH_PROBLEM = (State.FAILED, State.LOST, State.NOT_READY, State.WAITING, State.UNKNOWN)


def show(fleet: Fleet, shown: AgentReview, *, with_diff: bool = True) -> None:
    """Print what a reviewer asks, in that order: what is wrong, what its author says, does it pass, the diff."""
    (row,) = read_status(fleet, [shown.standing.agent]).rows
    lines = [*_judging(shown), *_head(fleet, shown), *_problems(shown, row), *_notes(shown), *_gates(shown)]
    lines += _changes(shown)
    if with_diff:
        lines += [Cell(""), Cell("Diff against the merge base", Tone.STRONG), *diff_cells(shown.patch)]
    show_page([*lines, *_choices(shown)] if with_diff else lines, pager=with_diff)


def next_words(shown: AgentReview) -> str | None:
    """Return the words of the command that a review leads to."""
    standing = shown.standing
    name = standing.agent.name
    if not _is_open(standing) or not shown.commits:
        return None
    if standing.verdict is Verdict.APPROVED:
        return "merge"
    return f"approve {name}@{(standing.head or '')[:12]}"


def to_json(shown: AgentReview) -> dict[str, Json]:
    """The same as one document; validates against schemas/review.schema.json."""
    standing = shown.standing
    return {
        "agent": standing.agent.name,
        "title": standing.agent.title,
        "branch": standing.agent.branch,
        "worktree": str(standing.worktree),
        "head": standing.head,
        "since": shown.since,
        "verdict": standing.verdict.value,
        "proposal": standing.proposal,
        "requested_changes": shown.requested,
        "notes": standing.notes,
        "uncommitted": list(standing.uncommitted) if standing.uncommitted is not None else None,
        "commits": [
            {"commit": commit.id, "subject": commit.subject, "author": commit.author, "at": commit.authored_at}
            for commit in shown.commits
        ],
        "changes": [
            {"path": c.path, "added": c.added, "removed": c.removed, "renamed_from": c.renamed_from}
            for c in shown.changes
        ],
        "gates": [
            {"gate": g.gate, "outcome": g.outcome, "at": g.at, "log": g.log, "failed_tests": list(g.failed_tests)}
            for g in shown.gates
        ],
        "judging_changes": [
            {"path": c.path, "sections": list(c.sections), "allowed": c.allowed} for c in shown.preview.judging
        ],
        "scope_findings": [{"path": f.path, "reason": f.reason} for f in shown.preview.scope],
        "builtin_gates": [
            {
                "gate": result.gate,
                "outcome": result.outcome,
                "findings": [
                    {"path": f.path, "line": f.line, "commit": f.commit, "reason": f.reason, "fix": f.fix}
                    for f in result.findings
                ],
            }
            for result in shown.preview.results
        ],
        "patch": shown.patch,
    }


def _is_open(standing: BranchStatus) -> bool:
    """Return whether a verdict is possible: neither discarded, nor landed without new commits."""
    return standing.refs.discarded is None and (standing.refs.landed is None or standing.new_commits > 0)


def _judging(shown: AgentReview) -> Iterator[Cell]:
    """Begin with what no passing gate can vouch for."""
    if shown.preview.judging:
        yield Cell("This branch changes what judges it; read these changes before you believe its gates:", Tone.BAD)
    for change in shown.preview.judging:
        remark = "" if change.allowed else " (the agent's may_edit does not name it)"
        yield Cell(f"  {change}{remark}", Tone.BAD)


def _head(fleet: Fleet, shown: AgentReview) -> Iterator[Cell]:
    standing = shown.standing
    agent = standing.agent
    at, commits = (standing.head or "")[:10], format_count(len(shown.commits), "commit")
    yield Cell(f"{agent.number} {agent.name}: {agent.title}", Tone.STRONG)
    yield Cell(f"  branch    {agent.branch} at {at}, {commits}, {standing.behind} behind {fleet.target}")
    is_nowhere = standing.agent.adopted and not standing.worktree.exists()
    yield Cell("  worktree  none: the branch is not checked out" if is_nowhere else f"  worktree  {standing.worktree}")
    proposal = standing.proposal
    of_what = "" if proposal is None else f"; a proposal {proposal[:10]} waits"
    if proposal is not None and proposal == standing.refs.approved:
        of_what = f", of its proposal {proposal[:10]}"
    yield Cell(f"  verdict   {standing.verdict}{of_what}")


def _problems(shown: AgentReview, row: Row) -> Iterator[Cell]:
    """Yield what is wrong with the work, the worst first."""
    standing, state = shown.standing, row.state
    name = standing.agent.name
    if state.state in _STATES_WITH_PROBLEM:
        reason = f", {state.reason}" if state.reason else ""
        yield Cell(f"  state     {state.state}{reason} (orchestra logs {name})", Tone.BAD)
    if row.evicted is not None:
        others = f" with {', '.join(row.evicted.others)}" if row.evicted.others else ""
        yield Cell(f"  evicted by the last merge: {row.evicted.reason}{others}: {row.evicted.detail}", Tone.BAD)
    for result in shown.preview.results:
        for finding in result.findings:
            is_refusal = result.stops and not finding.is_advisory
            word, tone = ("refuses it", Tone.BAD) if is_refusal else ("warns", Tone.WAITING)
            fix = f" ({finding.fix})" if finding.fix else ""
            yield Cell(f"  the gate {result.gate} {word}: {finding}{fix}", tone)
    if not any(result.builtin is Builtin.SCOPE for result in shown.preview.results):
        for outside in shown.preview.scope:
            yield Cell(f"  {outside.path}: {outside.reason}", Tone.BAD)
    if row.session is not None and row.session.refused_calls:
        calls = format_count(row.session.refused_calls, "tool call")
        yield Cell(
            f"  {calls} of its last session refused by its scope and rules (orchestra logs {name})", Tone.WAITING
        )
    for other in row.conflicts_with:
        yield Cell(f"  conflicts with {other} as both are now", Tone.WAITING)
    if standing.refs.landed is not None:
        after = f", {format_count(standing.new_commits, 'new commit')} since" if standing.new_commits else ""
        yield Cell(f"  landed as {standing.refs.landed[:10]}{after}", Tone.GOOD)
    elif not shown.commits:
        yield Cell("  nothing to approve: the branch has no commits", Tone.WAITING)
    if standing.uncommitted:
        more = f" and {len(standing.uncommitted) - _MOST_FILES} more" if len(standing.uncommitted) > _MOST_FILES else ""
        files = ", ".join(standing.uncommitted[:_MOST_FILES])
        yield Cell(f"  {len(standing.uncommitted)} uncommitted: {files}{more}", Tone.WAITING)
    if shown.requested:
        yield from _text("Changes requested", shown.requested)


def _notes(shown: AgentReview) -> Iterator[Cell]:
    if shown.notes_filled:
        # The form's hints are comments, which the agent was asked to delete; a reviewer needs none of them.
        yield from _text("Notes", _BLANK_LINES.sub("\n\n", _COMMENT.sub("", shown.standing.notes or "")))
    else:
        yield from (Cell(""), Cell("Notes: none written", Tone.WAITING))


def _text(title: str, text: str) -> Iterator[Cell]:
    yield from (Cell(""), Cell(title, Tone.STRONG))
    for line in text.strip().splitlines():
        yield Cell(f"  {line}" if line else "")


def _gates(shown: AgentReview) -> Iterator[Cell]:
    yield Cell("")
    if not shown.gates:
        yield Cell(f"Gates: not run yet (orchestra rebase-and-test {shown.standing.agent.name})", Tone.QUIET)
        return
    yield Cell("Gates", Tone.STRONG)
    for gate in sorted(shown.gates, key=lambda gate: gate.outcome in _PASSED):
        passed = gate.outcome in _PASSED
        log = f" (log: {gate.log})" if gate.log and not passed else ""
        tone = Tone.GOOD if passed else Tone.WAITING if gate.outcome == "warned" else Tone.BAD
        yield Cell(f"  {gate.gate}: {gate.outcome}, {format_duration(time.time() - gate.at)} ago{log}", tone)
        yield from (Cell(f"      {test}", tone) for test in gate.failed_tests)


def _changes(shown: AgentReview) -> Iterator[Cell]:
    yield from (Cell(""), Cell("Commits", Tone.STRONG))
    for commit in shown.commits:
        yield Cell(f"  {commit.id[:10]} {commit.subject}")
    if not shown.commits:
        yield Cell("  (none)", Tone.QUIET)
    if shown.changes:
        yield Cell("")
        yield from table_cells(["path", "added", "removed"], [_row(change) for change in shown.changes])


def _choices(shown: AgentReview) -> Iterator[Cell]:
    """Yield the other commands that are possible; the one of ``next_words`` follows them."""
    name, standing = shown.standing.agent.name, shown.standing
    if not _is_open(standing):
        return
    yield Cell("")
    if standing.proposal is not None:
        yield Cell(f"its conflict has a proposed resolution: orchestra review {name} --proposal")
    yield Cell(f"or: orchestra request-changes {name} 'MESSAGE'; orchestra discard {name} 'REASON'", Tone.QUIET)


def _row(change: FileChange) -> list[str]:
    path = f"{change.renamed_from} -> {change.path}" if change.renamed_from else change.path
    if change.added is None or change.removed is None:
        return [path, "binary", ""]
    return [path, f"+{change.added}", f"-{change.removed}"]
