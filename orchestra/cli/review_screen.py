"""The review of one agent, on one screen or as one document. Prints; decides nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from orchestra.cli.console import Cell, Tone, print_result, show_table
from orchestra.fleet import Fleet
from orchestra.git.log import FileChange
from orchestra.ledger import Json
from orchestra.plan.plan_text import plural
from orchestra.review.agent_review import AgentReview
from orchestra.review.branch_status import BranchStatus

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BLANK_LINES = re.compile(r"\n{3,}")
_GATE_TONES = {"passed": Tone.GOOD, "failed": Tone.BAD, "timed-out": Tone.BAD}


def show(fleet: Fleet, shown: AgentReview) -> None:
    """Print it in the order in which a reviewer asks: what is it, what does its author say, does it pass, the diff."""
    _show_judging(shown)
    _show_head(fleet, shown)
    _show_notes(shown)
    _show_gates(shown)
    _show_changes(shown)
    print_result()
    print_result("Diff against the merge base")
    print_result(shown.patch or "  (no changes)", Tone.PLAIN if shown.patch else Tone.QUIET)
    print_result()
    _show_next(shown)


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
        "gates": [{"gate": g.gate, "outcome": g.outcome, "at": g.at, "log": g.log} for g in shown.gates],
        "judging_changes": [
            {"path": c.path, "sections": list(c.sections), "allowed": c.allowed} for c in shown.judging
        ],
        "scope_findings": [{"path": f.path, "reason": f.reason} for f in shown.findings],
        "patch": shown.patch,
    }


def _show_judging(shown: AgentReview) -> None:
    """Begin with what no passing gate can vouch for."""
    if not shown.judging:
        return
    print_result("This branch changes what judges it; read these changes before you believe its gates:", Tone.BAD)
    for change in shown.judging:
        remark = "" if change.allowed else " (the agent's may_edit does not name it)"
        print_result(f"  {change}{remark}", Tone.BAD)
    print_result()


def _show_head(fleet: Fleet, shown: AgentReview) -> None:
    standing = shown.standing
    agent = standing.agent
    print_result(f"{agent.number} {agent.name}: {agent.title}")
    at, commits = (standing.head or "")[:10], plural(len(shown.commits), "commit")
    print_result(f"  branch    {agent.branch} at {at}, {commits}, {standing.behind} behind {fleet.target}")
    print_result(f"  worktree  {standing.worktree}")
    print_result(f"  verdict   {standing.verdict}{_of_what(standing)}")
    if shown.requested:
        _show_text("Changes requested", shown.requested)
    if standing.uncommitted:
        print_result(f"  {len(standing.uncommitted)} uncommitted: {', '.join(standing.uncommitted[:10])}", Tone.WAITING)


def _of_what(standing: BranchStatus) -> str:
    proposal = standing.proposal
    if proposal is None:
        return ""
    taken = proposal == standing.refs.approved
    return f", of its proposal {proposal[:10]}" if taken else f"; a proposal {proposal[:10]} waits"


def _show_notes(shown: AgentReview) -> None:
    if shown.notes_filled:
        # The form's hints are comments, which the agent was asked to delete; a reviewer needs none of them.
        _show_text("Notes", _BLANK_LINES.sub("\n\n", _COMMENT.sub("", shown.standing.notes or "")))
    else:
        print_result()
        print_result("Notes: none written", Tone.WAITING)


def _show_text(title: str, text: str) -> None:
    print_result()
    print_result(title)
    for line in text.strip().splitlines():
        print_result(f"  {line}" if line else "")


def _show_gates(shown: AgentReview) -> None:
    print_result()
    if not shown.gates:
        print_result(f"Gates: not run yet (orchestra rebase-and-test {shown.standing.agent.name})", Tone.QUIET)
    else:
        print_result("Gates")
        for gate in shown.gates:
            ago = _ago(time.time() - gate.at)
            print_result(
                f"  {gate.gate}: {gate.outcome}, {ago} ago" + (f", {gate.log}" if gate.log else ""), _tone(gate.outcome)
            )
    for finding in shown.findings:
        print_result(f"  {finding.path}: {finding.reason}", Tone.BAD)


def _show_changes(shown: AgentReview) -> None:
    print_result()
    print_result("Commits")
    for commit in shown.commits:
        print_result(f"  {commit.id[:10]} {commit.subject}")
    if not shown.commits:
        print_result("  (none)", Tone.QUIET)
    print_result()
    show_table(["path", "added", "removed"], [_row(change) for change in shown.changes])


def _show_next(shown: AgentReview) -> None:
    name = shown.standing.agent.name
    print_result("Next")
    if shown.standing.proposal is not None:
        print_result(f"  orchestra review {name} --proposal")
    print_result(f"  orchestra approve {name}@{(shown.standing.head or '')[:12]}")
    print_result(f'  orchestra request-changes {name} --message "..."')
    print_result(f'  orchestra discard {name} --reason "..."')


def _row(change: FileChange) -> Sequence[str | Cell]:
    path = f"{change.renamed_from} -> {change.path}" if change.renamed_from else change.path
    if change.added is None or change.removed is None:
        return [path, "binary", ""]
    return [path, f"+{change.added}", f"-{change.removed}"]


def _tone(outcome: str) -> Tone:
    return _GATE_TONES.get(outcome, Tone.WAITING)


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
