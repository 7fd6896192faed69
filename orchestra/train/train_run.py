"""Run a train: carry out what the planner decides, and report it, until every agent is decided.

Decisions are the planner's (``planner.plan``), facts are git's and the gates'; this module only carries between them.
After every event it plans again from all facts. In a rehearsal the target moves in memory only.

Invariant: nothing lands that fails the audit of containment, and when the target moved meanwhile, everything is built
again on what it is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import BuiltCandidate, Candidate, NothingToMerge
from orchestra.candidates.containment import LandingStep, audit, unclaimed_paths
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import GitError, GroundError
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.train import planner
from orchestra.train.bisect import CauseFinder
from orchestra.train.conflict_blame import OtherSideFinder
from orchestra.train.entries import Entries, Entry
from orchestra.train.eta import format_remaining, seconds_left, typical_seconds
from orchestra.train.eviction_report import FailedEntry
from orchestra.train.landing import TargetMoved, VerdictChanged, land
from orchestra.train.landing_journal import Landing
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
    BuildOutcome,
    Cancel,
    Evict,
    EvictionCause,
    Facts,
    Hold,
    HoldReason,
    Land,
    MergeGroup,
    Run,
    TestRecord,
)
from orchestra.train.stacked_branches import order_by_dependencies, stacked_on
from orchestra.train.target_checks import TargetPosition, check_target
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.train_context import TrainContext
from orchestra.train.train_report import Blocked, Landed, Waiting

_MOST_TARGET_MOVES = 20  # before the train gives up
_MOST_LOST_CANDIDATES = 20  # removed by ``git gc --prune=now`` before they were pinned


@dataclass(slots=True)
class TargetState:
    """What is known about one value of the target: candidates on it, and their tests."""

    target: CommitId
    built: dict[MergeGroup, Candidate] = field(default_factory=dict)
    tests: dict[MergeGroup, TestRecord] = field(default_factory=dict)
    reports: dict[MergeGroup, TestReport] = field(default_factory=dict)

    def commit(self, group: MergeGroup) -> CommitId:
        """Return the commit of a group that was built clean."""
        if not group:
            return self.target
        candidate = self.built[group]
        if not isinstance(candidate, BuiltCandidate):
            raise AssertionError(f"{group} has no candidate")
        return candidate.commit

    def after(self, group: MergeGroup) -> TargetState:
        """Return what is still known once ``group`` has landed: the groups that begin with it."""
        size = len(group)
        return TargetState(
            self.commit(group),
            {key[size:]: built for key, built in self.built.items() if key[:size] == group and len(key) > size},
            {key[size:]: test for key, test in self.tests.items() if key[:size] == group},
            {key[size:]: report for key, report in self.reports.items() if key[:size] == group},
        )


class TrainRun:
    """One run of a train over its entries."""

    def __init__(self, context: TrainContext, entries: Entries, position: TargetPosition) -> None:
        self._context, self._entries, self._position = context, entries, position
        self._fleet, self._recorder, self._tester = context.fleet, context.recorder, context.tester
        branches = tuple(entry.branch for entry in entries.queued)
        self._after = stacked_on(self._fleet.repository, position.start, branches, self._fleet.blueprint.predecessors)
        undecided = tuple(e.agent.name for e in entries.queued if not self._recorder.is_decided(e.agent.name))
        self._order = order_by_dependencies(undecided, self._after)
        self._state = TargetState(position.start)
        self._built_on = position.start  # what lands from here on is built on it, so one integrator is enough
        self._candidates: set[CommitId] = set()
        self._target_moves = self._lost_candidates = 0
        self._failures: list[FailedEntry] = []
        self._tester.rehearsed_failures.begin(rehearsed=context.rehearsed)

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> CommitId:
        """Decide every entry; return where the target is then (or would be). The recorder has the results."""
        while self._order or self._state.tests:
            actions = planner.plan(self._facts())
            answered = [action for action in actions if isinstance(action, Run) and self._is_answered(action.group)]
            for action in answered or actions:  # an answer from before may make the other actions needless
                self._carry_out(action)
            if (answered or not actions) and not self._wait_for_tests():
                break
        # Find what an agent that is green alone is red with; the tester is idle now.
        causes = CauseFinder(self._context).causes(self._failures) if self._failures else {}
        for failure in self._failures:
            if cause := causes.get(failure.entry.agent.name):
                self._recorder.explain(failure, cause)
        return self._state.target

    def _facts(self) -> Facts:
        merge = self._fleet.blueprint.merge
        return Facts(
            order=self._order,
            after=self._after,
            out=self._recorder.not_landing | self._entries.excluded,
            built={group: _outcome(candidate) for group, candidate in self._state.built.items()},
            tests=self._state.tests,
            slots=self._fleet.blueprint.limits.gates,
            policy=merge.train,
            guarantee=merge.guarantee,
            decided=self._recorder.judged,
            rejected=self._recorder.rejected,
            recall=self._may_recall,
        )

    @property
    def _may_recall(self) -> bool:
        """Look up results of a rehearsal as soon as a candidate is built, until a gate has to be run."""
        return self._tester.tests_run == 0

    def _is_answered(self, group: MergeGroup) -> bool:
        try:
            return self._tester.recall(group, self._state.commit(group)) is not None
        except GitError:  # the candidate was lost before it was pinned: starting its test reports that
            return False

    def _carry_out(self, action: Action) -> None:
        match action:
            case Build(group):
                self._build(group)
            case Run(group):
                self._state.tests[group] = replace(self._state.tests.get(group, TestRecord()), running=True)
                self._tester.start(group, self._state.commit(group))
            case Cancel(group):
                self._state.tests[group] = replace(self._state.tests[group], running=False)
                self._tester.cancel(group)
            case Land(group):
                self._land(group)
            case Evict(agent, cause):
                self._evict(agent, cause)
            case Block(agent, by):
                self._decide(Blocked(agent, f"depends on {by}, which is not landing in this run", by))
            case Hold(agent, reason):
                self._decide(Waiting(agent, self._hold_reason(agent, reason)))

    def _decide(self, result: Blocked | Waiting) -> None:
        self._order = tuple(name for name in self._order if name != result.agent)
        self._recorder.add(result)

    # -- testing ------------------------------------------------------------------------------------------------

    def _wait_for_tests(self) -> bool:
        """Wait until a test ends; False when none runs."""
        if not any(test.running for test in self._state.tests.values()):
            return False
        if self._order:
            self._emit_progress()
        for report in self._tester.wait():
            if report.ended is not TestOutcome.CANCELLED:
                self._add_report(report)
        self._stop_if_a_gate_moved_the_target()
        return True

    def _emit_progress(self) -> None:
        facts = self._facts()
        one_run = typical_seconds(self._tester.measured, (gate.name for gate in self._tester.gates))
        seconds = seconds_left(facts, one_run)
        running: list[Json] = [list[Json](group) for group, test in facts.tests.items() if test.running]
        counts = self._recorder.counts()
        summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        parts = [part for part in (summary, f"{len(self._order)} to go", format_remaining(seconds)) if part]
        data: dict[str, Json] = {"running": running, "counts": dict(counts), "eta_s": seconds}
        self._context.events.emit("train.progress", self._order, ", ".join(parts), **data)

    def _add_report(self, report: TestReport) -> None:
        test = self._state.tests.get(report.group, TestRecord())
        # A test that ended without a verdict does not say how many reds decide.
        needed = 1 + self._tester.retries(report) if report.ended is TestOutcome.RED else test.needed
        if report.no_slot:
            self._forget_candidates()
        self._state.reports[report.group] = report
        self._state.tests[report.group] = replace(
            test,
            running=False,
            green=test.green or report.ended is TestOutcome.GREEN,
            reds=max(test.reds + (report.ended is TestOutcome.RED), needed * report.recalled_red),
            broken=test.broken + (report.ended is TestOutcome.BROKEN),
            needed=needed,
        )

    def _stop_if_a_gate_moved_the_target(self) -> None:
        """Stop when the target is at a candidate of this train: only a gate can have moved it there.

        Anywhere else a person may have moved it, and the next landing notices.
        """
        tip = self._fleet.target_tip()
        if tip is None or tip == self._position.local or tip not in self._candidates:
            return
        before, target = self._position.local, self._fleet.target
        fix = f"git update-ref refs/heads/{target} {before} {tip}"
        self._stop(GroundError(f"{target} was moved to the candidate {tip[:10]}, and not by this train", hint=fix))

    # -- building -----------------------------------------------------------------------------------------------

    def _build(self, group: MergeGroup) -> None:
        entry, git = self._entries.entry(group[-1]), self._fleet.repository.git
        try:
            onto = self._state.commit(group[:-1])
            candidate = self._context.integrators.on(self._built_on).build(onto, entry.branch)
            if isinstance(candidate, BuiltCandidate):
                if findings := audit(git, _step(onto, candidate, entry)):
                    messages = tuple(f"the audit rejects it: {found.path} {found.sentence}" for found in findings)
                    candidate = Conflict(tuple(found.path for found in findings), messages)
                else:
                    self._candidates.add(candidate.commit)
                    self._context.candidate_refs.pin(group[-1], candidate.commit)
        except GroundError:  # a ``git gc --prune=now`` removed objects that no ref held
            self._lost_candidates += 1
            if self._lost_candidates > _MOST_LOST_CANDIDATES:
                raise
            self._forget_candidates()
            return
        self._state.built[group] = candidate
        if isinstance(candidate, Conflict):
            text = f"{group[-1]} conflicts: {candidate.sentence}"
            self._context.events.emit("candidate.conflict", group, text, paths=list(candidate.paths))
        elif isinstance(candidate, BuiltCandidate):
            self._context.events.emit("candidate.built", group, f"built {', '.join(group)}", commit=candidate.commit)
            if self._may_recall and self._is_answered(group):
                self._carry_out(Run(group))
                self._wait_for_tests()

    def _forget_candidates(self) -> None:
        """Build again what a ``git gc --prune=now`` may have removed. The same commits come out."""
        self._state.built = {}
        self._context.integrators.forget()

    # -- evicting -----------------------------------------------------------------------------------------------

    def _evict(self, agent: AgentName, cause: EvictionCause) -> None:
        entry, target = self._entries.entry(agent), self._state.target
        self._order = tuple(name for name in self._order if name != agent)
        candidate = self._state.built[(agent,)]
        if cause is EvictionCause.EMPTY and isinstance(candidate, NothingToMerge):
            self._recorder.evict_empty(entry, candidate)
        elif isinstance(candidate, Conflict):
            integrator = self._context.integrators.on(self._built_on)
            other_side = OtherSideFinder(self._context).find(entry.branch, candidate, target, integrator)
            objects = integrator.objects
            self._recorder.evict_conflict(entry, candidate, other_side, target, objects)
        elif isinstance(candidate, BuiltCandidate):
            report = self._state.reports[(agent,)]
            self._recorder.evict_red(entry, report, target)
            self._failures.append(FailedEntry(entry, target, candidate.fork, report))

    def _hold_reason(self, agent: AgentName, reason: HoldReason) -> str:
        group: MergeGroup = (agent,) if reason is HoldReason.STUCK else ()
        report = self._state.reports.get(group)
        run = report.decided_by if report else None
        detail = f": {run.gate} {run.detail or run.outcome}" if run else ""
        log = f" (log: {run.log})" if run and run.log else ""
        sentences = {
            HoldReason.RED_TARGET: "the target itself is red, so no agent can be blamed",
            HoldReason.STUCK: "its gates could not be run to an end",
            HoldReason.STUCK_TARGET: "no gate could be run on this machine",
        }
        return f"{sentences[reason]}{detail}{log}"

    # -- landing ------------------------------------------------------------------------------------------------

    def _land(self, group: MergeGroup) -> None:
        entries = [self._entries.entry(name) for name in group]
        commits = {name: self._state.commit(group[: place + 1]) for place, name in enumerate(group)}
        report = self._state.reports[group]
        # The whole of what lands, once more and from both ends: nothing beyond what its branches changed.
        steps = []
        for place, entry in enumerate(entries):
            candidate = self._state.built[group[: place + 1]]
            if isinstance(candidate, BuiltCandidate):
                steps.append(_step(self._state.commit(group[:place]), candidate, entry))
        new = self._state.commit(group)
        if paths := unclaimed_paths(self._fleet.repository.git, self._state.target, new, steps):
            raise AssertionError(f"{', '.join(paths)} would change though none of {', '.join(group)} changes it")
        self._context.events.emit("landing", group, f"landing {', '.join(group)}", commit=new)
        try:
            if not self._context.rehearsed:
                self._move_target(entries, commits, report.tree)
        except VerdictChanged as event:
            self._decide(Waiting(event.agent, event.reason))
            return
        except TargetMoved as event:
            self._start_again(event)
            return
        except GroundError as error:
            self._stop(error)
            return
        for entry in entries:
            name = entry.agent.name
            gates = {**report.gates, **self._recorder.builtin_outcomes(name)}
            self._recorder.add(Landed(name, commits[name], gates), report)
        self._order = tuple(name for name in self._order if name not in group)
        # Keep what is known of groups that begin with the one that landed, under their new names.
        for running, test in self._state.tests.items():
            if test.running and running[: len(group)] != group:
                self._tester.cancel(running)
        self._tester.rename({key: key[len(group) :] for key in self._state.tests if key[: len(group)] == group})
        self._state = self._state.after(group)

    def _move_target(self, entries: list[Entry], commits: Mapping[AgentName, CommitId], tested_tree: str) -> None:
        fleet, push = self._fleet, self._context.push
        landing = Landing(
            fleet.name,
            fleet.target,
            self._position.local,
            commits[entries[-1].agent.name],
            {str(name): commit for name, commit in commits.items()},
            {str(entry.agent.name): entry.notes for entry in entries if entry.notes},
            fleet.remote if push else None,
            self._position.remote_tip if push and fleet.remote else None,
        )
        self._recorder.advice.extend(land(fleet, landing, entries, tested_tree))
        for name in commits:  # their pins were deleted with the landing
            self._context.candidate_refs.forget(name)
        remote_tip = landing.new if landing.remote else self._position.remote_tip
        self._position = replace(self._position, local=landing.new, start=landing.new, remote_tip=remote_tip)

    def _start_again(self, event: TargetMoved) -> None:
        """Build everything again on the target as it is now; gate results are kept by tree."""
        self._target_moves += 1
        if self._target_moves > _MOST_TARGET_MOVES:
            self._stop(GroundError(f"the target keeps moving: {event}"))
            return
        self._context.events.emit("waiting", (), f"{event}; building again")
        self._cancel_tests()
        try:
            self._position = check_target(
                self._fleet.repository, self._fleet.target, self._fleet.remote, push=self._context.push
            )
        except GroundError as error:
            self._stop(error)
            return
        self._state = TargetState(self._position.start)
        self._built_on = self._position.start

    def _stop(self, error: GroundError) -> None:
        """Land nothing more in this run: the undecided agents wait for the next."""
        self._cancel_tests()
        hint = f" ({error.hint})" if error.hint else ""
        for name in self._order:
            self._recorder.add(Waiting(name, f"{error}{hint}"))
        self._order = ()
        self._state.tests = {}

    def _cancel_tests(self) -> None:
        for group, test in self._state.tests.items():
            if test.running:
                self._tester.cancel(group)


def _outcome(candidate: Candidate) -> BuildOutcome:
    if isinstance(candidate, BuiltCandidate):
        return BuildOutcome.CLEAN
    return BuildOutcome.EMPTY if isinstance(candidate, NothingToMerge) else BuildOutcome.CONFLICT


def _step(onto: CommitId, candidate: BuiltCandidate, entry: Entry) -> LandingStep:
    return LandingStep(onto, candidate.commit, candidate.fork, entry.branch.tip, entry.branch.kept_out)
