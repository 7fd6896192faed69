"""All that a reviewer needs of one agent, in one value: notes, commits, changes, gates, scope.

Invariant: the diff is against the merge base with today's target, so that it shows the agent's work and nothing of
its neighbours'. Reads only; refuses to run anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import Agent
from orchestra.candidates.containment import is_at_or_below
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.gates.notes_gate import notes_filled
from orchestra.gates.secrets_gate import redact
from orchestra.git.log import CommitInfo, FileChange, changes, commits, patch
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.review.branch_status import BranchStatus, read_branch_statuses
from orchestra.review.gate_preview import BranchWork, GatePreview, kept_out_names, kept_out_paths, preview_gates
from orchestra.review.verdicts import requested_changes


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What a gate last said of a candidate of this agent: ``outcome`` is its word, ``tree`` what it looked at."""

    gate: str
    outcome: str
    at: float  # POSIX timestamp
    log: str | None
    failed_tests: tuple[str, ...]  # with file and message, as its JUnit report names them


@dataclass(frozen=True, slots=True)
class AgentReview:
    """One agent's work, laid out for a verdict. Instruction files, which never land, are left out of the changes.

    ``preview``: what the built-in gates say of it today. Secrets that they find are redacted from ``patch``.
    """

    standing: BranchStatus
    since: CommitId
    commits: tuple[CommitInfo, ...]
    changes: tuple[FileChange, ...]
    patch: str
    gates: tuple[GateRecord, ...]
    requested: str | None
    preview: GatePreview
    notes_filled: bool


def review_agent(fleet: Fleet, agent: Agent) -> AgentReview:
    """Lay out the work of ``agent``. UsageError when it was not spawned or its branch is gone."""
    (standing,) = read_branch_statuses(fleet, [agent])
    if standing.refs.base is None or standing.head is None:
        raise UsageError(f"{agent.name} has no branch to review", hint=f"orchestra spawn {agent.name}")
    head, repository = standing.head, fleet.repository
    target = fleet.target_tip()
    since = repository.fork(target, head, standing.refs.base) if target else standing.refs.base
    (preview,) = preview_gates(fleet, [BranchWork(agent, standing.refs.base, head, standing.notes)])
    hidden = kept_out_paths(agent, kept_out_names(fleet, standing.refs.base))
    return AgentReview(
        standing=standing,
        since=since,
        commits=commits(repository, since, head),
        changes=tuple(c for c in changes(repository, since, head) if not is_at_or_below(c.path, hidden)),
        patch=redact(patch(repository, since, head, leave_out=hidden)),
        gates=gate_records(fleet, agent),
        requested=requested_changes(fleet, agent),
        preview=preview,
        notes_filled=standing.notes is not None and notes_filled(standing.notes),
    )


def gate_records(fleet: Fleet, agent: Agent) -> tuple[GateRecord, ...]:
    """The newest result of each gate for this agent, in the order of the blueprint."""
    newest: dict[str, GateRecord] = {}
    for event in fleet.ledger.events("gate", agent.name):
        gate = _text(event.data, "gate")
        outcome, log, tests = _text(event.data, "outcome"), _text(event.data, "log"), event.data.get("failed_tests")
        names = tuple(map(str, tests)) if isinstance(tests, list) else ()
        newest[gate] = GateRecord(gate, outcome, event.at, log or None, names)
    return tuple(newest[name] for name in fleet.blueprint.gates if name in newest)


def _text(data: Mapping[str, Json], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
