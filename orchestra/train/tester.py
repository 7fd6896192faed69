"""Run the gates of candidates in slots, several at once, and report how each ended.

Invariant: a test is green only when every gate passed, now or before, on exactly that tree, with that definition,
environment and set-up; red only when a gate's command failed or ran out of its own time. Everything else is broken: the
machine's fault, not the branch's. Passes are kept in ``results``, failures of a rehearsal in ``reds`` for one merge.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestra.blueprint.model import AgentName, RunGate
from orchestra.engine.job import Engine, Finished, JobId, Outcome, Result, shell_job
from orchestra.errors import DiskFull, GitError, GroundError
from orchestra.fleet import FleetSnapshot
from orchestra.gates.environment import result_key
from orchestra.gates.gate_history import RUN_EVENT
from orchestra.gates.junit_report import FailedTest, read_failed_tests, report_times
from orchestra.gates.result_cache import (
    GatePass,
    PassCache,
    RehearsedFailure,
    RehearsedFailures,
    forget_unused,
    new_log_path,
    past_durations,
)
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import tree_of
from orchestra.ledger import Json
from orchestra.text import format_duration
from orchestra.train.eta import typical_seconds
from orchestra.train.events import EventSink
from orchestra.train.gate_selection import GateSelection
from orchestra.train.planner_model import MergeGroup
from orchestra.train.slots import Slots
from orchestra.train.test_run import (
    SETUP_GATE,
    GateRun,
    RunningTest,
    SlotPreparation,
    TestOutcome,
    TestReport,
    TestRequest,
    emit_finished,
    untestable,
)

_SLOW, _SLOW_FROM_S = 10, 10.0  # times the usual duration of a gate, and at least so many seconds: it is reported
_POLL_S = 0.02  # for slots that are being prepared, while jobs are waited for


class Tester:
    """Tests candidates of a fleet, at most ``places`` at once; a context manager. The caller holds the train's lock."""

    def __init__(
        self, snapshot: FleetSnapshot, engine: Engine, places: int, events: EventSink, *, fresh: bool = False
    ) -> None:
        """``fresh``: believe no result from before this train."""
        fleet = self._fleet = snapshot.fleet
        self._engine, self._events = engine, events
        self._oldest_result = time.time() if fresh else 0.0
        self.slots = Slots(snapshot, events.announce)
        self.selection = GateSelection(fleet, self.slots)
        cache = fleet.repository.state_folder / "gates"
        for folder in (cache / "results", cache / "remade", fleet.folder / "gates"):
            forget_unused(folder)
        self._passes, self.rehearsed_failures = PassCache(cache / "results"), RehearsedFailures(cache / "reds")
        self._free_slots = list(range(1, places + 1))
        self._preparers = ThreadPoolExecutor(min(places, os.cpu_count() or 1), thread_name_prefix="slot")
        self._preparing: list[SlotPreparation] = []
        self._running: list[RunningTest] = []
        self._queue: list[TestRequest] = []
        self._requests = 0
        self._key_environment: Mapping[str, str] | None = None
        self._reports: list[TestReport] = []
        self.tests_run = 0
        self.measured: dict[str, list[float]] = past_durations(fleet.ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until no thread works on a slot."""
        self._preparers.shutdown(cancel_futures=True)

    def retries(self, report: TestReport) -> int:
        """Return how often the gate that decided a report is run again before its red counts."""
        decided = report.decided_by
        return next((gate.retries for gate in self.selection.gates if decided and gate.name == decided.gate), 0)

    @property
    def free_places(self) -> int:
        """How many tests can start at once, those in slots that a cancelled test is leaving included."""
        leaving = sum(test.cancelled for test in self._running) + sum(slot.cancelled for slot in self._preparing)
        return len(self._free_slots) + leaving - len(self._queue)

    # -- starting and cancelling --------------------------------------------------------------------------------

    def start(
        self,
        group: MergeGroup,
        commit: CommitId,
        about: AgentName | None = None,
        *,
        base: CommitId | None = None,
        suspected: Collection[str] = (),
    ) -> None:
        """Start the test of a candidate; ``wait`` returns its report, also when the result is known from before.

        ``about``: the test should explain that agent's failure, and ``group`` is only its name. ``base``: gates whose
        ``when`` the candidate does not touch, compared with it, are not run, except those ``suspected``.
        """
        try:
            tree = tree_of(self._fleet.repository.git, commit)
            gates, not_needed = self.selection.select(commit, base, suspected)
            recalled = self.recall(group, commit, base=base, suspected=suspected)
        except GitError as error:  # the candidate was lost before it was pinned
            self._reports.append(untestable(group, commit, "", error))
            return
        self._requests += 1
        request = TestRequest(self._requests, group, commit, tree, about, gates, not_needed, base)
        if recalled is not None:
            emit_finished(self._events, request, recalled.ended, cached=True)
            self._reports.append(recalled)
            return
        self._queue.append(request)
        self._fill_slots()
        if request in self._queue:
            text = f"{request.title} waits for a slot"
            self._events.emit("test.queued", request.agents, text, **request.event_data())

    def _fill_slots(self) -> None:
        while self._queue and self._free_slots:
            slot, request = self._free_slots.pop(0), self._queue.pop(0)
            text = f"putting {request.title} into slot {slot}"
            self._events.emit("test.preparing", request.agents, text, slot=slot, **request.event_data())
            setup = self._preparers.submit(self.slots.prepare, slot, request.commit)
            self._preparing.append(SlotPreparation(request, slot, setup))

    def _release_slot(self, slot: int) -> None:
        self._free_slots = sorted((*self._free_slots, slot))  # the lowest first: few slots stay warm
        self.slots.drop_scratch(slot)

    def cancel(self, group: MergeGroup) -> None:
        """Give a test up; it is reported as cancelled once its processes have ended."""
        for request in [request for request in self._queue if request.group == group]:
            self._queue.remove(request)
            emit_finished(self._events, request, TestOutcome.CANCELLED)
        for preparation in self._preparing:
            if preparation.request.group == group and not preparation.cancelled:
                preparation.cancelled = True
                preparation.setup.cancel()  # where no thread has started it
                emit_finished(self._events, preparation.request, TestOutcome.CANCELLED, slot=preparation.slot)
        for running in self._running:
            if running.request.group == group and not running.cancelled and running.job is not None:
                running.cancelled = True
                request = running.request
                text = f"cancelling {request.title}: its outcome no longer matters"
                data = request.event_data()
                self._events.emit("test.cancelled", request.agents, text, slot=running.slot, **data)
                self._engine.cancel(running.job)

    def rename(self, names: Mapping[MergeGroup, MergeGroup]) -> None:
        """Give running tests their new names after the target has moved."""
        running = [test.request for test in self._running if not test.cancelled]
        preparing = [preparation.request for preparation in self._preparing if not preparation.cancelled]
        for request in (*running, *preparing, *self._queue):
            request.group = names.get(request.group, request.group)

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(self) -> list[TestReport]:
        """Return the tests that ended since the last call; block until there is one."""
        while not self._reports and (self._running or self._preparing):
            if self._preparing and not self._running:
                wait_for_futures([preparation.setup for preparation in self._preparing], None, FIRST_COMPLETED)
            else:
                for event in self._engine.wait(_POLL_S if self._preparing else self._report_slow_gates()):
                    if isinstance(event, Finished):
                        self._job_ended(event.job, event.result)
            for preparation in [preparation for preparation in self._preparing if preparation.setup.done()]:
                self._preparing.remove(preparation)
                self._slot_prepared(preparation)
        reports, self._reports = self._reports, []
        return reports

    def _report_slow_gates(self) -> float | None:
        """Report each gate that has run ten times longer than usual, once; return the seconds until the next may."""
        now = time.monotonic()
        for running in self._running:
            if running.slow_at is not None and running.slow_at <= now and running.job is not None:
                running.slow_at = None
                gate, usual = (
                    running.gates_to_run[0].name,
                    typical_seconds(self.measured, (running.gates_to_run[0].name,)),
                )
                text = f"{gate} on {running.request.title} takes more than {_SLOW} times as long as usual"
                text += f" ({format_duration(usual or 0)}); its log: {running.log}"
                self._events.emit("advice", running.request.agents, text)
        return min((running.slow_at - now for running in self._running if running.slow_at is not None), default=None)

    def _slot_prepared(self, preparation: SlotPreparation) -> None:
        """Start the first command in the slot, if it holds its candidate."""
        request, slot = preparation.request, preparation.slot
        if preparation.cancelled:
            self._release_slot(slot)
            self._fill_slots()
            return
        try:
            setup = preparation.setup.result()
        except DiskFull:
            raise
        except GroundError as error:  # git, the file system, a lock that was held for too long
            self._release_slot(slot)
            emit_finished(self._events, request, TestOutcome.BROKEN, slot=slot)
            self._reports.append(untestable(request.group, request.commit, request.tree, error))
            self._fill_slots()
            return
        self.tests_run += 1
        environment = self.slots.environment(slot)
        running = RunningTest(request, slot, environment, setup, list(setup.commands), list(request.gates))
        self._running.append(running)
        text = f"testing {request.title}"
        self._events.emit("test.started", request.agents, text, slot=slot, **request.event_data())
        self._start_next_command(running)

    def _start_next_command(self, running: RunningTest) -> None:
        """Start the next set-up command or gate of a test, or report it green."""
        if running.cancelled:  # its job ended before it could be cancelled
            self._end(running, TestOutcome.CANCELLED)
            return
        if running.setup_to_run:
            timeout_s = self._fleet.blueprint.worktrees.setup.timeout_s
            self._submit(running, SETUP_GATE, running.setup_to_run[0], running.env, timeout_s)
            return
        while running.gates_to_run:
            gate = running.gates_to_run[0]
            passed = self._recall_pass(gate, running.request.commit, running.request.tree)
            if passed is None:
                if gate.junit:
                    running.reports_before = report_times(self.slots.path(running.slot), gate.junit)
                self._submit(running, gate.name, gate.sh_command, {**running.env, **gate.env}, gate.timeout_s)
                return
            running.runs.append(passed)
            running.gates_to_run.pop(0)
        self._end(running, TestOutcome.GREEN)

    def _submit(self, running: RunningTest, gate: str, command: str, env: Mapping[str, str], timeout_s: float) -> None:
        request = running.request
        running.job = JobId(f"{gate}-{request.commit[:12]}-{secrets.token_hex(4)}")
        running.log = new_log_path(self._fleet.folder / "gates", request.commit, gate)
        # Which command of how many it is, and what it usually takes. Set-up commands are measured together, so with
        # several of them none has a usual time.
        if running.setup_to_run:
            steps, remaining = len(running.setup.commands), len(running.setup_to_run)
        else:
            steps, remaining = len(request.gates), len(running.gates_to_run)
        usual = None if gate == SETUP_GATE and steps > 1 else typical_seconds(self.measured, (gate,))
        is_gate = usual is not None and not running.setup_to_run
        running.slow_at = time.monotonic() + max(_SLOW * (usual or 0), _SLOW_FROM_S) if is_gate else None
        data: dict[str, Json] = {"step": steps - remaining + 1, "steps": steps, "expected_s": usual}
        data |= request.event_data()
        text = f"{gate} on {request.title}"
        self._events.emit("gate.started", request.agents, text, gate=gate, slot=running.slot, **data)
        folder = self.slots.path(running.slot)
        self._engine.submit(shell_job(running.job, command, folder, env, running.log, timeout_s=timeout_s))

    def _job_ended(self, job: JobId, result: Result) -> None:
        running = next((running for running in self._running if running.job == job), None)
        if running is None:
            return
        running.job = running.slow_at = None
        outcome = result.outcome
        if outcome is Outcome.CANCELLED:
            self._end(running, TestOutcome.CANCELLED)
            return
        gate = None if running.setup_to_run else running.gates_to_run[0]
        run = self._gate_run(running, gate.name if gate else SETUP_GATE, result)
        if gate is not None or outcome is not Outcome.PASSED:
            running.runs.append(run)
        if gate is not None:
            content = self.selection.content_key(gate, running.request.tree)
            key = self._key(gate, running.request.commit, running.request.tree)
            row = (key, gate.name, content, run.seconds, result.ended_at, str(run.log))
            if outcome is Outcome.FAILED:
                tests = [[test.name, test.file, test.message] for test in run.failed_tests]
                self.rehearsed_failures.keep(RehearsedFailure(*row, run.detail, failed_tests=tests))
            elif outcome is Outcome.PASSED:
                self._passes.keep(GatePass(*row))
        if outcome is not Outcome.PASSED:
            self._end(running, TestOutcome.BROKEN if outcome is Outcome.BROKEN else TestOutcome.RED)
            return
        if gate is not None:
            running.gates_to_run.pop(0)
        else:
            running.setup_to_run.pop(0)
            if not running.setup_to_run:
                self.slots.setup_done(running.slot, running.setup)
        self._start_next_command(running)

    def _gate_run(self, running: RunningTest, gate: str, result: Result) -> GateRun:
        seconds = result.ended_at - result.started_at
        failed_tests: tuple[FailedTest, ...] = ()
        declared = None if running.setup_to_run else running.gates_to_run[0].junit
        if declared and result.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            failed_tests = read_failed_tests(self.slots.path(running.slot), declared, running.reports_before)
        if result.outcome is Outcome.PASSED:
            self.measured.setdefault(gate, []).append(seconds)
        request = running.request
        text = f"{gate} {result.outcome} on {request.title} in {seconds:.1f} s"
        data: dict[str, Json] = {"outcome": result.outcome, "seconds": seconds, "log": str(running.log)}
        data |= request.event_data()
        row: dict[str, Json] = {"gate": gate, "outcome": result.outcome, "seconds": seconds, "log": str(running.log)}
        self._fleet.ledger.record(RUN_EVENT, None, **row, candidate=request.commit, agents=list(request.agents))
        self._events.emit("gate.finished", request.agents, text, gate=gate, slot=running.slot, **data)
        return GateRun(gate, result.outcome, seconds, running.log, result.detail, failed_tests=failed_tests)

    def _end(self, running: RunningTest, ended: TestOutcome) -> None:
        """Report a test. A cancelled one is cancelled however it ended: its group may name another commit by now."""
        ended = TestOutcome.CANCELLED if running.cancelled else ended
        request = running.request
        self._running.remove(running)
        self._release_slot(running.slot)
        emit_finished(self._events, request, ended, slot=running.slot)
        self._reports.append(request.report(ended, running.runs))
        self._fill_slots()

    # -- results from before ------------------------------------------------------------------------------------

    def recall(
        self, group: MergeGroup, commit: CommitId, *, base: CommitId | None = None, suspected: Collection[str] = ()
    ) -> TestReport | None:
        """Return the report of a candidate whose gates all passed before, or one of which is known to be red.

        ``base`` and ``suspected`` as in ``start``.
        """
        tree = tree_of(self._fleet.repository.git, commit)
        runs: list[GateRun] = []
        gates, not_needed = self.selection.select(commit, base, suspected)
        for gate in gates:
            run = self._recall_pass(gate, commit, tree) or self._recall_red(gate, commit, tree)
            if run is None:
                return None
            runs.append(run)
            if run.outcome is not Outcome.PASSED:
                return TestReport(group, commit, tree, TestOutcome.RED, tuple(runs), not_needed, base)
        return TestReport(group, commit, tree, TestOutcome.GREEN, tuple(runs), not_needed, base)

    def _recall_red(self, gate: RunGate, commit: CommitId, tree: str) -> GateRun | None:
        content = self.selection.content_key(gate, tree)
        red = self.rehearsed_failures.find(self._key(gate, commit, tree), content, gate.retries)
        if red is None or red.at < self._oldest_result:
            return None
        tests = tuple(FailedTest(*test) for test in red.failed_tests)
        return GateRun(gate.name, Outcome.FAILED, red.seconds, Path(red.log), red.detail, True, tests)

    def _recall_pass(self, gate: RunGate, commit: CommitId, tree: str) -> GateRun | None:
        passed = self._passes.find(self._key(gate, commit, tree), self.selection.content_key(gate, tree))
        if passed is None or passed.at < self._oldest_result:
            return None
        return GateRun(gate.name, Outcome.PASSED, passed.seconds, Path(passed.log), cached=True)

    def _key(self, gate: RunGate, commit: CommitId, tree: str) -> str:
        if self._key_environment is None:
            self._key_environment = self.slots.environment(0)
        git = self._fleet.repository.git

        def read_file(path: str) -> bytes | None:
            blob = git.run("cat-file", "blob", f"{tree}:{path}", ok=(0, 128))
            return blob.stdout if blob.code == 0 else None

        setup = self.slots.setup_key(commit)
        content = self.selection.content_key(gate, tree)
        return result_key(gate, self._key_environment, setup, content, commit, read_file=read_file)
