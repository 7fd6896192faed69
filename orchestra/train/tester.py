"""Runs the gates of candidates in slots, several at once, and says how each came out.

Invariant: a verdict is green only when every gate passed, now or before, on exactly that tree, with that definition,
environment and set-up; red only when a gate's command itself said so or ran out of its own time. Everything else is
broken: the machine's doing (facts/merge.md, I9). Passes are kept in ``results``, reds of a rehearsal in ``reds`` for
one merge, everything else is forgotten. Refuses: to run two candidates in one slot.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as any_of
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestra.blueprint.model import AgentName, RunGate
from orchestra.engine.job import Engine, Finished, JobId, JobSpec, Outcome, Result
from orchestra.errors import DiskFull, GitError, GroundError
from orchestra.fleet import Fleet
from orchestra.gates.environment import result_key
from orchestra.gates.rehearsed_failures import RehearsedFailure, RehearsedFailures
from orchestra.gates.result_cache import GatePass, PassCache, forget_unused, new_log_path, past_durations
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import tree_of
from orchestra.ledger import Json
from orchestra.train.eta import typical_seconds
from orchestra.train.events import Teller
from orchestra.train.planner_model import State
from orchestra.train.slots import Slots
from orchestra.train.test_run import (
    SETUP_GATE,
    Case,
    Ended,
    GateRun,
    Preparation,
    Report,
    Trial,
    tell_cancelled,
    tell_finished,
    untestable,
)

_GLANCE_S = 0.02  # how often slots that are being prepared are looked at while jobs are listened to


class Tester:
    """Tests candidates of a fleet, at most ``places`` at once; a context manager. The caller holds the train's lock."""

    def __init__(self, fleet: Fleet, engine: Engine, places: int, teller: Teller) -> None:
        self._fleet, self._engine, self._teller = fleet, engine, teller
        self.slots = Slots(fleet)
        kept = fleet.repository.state_folder / "gates"
        for folder in (kept / "results", kept / "remade", fleet.folder / "gates"):
            forget_unused(folder)
        self._results, self.reds = PassCache(kept / "results"), RehearsedFailures(kept / "reds")
        self._free = list(range(1, places + 1))
        self._preparers = ThreadPoolExecutor(min(places, os.cpu_count() or 1), thread_name_prefix="slot")
        self._preparing: list[Preparation] = []
        self._trials: list[Trial] = []
        self._queue: list[Case] = []
        self._cases = 0
        self._known_env: Mapping[str, str] | None = None
        self._done: list[Report] = []
        self.tests_run = 0
        self.measured: dict[str, list[float]] = past_durations(fleet.ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """No thread of ours works on a slot afterwards."""
        self._preparers.shutdown(cancel_futures=True)

    @property
    def gates(self) -> tuple[RunGate, ...]:
        """The gates that need a checkout, in the order they run."""
        return tuple(gate for gate in self._fleet.blueprint.gates.values() if isinstance(gate, RunGate))

    def retries(self, report: Report) -> int:
        """How often the gate that decided a report is to be asked again before its red counts."""
        decided = report.decided_by
        return next((gate.retries for gate in self.gates if decided and gate.name == decided.gate), 0)

    def start(self, state: State, commit: CommitId, about: AgentName | None = None) -> None:
        """Begin to test a candidate; ``wait`` tells how it ended, also when that is known from before.

        ``about``: its test is a question about that agent, and ``state`` only the question's name.
        """
        try:
            tree = tree_of(self._fleet.repository.git, commit)
            known = self.known(state, commit)
        except GitError as error:  # the candidate was lost before it was pinned
            self._done.append(untestable(state, commit, "", error))
            return
        self._cases += 1
        case = Case(self._cases, state, commit, tree, about)
        if known is not None:
            tell_finished(self._teller, case, known.ended, cached=True)
            self._done.append(known)
            return
        self._queue.append(case)
        self._fill()
        if case in self._queue:
            self._teller.tell("test.queued", case.agents, f"{case.told} waits for a slot", **case.facts())

    def _fill(self) -> None:
        while self._queue and self._free:
            self._begin(self._free.pop(0), self._queue.pop(0))

    def _begin(self, slot: int, case: Case) -> None:
        text = f"putting {case.told} into slot {slot}"
        self._teller.tell("test.preparing", case.agents, text, slot=slot, **case.facts())
        setup = self._preparers.submit(self.slots.prepare, slot, case.commit)
        self._preparing.append(Preparation(case, slot, setup))

    def _go_on_with_prepared(self) -> None:
        for ready in [preparation for preparation in self._preparing if preparation.setup.done()]:
            self._preparing.remove(ready)
            self._prepared(ready)

    def _prepared(self, ready: Preparation) -> None:
        """A slot holds its candidate, or could not be made to: start the first command there."""
        case, slot = ready.case, ready.slot
        if ready.unwanted:
            self._let_go(slot)
            self._fill()
            return
        try:
            setup = ready.setup.result()
        except DiskFull:
            raise
        except GroundError as trouble:  # git, the file system, a lock that somebody holds for long
            self._let_go(slot)
            tell_finished(self._teller, case, Ended.BROKEN, slot=slot)
            self._done.append(untestable(case.state, case.commit, case.tree, trouble))
            self._fill()
            return
        self.tests_run += 1
        trial = Trial(case, slot, self.slots.environment(slot), setup, list(setup.commands), list(self.gates))
        self._trials.append(trial)
        self._teller.tell("test.started", case.agents, f"testing {case.told}", slot=slot, **case.facts())
        self._next(trial)

    def _let_go(self, slot: int) -> None:
        self._free = sorted((*self._free, slot))  # the lowest first: the fewer are used, the warmer they are
        self.slots.drop_scratch(slot)

    def cancel(self, state: State) -> None:
        """Give a test up; it is reported as cancelled once its processes are gone."""
        for case in [case for case in self._queue if case.state == state]:
            self._queue.remove(case)
            tell_finished(self._teller, case, Ended.CANCELLED)
        for preparation in self._wanted_preparations():
            if preparation.case.state == state:
                preparation.unwanted = True
                preparation.setup.cancel()  # where no thread has begun with it
                tell_finished(self._teller, preparation.case, Ended.CANCELLED, slot=preparation.slot)
        for trial in self._wanted():
            if trial.case.state == state and trial.job is not None:
                trial.unwanted = True
                tell_cancelled(self._teller, trial)
                self._engine.cancel(trial.job)

    def _wanted(self) -> list[Trial]:
        return [trial for trial in self._trials if not trial.unwanted]

    def _wanted_preparations(self) -> list[Preparation]:
        return [preparation for preparation in self._preparing if not preparation.unwanted]

    def wait(self, timeout_s: float | None = None) -> list[Report]:
        """The tests that ended since the last call; blocks until there is one, at most ``timeout_s``."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._done and (self._trials or self._preparing):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._listen(left)
            self._go_on_with_prepared()
            if left == 0.0:
                break
        done, self._done = self._done, []
        return done

    def _listen(self, left: float | None) -> None:
        """Until a job tells something or a slot is prepared, at most ``left`` seconds."""
        if self._preparing and not self._trials:
            any_of([preparation.setup for preparation in self._preparing], left, FIRST_COMPLETED)
            return
        glance = left if not self._preparing else _GLANCE_S if left is None else min(left, _GLANCE_S)
        for event in self._engine.wait(glance):
            if isinstance(event, Finished):
                self._hear(event.job, event.result)

    def rename(self, names: Mapping[State, State]) -> None:
        """The target moved: what runs is now called otherwise."""
        for trial in self._wanted():
            trial.case.state = names[trial.case.state]
        for preparation in self._wanted_preparations():
            preparation.case.state = names[preparation.case.state]
        for case in self._queue:
            case.state = names[case.state]

    # -- one trial ----------------------------------------------------------------------------------------------

    def _next(self, trial: Trial) -> None:
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

    def _submit(self, trial: Trial, gate: str, command: str, env: Mapping[str, str], timeout_s: float) -> None:
        trial.job = JobId(f"{gate}-{trial.case.commit[:12]}-{secrets.token_hex(4)}")
        trial.log = new_log_path(self._fleet.folder / "gates", trial.case.commit, gate)
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

    def _setup_ended(self, trial: Trial, result: Result) -> None:
        run = self._run_of(trial, SETUP_GATE, result)
        if result.outcome is not Outcome.PASSED:
            trial.runs.append(run)
            self._end(trial, Ended.BROKEN if result.outcome is Outcome.BROKEN else Ended.RED)
            return
        trial.setup_left.pop(0)
        if not trial.setup_left:
            self.slots.setup_done(trial.slot, trial.setup)
        self._next(trial)

    def _gate_ended(self, trial: Trial, gate: RunGate, result: Result) -> None:
        run = self._run_of(trial, gate.name, result)
        trial.runs.append(run)
        key = self._key(gate, trial.case.commit, trial.case.tree)
        facts = (key, gate.name, trial.case.tree, run.seconds, result.ended_at, str(run.log))
        if result.outcome is Outcome.FAILED:
            self.reds.keep(RehearsedFailure(*facts, run.detail))
        if result.outcome is not Outcome.PASSED:
            self._end(trial, Ended.BROKEN if result.outcome is Outcome.BROKEN else Ended.RED)
            return
        self._results.keep(GatePass(*facts))
        trial.gates_left.pop(0)
        self._next(trial)

    def _run_of(self, trial: Trial, gate: str, result: Result) -> GateRun:
        seconds = result.ended_at - result.started_at
        if result.outcome is Outcome.PASSED:
            self.measured.setdefault(gate, []).append(seconds)
        text = f"{gate} {result.outcome} on {trial.case.told} in {seconds:.1f} s"
        facts: dict[str, Json] = {"outcome": result.outcome, "seconds": seconds, "log": str(trial.log)}
        self._teller.tell(
            "gate.finished", trial.case.agents, text, gate=gate, slot=trial.slot, **trial.case.facts(), **facts
        )
        return GateRun(gate, result.outcome, seconds, trial.log, result.detail)

    def _end(self, trial: Trial, ended: Ended) -> None:
        """One that nobody wants is cancelled however it ended: by now its state may be the name of another commit."""
        ended = Ended.CANCELLED if trial.unwanted else ended
        self._trials.remove(trial)
        self._let_go(trial.slot)
        tell_finished(self._teller, trial.case, ended, slot=trial.slot)
        self._done.append(Report(trial.case.state, trial.case.commit, trial.case.tree, ended, tuple(trial.runs)))
        self._fill()

    # -- telling ------------------------------------------------------------------------------------------------

    def _tell_gate(self, trial: Trial, gate: str) -> None:
        """A command begins: which one of how many, and what it usually takes (None: never measured)."""
        setup, gates = trial.setup.commands, self.gates
        count, left = (len(setup), len(trial.setup_left)) if trial.setup_left else (len(gates), len(trial.gates_left))
        facts: dict[str, Json] = {"step": count - left + 1, "steps": count, "expected_s": self._usual(gate, len(setup))}
        text = f"{gate} on {trial.case.told}"
        self._teller.tell(
            "gate.started", trial.case.agents, text, gate=gate, slot=trial.slot, **trial.case.facts(), **facts
        )

    def _usual(self, gate: str, setup_commands: int) -> float | None:
        """What a gate usually takes; set-up commands are not told apart, so several of them have no usual time."""
        if gate == SETUP_GATE and setup_commands > 1:
            return None
        return typical_seconds(self.measured, (gate,))

    # -- what is known ------------------------------------------------------------------------------------------

    def known(self, state: State, commit: CommitId) -> Report | None:
        """How the test of a candidate comes out, where every gate passed before or one is known to be red."""
        tree = tree_of(self._fleet.repository.git, commit)
        runs: list[GateRun] = []
        for gate in self.gates:
            run = self._known(gate, commit, tree) or self._known_red(gate, commit, tree)
            if run is None:
                return None
            runs.append(run)
            if run.outcome is not Outcome.PASSED:
                return Report(state, commit, tree, Ended.RED, tuple(runs))
        return Report(state, commit, tree, Ended.GREEN, tuple(runs))

    def _known_red(self, gate: RunGate, commit: CommitId, tree: str) -> GateRun | None:
        red = self.reds.find(self._key(gate, commit, tree), tree, gate.retries)
        if red is None:
            return None
        return GateRun(gate.name, Outcome.FAILED, red.seconds, Path(red.log), red.detail, cached=True)

    def _key(self, gate: RunGate, commit: CommitId, tree: str) -> str:
        if self._known_env is None:
            self._known_env = self.slots.environment(0)
        return result_key(gate, self._known_env, self.slots.setup_key(commit), tree, commit)

    def _known(self, gate: RunGate, commit: CommitId, tree: str) -> GateRun | None:
        found = self._results.find(self._key(gate, commit, tree), tree)
        if found is None:
            return None
        return GateRun(gate.name, Outcome.PASSED, found.seconds, Path(found.log), cached=True)
