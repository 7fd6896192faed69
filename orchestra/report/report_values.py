"""The values of a report: plain texts and numbers, of which both the page and ``report --json`` are made.

Every text may come from an agent. None means that it is not known; times are POSIX timestamps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Summary:
    """The fleet in figures. ``landed`` and ``discarded`` are agents as git shows them now.

    ``landings`` and ``evictions`` count the decisions of all merges, as the ledger recorded them.
    ``wall_time_s``: from the first recorded event to the last.
    """

    agents: int
    landed: int
    discarded: int
    pending: int
    landings: int
    evictions: int
    rejection_rate: float | None
    wall_time_s: float | None
    gate_runs: int
    gate_time_s: float
    cost_usd: float | None
    sessions_without_cost: int
    budget_usd: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """``phase``: queued, working, waiting, approved or gates. ``ended`` False: it lasted when the report was made."""

    phase: str
    start: float
    end: float
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """``kind``: landed, evicted, discarded, changes-requested or approved."""

    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """What one agent did and when, as the ledger recorded it."""

    agent: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class GateResult:
    """``seconds`` None: it was not run for this. ``log_end``: the last lines of the log of a gate that did not pass."""

    gate: str
    outcome: str
    at: float
    seconds: float | None = None
    log: str | None = None
    log_end: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a merge or a rehearsal decided about an agent: landed, evicted, or what would have happened."""

    agent: str
    outcome: str
    detail: str
    others: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class TestedCandidate:
    """A commit that a train tested, with the results of its gates and the decisions that rest on them.

    ``commit`` None: decided before a candidate was tested, as for a conflict of text. ``agents``: whose work is in it;
    empty for the target alone, None where an older version recorded the run.
    """

    commit: str | None
    agents: tuple[str, ...] | None
    gates: tuple[GateResult, ...]
    decisions: tuple[Decision, ...]
    at: float


@dataclass(frozen=True, slots=True)
class ConflictingPair:
    """Two pending branches that do not merge, and the paths."""

    first: str
    second: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GraphLayer:
    """Agents that may land in any order among themselves. ``stage`` None: without a stage."""

    stage: str | None
    agents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """The declared merge order. ``arrows``: pairs (before, after); ``critical_path``: the longest chain."""

    layers: tuple[GraphLayer, ...]
    arrows: tuple[tuple[str, str], ...]
    critical_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """``added`` and ``removed`` None: a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class BranchCommit:
    """One commit of an agent's branch."""

    commit: str
    subject: str
    author: str
    at: float


@dataclass(frozen=True, slots=True)
class AgentCard:
    """One agent. ``commits`` and ``files`` None: git could not read its branch, or it has none.

    ``files`` holds the first ones; ``files_total``, ``added`` and ``removed`` are of all. ``notes`` None: none written.
    """

    number: int
    name: str
    title: str
    stage: str | None
    state: str
    reason: str
    verdict: str
    branch: str
    commit: str | None
    landed: str | None
    task: str
    done_when: tuple[str, ...]
    notes: str | None
    requested: str | None
    findings: tuple[str, ...]
    conflicts_with: tuple[str, ...]
    uncommitted_files: int | None
    commits: tuple[BranchCommit, ...] | None
    files: tuple[ChangedFile, ...] | None
    files_total: int
    added: int
    removed: int
    gates: tuple[GateResult, ...]
    log_end: tuple[str, ...]
    cost_usd: float | None
    sessions_without_cost: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class FleetReport:
    """A fleet at one moment, and how it got there. ``unknown``: what could not be looked at, and why."""

    fleet: str
    title: str
    description: str
    target: str
    target_commit: str | None
    made_at: float
    summary: Summary
    timelines: tuple[Timeline, ...]
    candidates: tuple[TestedCandidate, ...]
    merge_graph: Graph
    conflicts: tuple[ConflictingPair, ...]
    pending: tuple[str, ...]
    agents: tuple[AgentCard, ...]
    unknown: str

    def to_json(self) -> dict[str, Any]:
        """As ``report --json`` prints it; validates against schemas/report.schema.json."""
        return asdict(self)
