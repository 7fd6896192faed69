"""Runs the gates of candidates in slots, several at once, and says how each came out.

Invariant: a verdict is green only when every gate passed, now or before, on exactly that tree, with that definition,
environment and set-up; red only when a gate's command itself said so or ran out of its own time. Everything else is
broken: the machine's doing (facts/merge.md, I9). Passes are kept in ``results``, everything else is forgotten. Refuses:
to run two candidates in one slot.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import AgentName, RunGate
from orchestra.engine.job import Engine, Finished, JobId, JobSpec, Outcome, Result
from orchestra.errors import GitError, GroundError
from orchestra.fleet import Fleet
from orchestra.ledger import Json
from orchestra.repository.delta import tree_of
from orchestra.repository.refs import CommitId
from orchestra.train.events import Teller
from orchestra.train.gates.environment import result_key
from orchestra.train.gates.results import Pass, Results, forget_unused
from orchestra.train.pace import typical_seconds
from orchestra.train.queue import State
from orchestra.train.slot import SlotTrouble
from orchestra.train.slots import Setup, Slots

SETUP_GATE = "setup"


class Ended(StrEnum):
    GREEN = "green"  # every gate passed
    RED = "red"  # a gate failed, or ran out of its own time
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
    def gates(self) -> Mapping[str, str]:
        return {run.gate: run.outcome.value for run in self.runs}


@dataclass(slots=True)
class _Case:
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
        return _name(self.state) if self.about is None else f"a candidate that may explain {self.about}"

    def facts(self) -> dict[str, Json]:
        """What every event about this run says."""
        return {"run": self.run, "commit": self.commit, "purpose": "land" if self.about is None else "explain"}


@dataclass(slots=True)
class _Trial:
    """A candidate in a slot."""

    case: _Case
    slot: int
    env: Mapping[str, str]
    setup: Setup
    setup_left: list[str]
    gates_left: list[RunGate]
    runs: list[GateRun] = field(default_factory=list)
    job: JobId | None = None
    log: Path | None = None
    unwanted: bool = False


class Tester:
    """Tests candidates of one fleet, at most ``places`` at once. The caller holds the train's lock."""

    def __init__(self, fleet: Fleet, engine: Engine, places: int, teller: Teller) -> None:
        self._fleet, self._engine, self._teller = fleet, engine, teller
        self.slots = Slots(fleet)
        kept = fleet.repository.state_folder / "gates"
        for folder in (kept / "results", kept / "remade", fleet.folder / "gates"):
            forget_unused(folder)
        self._results = Results(kept / "results")
        self._free = list(range(1, places + 1))
        self._trials: list[_Trial] = []
        self._queue: list[_Case] = []
        self._cases = 0
        self._known_env: Mapping[str, str] | None = None
        self._done: list[Report] = []
        self.tests_run = 0
        self.measured: dict[str, list[float]] = _measured(fleet)

    @property
    def gates(self) -> tuple[RunGate, ...]:
        """The gates that need a checkout, in the order they run."""
        return tuple(gate for gate in self._fleet.blueprint.gates.values() if isinstance(gate, RunGate))

    def start(self, state: State, commit: CommitId, about: AgentName | None = None) -> None:
        """Begin to test a candidate; ``wait`` tells how it ended, also when all its gates had passed before.

        ``about``: its test is a question about that agent, and ``state`` only the question's name.
        """
        try:
            tree = tree_of(self._fleet.repository.git, commit)
            known = [self._known(gate, commit, tree) for gate in self.gates]
        except GitError as error:  # the candidate was lost before it was pinned
            self._done.append(_untestable(state, commit, "", error))
            return
        self._cases += 1
        case = _Case(self._cases, state, commit, tree, about)
        if all(known):
            runs = tuple(run for run in known if run is not None)
            self._tell_finished(case, Ended.GREEN, cached=True)
            self._done.append(Report(state, commit, tree, Ended.GREEN, runs))
            return
        self._queue.append(case)
        self._fill()
        if case in self._queue:
            self._teller.tell("test.queued", case.agents, f"{case.told} waits for a slot", **case.facts())

    def _fill(self) -> None:
        while self._queue and self._free:
            self._begin(self._free.pop(0), self._queue.pop(0))

    def _begin(self, slot: int, case: _Case) -> None:
        text = f"putting {case.told} into slot {slot}"
        self._teller.tell("test.preparing", case.agents, text, slot=slot, **case.facts())
        try:
            setup = self.slots.prepare(slot, case.commit)
        except (SlotTrouble, GitError) as trouble:
            self._free = sorted((*self._free, slot))
            self._tell_finished(case, Ended.BROKEN, slot=slot)
            self._done.append(_untestable(case.state, case.commit, case.tree, trouble))
            return
        self.tests_run += 1
        trial = _Trial(case, slot, self.slots.environment(slot), setup, list(setup.commands), list(self.gates))
        self._trials.append(trial)
        self._teller.tell("test.started", case.agents, f"testing {case.told}", slot=slot, **case.facts())
        self._next(trial)

    def cancel(self, state: State) -> None:
        """Give a test up; it is reported as cancelled once its processes are gone."""
        for case in [case for case in self._queue if case.state == state]:
            self._queue.remove(case)
            self._tell_finished(case, Ended.CANCELLED)
        for trial in self._wanted():
            if trial.case.state == state and trial.job is not None:
                trial.unwanted = True
                self._tell_cancelled(trial)
                self._engine.cancel(trial.job)

    def _wanted(self) -> list[_Trial]:
        return [trial for trial in self._trials if not trial.unwanted]

    def wait(self, timeout_s: float | None = None) -> list[Report]:
        """The tests that ended since the last call; blocks until there is one, at most ``timeout_s``."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._done and self._trials:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            for event in self._engine.wait(left):
                if isinstance(event, Finished):
                    self._hear(event.job, event.result)
            if left == 0.0:
                break
        done, self._done = self._done, []
        return done

    def rename(self, names: Mapping[State, State]) -> None:
        """The target moved: what runs is now called otherwise."""
        for trial in self._wanted():
            trial.case.state = names[trial.case.state]
        for case in self._queue:
            case.state = names[case.state]

    # -- one trial ----------------------------------------------------------------------------------------------

    def _next(self, trial: _Trial) -> None:
        """Start the next command of a trial, or report it green."""
        if trial.unwanted:  # its job ended before it could be cancelled
            self._end(trial, Ended.CANCELLED)
            return
        if trial.setup_left:
            command = trial.setup_left[0]
            self._submit(trial, SETUP_GATE, command, trial.env, self._fleet.blueprint.worktrees.setup.timeout_s)
            return
        while trial.gates_left:
            gate = trial.gates_left[0]
            known = self._known(gate, trial.case.commit, trial.case.tree)
            if known is None:
                self._submit(trial, gate.name, gate.run, {**trial.env, **gate.env}, gate.timeout_s)
                return
            trial.runs.append(known)
            trial.gates_left.pop(0)
        self._end(trial, Ended.GREEN)

    def _submit(self, trial: _Trial, gate: str, command: str, env: Mapping[str, str], timeout_s: float) -> None:
        trial.job = JobId(f"{gate}-{trial.case.commit[:12]}-{secrets.token_hex(4)}")
        trial.log = self._log(trial.case.commit, gate)
        self._tell_gate(trial, gate)
        cwd = self.slots.path(trial.slot)
        self._engine.submit(JobSpec(trial.job, command, cwd, env, trial.log, timeout_s))

    def _hear(self, job: JobId, result: Result) -> None:
        trial = next((trial for trial in self._trials if trial.job == job), None)
        if trial is None:
            return
        trial.job = None
        if result.outcome is Outcome.CANCELLED:
            self._end(trial, Ended.CANCELLED)
        elif trial.setup_left:
            self._setup_ended(trial, result)
        else:
            self._gate_ended(trial, trial.gates_left[0], result)

    def _setup_ended(self, trial: _Trial, result: Result) -> None:
        run = self._run_of(trial, SETUP_GATE, result)
        if result.outcome is not Outcome.PASSED:
            trial.runs.append(run)
            self._end(trial, Ended.BROKEN if result.outcome is Outcome.BROKEN else Ended.RED)
            return
        trial.setup_left.pop(0)
        if not trial.setup_left:
            self.slots.setup_done(trial.slot, trial.setup)
        self._next(trial)

    def _gate_ended(self, trial: _Trial, gate: RunGate, result: Result) -> None:
        run = self._run_of(trial, gate.name, result)
        trial.runs.append(run)
        if result.outcome is not Outcome.PASSED:
            self._end(trial, Ended.BROKEN if result.outcome is Outcome.BROKEN else Ended.RED)
            return
        key = self._key(gate, trial.case.commit, trial.case.tree)
        self._results.keep(Pass(key, gate.name, trial.case.tree, run.seconds, result.ended_at, str(run.log)))
        trial.gates_left.pop(0)
        self._next(trial)

    def _run_of(self, trial: _Trial, gate: str, result: Result) -> GateRun:
        seconds = result.ended_at - result.started_at
        if result.outcome is Outcome.PASSED:
            self.measured.setdefault(gate, []).append(seconds)
        text = f"{gate} {result.outcome} on {trial.case.told} in {seconds:.1f} s"
        facts: dict[str, Json] = {"outcome": result.outcome, "seconds": seconds, "log": str(trial.log)}
        self._teller.tell(
            "gate.finished", trial.case.agents, text, gate=gate, slot=trial.slot, **trial.case.facts(), **facts
        )
        return GateRun(gate, result.outcome, seconds, trial.log, result.detail)

    def _end(self, trial: _Trial, ended: Ended) -> None:
        self._trials.remove(trial)
        self._free = sorted((*self._free, trial.slot))  # the lowest first: the fewer are used, the warmer they are
        shutil.rmtree(self.slots.scratch(trial.slot), ignore_errors=True)  # emptied again before the next one
        self._tell_finished(trial.case, ended, slot=trial.slot)
        self._done.append(Report(trial.case.state, trial.case.commit, trial.case.tree, ended, tuple(trial.runs)))
        self._fill()

    # -- telling ------------------------------------------------------------------------------------------------

    def _tell_gate(self, trial: _Trial, gate: str) -> None:
        """A command begins: which one of how many, and what it usually takes (None: never measured)."""
        setup, gates = trial.setup.commands, self.gates
        count, left = (len(setup), len(trial.setup_left)) if trial.setup_left else (len(gates), len(trial.gates_left))
        facts: dict[str, Json] = {"step": count - left + 1, "steps": count, "usual_s": self._usual(gate, len(setup))}
        text = f"{gate} on {trial.case.told}"
        self._teller.tell(
            "gate.started", trial.case.agents, text, gate=gate, slot=trial.slot, **trial.case.facts(), **facts
        )

    def _usual(self, gate: str, setup_commands: int) -> float | None:
        """What a gate usually takes; set-up commands are not told apart, so several of them have no usual time."""
        if gate == SETUP_GATE and setup_commands > 1:
            return None
        return typical_seconds(self.measured, (gate,))

    def _tell_cancelled(self, trial: _Trial) -> None:
        text = f"giving up {trial.case.told}: its outcome no longer matters"
        self._teller.tell("test.cancelled", trial.case.agents, text, slot=trial.slot, **trial.case.facts())

    def _tell_finished(self, case: _Case, ended: Ended, *, slot: int | None = None, cached: bool = False) -> None:
        text = f"{case.told}: {ended}" + (", tested before" if cached else "")
        self._teller.tell("test.finished", case.agents, text, slot=slot, **case.facts(), ended=ended, cached=cached)

    # -- what is known ------------------------------------------------------------------------------------------

    def _key(self, gate: RunGate, commit: CommitId, tree: str) -> str:
        if self._known_env is None:
            self._known_env = self.slots.environment(0)
        return result_key(gate, self._known_env, self.slots.setup_key(commit), tree, commit)

    def _known(self, gate: RunGate, commit: CommitId, tree: str) -> GateRun | None:
        found = self._results.find(self._key(gate, commit, tree), tree)
        if found is None:
            return None
        return GateRun(gate.name, Outcome.PASSED, found.seconds, Path(found.log), cached=True)

    def _log(self, commit: CommitId, gate: str) -> Path:
        """A fresh log for each run: ``<fleet>/gates/<commit>.<gate>.<n>.log``."""
        folder = self._fleet.folder / "gates"
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (path := folder / f"{commit[:12]}.{gate}.{number}.log").exists():
            number += 1
        return path


def _untestable(state: State, commit: CommitId, tree: str, trouble: GroundError) -> Report:
    run = GateRun(SETUP_GATE, Outcome.BROKEN, 0.0, None, str(trouble))
    return Report(state, commit, tree, Ended.BROKEN, (run,))


def _measured(fleet: Fleet) -> dict[str, list[float]]:
    """Gate -> how many seconds its passes took before, as the ledger remembers."""
    found: dict[str, list[float]] = {}
    for event in fleet.ledger.events("gate"):
        gate, seconds = event.data.get("gate"), event.data.get("seconds")
        if isinstance(gate, str) and isinstance(seconds, int | float) and event.data.get("outcome") == "passed":
            found.setdefault(gate, []).append(float(seconds))
    return found


def _name(state: State) -> str:
    """A state in a person's words."""
    return f"the target with {', '.join(state)}" if state else "the target alone"
