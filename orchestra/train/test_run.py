"""What the test of a candidate is: who is tested, where, and how it came out. Values, which ``tester`` moves.

Invariant: a report says green, red, broken or cancelled, and what decided it. Refuses: to decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import AgentName, RunGate
from orchestra.engine.job import JobId, Outcome
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.train.events import Teller
from orchestra.train.planner_model import State
from orchestra.train.slots import Setup

SETUP_GATE = "setup"
_FEW = 4  # names that a line for a person lists


class Ended(StrEnum):
    GREEN = "passed"  # every gate passed
    RED = "failed"  # a gate failed, or ran out of its own time
    BROKEN = "broken"  # it could not be tested: signal, full disk, slot trouble
    CANCELLED = "cancelled"  # nobody wanted to know any more


@dataclass(frozen=True, slots=True)
class GateRun:
    """One gate on one candidate. ``cached``: it passed before on the same tree, and was not run again."""

    gate: str
    outcome: Outcome
    seconds: float
    log: Path | None
    detail: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """How the test of a state ended. ``runs`` are the gates that were asked, in order, the one that decided last."""

    state: State
    commit: CommitId
    tree: str
    ended: Ended
    runs: tuple[GateRun, ...]

    @property
    def decided_by(self) -> GateRun | None:
        """The gate that was red or could not be run."""
        return self.runs[-1] if self.runs and self.ended in (Ended.RED, Ended.BROKEN) else None

    @property
    def unheld(self) -> bool:
        """No slot could be made to hold it, so nothing ran: what it is made of may be gone."""
        return self.ended is Ended.BROKEN and self.decided_by is not None and self.decided_by.log is None

    @property
    def recalled_red(self) -> bool:
        """A rehearsal found it red, as often as the gate wants to be asked."""
        return self.ended is Ended.RED and bool(self.runs) and self.runs[-1].cached

    @property
    def gates(self) -> Mapping[str, str]:
        return {run.gate: run.outcome.value for run in self.runs}


@dataclass(slots=True)
class Case:
    """A candidate to be tested. ``run`` numbers it; ``about``: the agent whose failure its test is to explain."""

    run: int
    state: State
    commit: CommitId
    tree: str
    about: AgentName | None

    @property
    def agents(self) -> State:
        return self.state if self.about is None else (self.about,)

    @property
    def told(self) -> str:
        """What is tested, in a person's words."""
        return spoken_state(self.state) if self.about is None else f"what may explain why {self.about} fails"

    def facts(self) -> dict[str, Json]:
        """What every event about this run says."""
        return {"run": self.run, "commit": self.commit, "purpose": "land" if self.about is None else "explain"}


@dataclass(slots=True)
class Trial:
    """A candidate in a slot."""

    case: Case
    slot: int
    env: Mapping[str, str]
    setup: Setup
    setup_left: list[str]
    gates_left: list[RunGate]
    runs: list[GateRun] = field(default_factory=list)
    job: JobId | None = None
    log: Path | None = None
    unwanted: bool = False


@dataclass(slots=True)
class Preparation:
    """A slot that is being made to hold a candidate, in a thread of its own: git writes a checkout meanwhile."""

    case: Case
    slot: int
    setup: Future[Setup]
    unwanted: bool = False


def untestable(state: State, commit: CommitId, tree: str, trouble: GroundError) -> Report:
    """A report of a candidate that no slot could be made to hold."""
    run = GateRun(SETUP_GATE, Outcome.BROKEN, 0.0, None, str(trouble))
    return Report(state, commit, tree, Ended.BROKEN, (run,))


def spoken_state(state: State) -> str:
    """A state in a person's words; of many agents, the first, the last and their number."""
    if not state:
        return "the target alone"
    names = ", ".join(state) if len(state) <= _FEW else f"{state[0]}..{state[-1]} ({len(state)} agents)"
    return f"the target with {names}"


def tell_cancelled(teller: Teller, trial: Trial) -> None:
    """Its processes are being ended; ``tell_finished`` follows."""
    text = f"giving up {trial.case.told}: its outcome no longer matters"
    teller.tell("test.cancelled", trial.case.agents, text, slot=trial.slot, **trial.case.facts())


def tell_finished(teller: Teller, case: Case, ended: Ended, *, slot: int | None = None, cached: bool = False) -> None:
    """How it came out; ``cached``: all its gates had passed before, and it needed no slot."""
    text = f"{case.told}: {ended}" + (", tested before" if cached else "")
    teller.tell("test.finished", case.agents, text, slot=slot, **case.facts(), outcome=ended, cached=cached)
