"""The test of a candidate, as values: what is tested, where, and how it ended. ``tester`` moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import AgentName, RunGate
from orchestra.engine.job import JobId, Outcome
from orchestra.errors import GroundError
from orchestra.gates.junit_report import FailedTest
from orchestra.gates.path_filters import describe_filter
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.train.events import EventSink
from orchestra.train.planner_model import MergeGroup
from orchestra.train.slots import Setup

SETUP_GATE = "setup"
NOT_NEEDED = "not-needed"
_MOST_NAMES = 4  # that one line lists


class TestOutcome(StrEnum):
    GREEN = "passed"  # every gate passed
    RED = "failed"  # a gate failed, or ran out of its own time
    BROKEN = "broken"  # it could not be tested: signal, full disk, slot trouble
    CANCELLED = "cancelled"  # the train no longer needs the answer


@dataclass(frozen=True, slots=True)
class GateRun:
    """One gate on one candidate. ``cached``: it passed before on the same tree, and was not run again.

    ``failed_tests``: those that its JUnit report names, where it declares one.
    """

    gate: str
    outcome: Outcome
    seconds: float
    log: Path | None
    detail: str = ""
    cached: bool = False
    failed_tests: tuple[FailedTest, ...] = ()


@dataclass(frozen=True, slots=True)
class TestReport:
    """How the test of a group ended. ``runs`` are the gates that ran, in order; the last one decided.

    ``not_needed``: gates that were not run, because ``commit`` does not touch their ``when``, compared with ``base``.
    """

    group: MergeGroup
    commit: CommitId
    tree: str
    ended: TestOutcome
    runs: tuple[GateRun, ...]
    not_needed: tuple[RunGate, ...] = ()
    base: CommitId | None = None

    @property
    def decided_by(self) -> GateRun | None:
        """The gate that was red or could not be run."""
        return self.runs[-1] if self.runs and self.ended in (TestOutcome.RED, TestOutcome.BROKEN) else None

    @property
    def no_slot(self) -> bool:
        """No slot could be made to hold it, so nothing ran: its objects may be missing."""
        return self.ended is TestOutcome.BROKEN and self.decided_by is not None and self.decided_by.log is None

    @property
    def recalled_red(self) -> bool:
        """A rehearsal found it red, in as many runs as the gate's retries allow."""
        return self.ended is TestOutcome.RED and bool(self.runs) and self.runs[-1].cached

    @property
    def skipped(self) -> Mapping[str, str]:
        """Return gate -> why it was not needed."""
        return {gate.name: describe_filter(gate) for gate in self.not_needed}

    @property
    def gates(self) -> Mapping[str, str]:
        return {run.gate: run.outcome.value for run in self.runs} | {gate.name: NOT_NEEDED for gate in self.not_needed}


@dataclass(slots=True)
class TestRequest:
    """A candidate to test. ``run`` numbers it; ``about``: the agent whose failure its test should explain.

    ``gates``: those to run, ``not_needed``: the others, as in TestReport.
    """

    run: int
    group: MergeGroup
    commit: CommitId
    tree: str
    about: AgentName | None
    gates: tuple[RunGate, ...]
    not_needed: tuple[RunGate, ...]
    base: CommitId | None

    @property
    def agents(self) -> MergeGroup:
        return self.group if self.about is None else (self.about,)

    @property
    def title(self) -> str:
        """A phrase for what is tested; of many agents, the first, the last and their number."""
        if self.about is not None:
            return f"a combination that may explain the failure of {self.about}"
        group = self.group
        if not group:
            return "the target alone"
        names = ", ".join(group) if len(group) <= _MOST_NAMES else f"{group[0]}..{group[-1]} ({len(group)} agents)"
        return f"the target with {names}"

    def report(self, ended: TestOutcome, runs: Sequence[GateRun]) -> TestReport:
        return TestReport(self.group, self.commit, self.tree, ended, tuple(runs), self.not_needed, self.base)

    def event_data(self) -> dict[str, Json]:
        """Return what every event about this run contains."""
        return {"run": self.run, "commit": self.commit, "purpose": "land" if self.about is None else "explain"}


@dataclass(slots=True)
class RunningTest:
    """A candidate in a slot. ``cancelled``: its result no longer matters.

    ``reports_before``: the JUnit files that existed when the gate began, and when each changed last. ``slow_at``: when
    its gate takes much longer than usual, as a monotonic time.
    """

    request: TestRequest
    slot: int
    env: Mapping[str, str]
    setup: Setup
    setup_to_run: list[str]
    gates_to_run: list[RunGate]
    runs: list[GateRun] = field(default_factory=list)
    job: JobId | None = None
    log: Path | None = None
    reports_before: Mapping[Path, int] = field(default_factory=dict)
    slow_at: float | None = None
    cancelled: bool = False


@dataclass(slots=True)
class SlotPreparation:
    """A slot that a thread is preparing for a candidate; git writes a checkout meanwhile."""

    request: TestRequest
    slot: int
    setup: Future[Setup]
    cancelled: bool = False


def untestable(group: MergeGroup, commit: CommitId, tree: str, error: GroundError) -> TestReport:
    """Return the report of a candidate for which no slot could be prepared."""
    run = GateRun(SETUP_GATE, Outcome.BROKEN, 0.0, None, str(error))
    return TestReport(group, commit, tree, TestOutcome.BROKEN, (run,))


def emit_finished(
    events: EventSink, request: TestRequest, ended: TestOutcome, *, slot: int | None = None, cached: bool = False
) -> None:
    """Emit how a test ended; ``cached``: all its gates had passed before, so it needed no slot."""
    remark = "" if not cached else ", tested before" if request.gates else ": it needs no gate"
    text = f"{request.title}: {ended}{remark}"
    events.emit("test.finished", request.agents, text, slot=slot, **request.event_data(), outcome=ended, cached=cached)
