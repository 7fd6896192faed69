"""The plan of a fleet as one value, and as the JSON document that ``schemas/plan.schema.json`` describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName, Blueprint
from orchestra.errors import ExitCode
from orchestra.git.refs import CommitId
from orchestra.plan.capacity import Cost, Disk, Slots
from orchestra.plan.finding import GROUND, Finding, Severity
from orchestra.plan.last_check import GreenCheck
from orchestra.plan.merge_order_chart import MergeGraph

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class PlannedAgent:
    """An agent with its worktree. ``files`` counts the tracked files that it may change."""

    agent: Agent
    worktree: Path
    files: int


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """The basis of findings from history: ``commits`` read, ``bulk`` of them ignored, ``cut``: why not all were
    read."""

    commits: int
    bulk: int
    cut: str


@dataclass(frozen=True, slots=True)
class Spawning:
    """The steps of spawn, each with its agent, as the caller has them from ``workspace``.

    ``problems`` are the reasons why spawn would refuse, ``base`` is the commit that it would start from.
    """

    base: CommitId | None
    steps: tuple[tuple[AgentName | None, str], ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanReport:
    """The result of ``orchestra plan``. ``commit`` is the agents' start; None: the target has no commit."""

    blueprint: Blueprint
    repository: Path
    target: str
    commit: CommitId | None
    agents: tuple[PlannedAgent, ...]  # declared order
    judging: tuple[str, ...]  # tracked files that are protected because they decide how branches are judged
    graph: MergeGraph
    slots: Slots
    disk: Disk
    cost: Cost
    history: HistoryRead
    findings: tuple[Finding, ...]  # errors first
    spawning: Spawning | None = None
    last_green: GreenCheck | None = None  # None: `orchestra check` never passed

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def exit_code(self) -> ExitCode:
        """WRONG_INPUT where the blueprint has to change, WRONG_GROUND where only the machine or repository has to."""
        codes = {finding.code for finding in self.errors}
        if codes - GROUND:
            return ExitCode.WRONG_INPUT
        return ExitCode.WRONG_GROUND if codes else ExitCode.DONE

    def to_json(self) -> dict[str, Json]:
        """Return the document of ``plan --json``."""
        return {
            "fleet": self.blueprint.name,
            "title": self.blueprint.title,
            "blueprint": str(self.blueprint.source),
            "target": {"branch": self.target, "commit": self.commit},
            "agents": [_agent(planned) for planned in self.agents],
            "judging_files": _strings(self.judging),
            "merge_order": _strings(self.blueprint.merge_order),
            "layers": [
                {"stage": layer.stage, "agents": _strings(agent.name for agent in layer.agents)}
                for layer in self.graph.layers
            ],
            "critical_path": _strings(self.graph.critical_path),
            "slots": asdict(self.slots),
            "disk": {**asdict(self.disk), "needed_bytes": self.disk.needed_bytes},
            "cost": {
                "low_usd": self.cost.low,
                "high_usd": self.cost.high,
                "assumptions": _strings(self.cost.assumptions),
            },
            "history": {
                "commits": self.history.commits,
                "bulk_commits": self.history.bulk,
                "truncated_reason": self.history.cut,
            },
            "last_green_check": asdict(self.last_green) if self.last_green else None,
            "findings": [_finding(finding) for finding in self.findings],
            "steps": _strings(step for _, step in self.spawning.steps) if self.spawning else [],
            "notes": _strings(self.spawning.notes) if self.spawning else [],
        }


def _strings(values: Iterable[str]) -> list[Json]:
    return [str(value) for value in values]


def _agent(planned: PlannedAgent) -> Json:
    agent, scope = planned.agent, planned.agent.scope
    return {
        "name": agent.name,
        "number": agent.number,
        "title": agent.title,
        "stage": agent.stage,
        "branch": agent.branch,
        "worktree": str(planned.worktree),
        "scope": {"include": _strings(scope.include), "exclude": _strings(scope.exclude)} if scope else None,
        "may_edit": _strings(agent.may_edit),
        "merge_after": _strings(agent.merge_after),
        "files": planned.files,
    }


def _finding(finding: Finding) -> Json:
    origin = finding.origin
    return {
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "advice": finding.advice,
        "file": str(origin.file),
        "line": origin.line,
        "column": origin.column,
        "agents": _strings(finding.agents),
        "paths": _strings(finding.paths),
    }
