"""Run a train: carry out what the planner decides, and report it, until every agent is decided.

Decisions are the planner's (``planner.plan``), facts are git's and the gates'. After every event it plans again from
all facts. In a rehearsal the target moves in memory only.

Invariant: nothing lands that fails the audit of containment, and when the target moved meanwhile, everything is built
again on what it is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import BuiltCandidate, NothingToMerge
from orchestra.candidates.containment import unclaimed_paths
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import GitError, GroundError
from orchestra.fleet import read_snapshot
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.train import planner
from orchestra.train.conflict_sides import find_other_side
from orchestra.train.entries import Entries, Entry
from orchestra.train.eta import format_remaining, seconds_left, typical_seconds
from orchestra.train.eviction_report import FailedEntry
from orchestra.train.explanations import Explanations
from orchestra.train.group_builds import CandidatesLost, GroupBuilds, landing_step
from orchestra.train.landing import TargetMoved, VerdictChanged, land
from orchestra.train.landing_journal import Landing
from orchestra.train.landing_order import order_by_dependencies, stacked_on
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
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
from orchestra.train.publication import PassedEntry
from orchestra.train.results import hold_reason
from orchestra.train.target_branch import TargetPosition, check_target
from orchestra.train.target_state import TargetState, Unbuildable
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.train_context import TrainContext
from orchestra.train.train_report import Blocked, Evicted, EvictReason, Landed, Waiting

_MOST_TARGET_MOVES = 20  # before the train gives up


class TrainRun:
    """One run of a train over its entries."""

    def __init__(
        self, context: TrainContext, entries: Entries, position: TargetPosition, explanations: Explanations
    ) -> None:
        self._context, self._entries, self._position = context, entries, position
        self._explanations = explanations
        self._fleet, self._recorder, self._tester = context.fleet, context.recorder, context.tester
        branches = tuple(entry.branch for entry in entries.queued)
        self._after = stacked_on(self._fleet.repository, position.start, branches, self._fleet.blueprint.predecessors)
        undecided = tuple(e.agent.name for e in entries.queued if not self._recorder.is_decided(e.agent.name))
        self._order = order_by_dependencies(undecided, self._after)
        self._state = TargetState(position.start)
        self._built_on = position.start  # what lands from here on is built on it, so one integrator is enough
        self._builds = GroupBuilds(context, entries)
        self._target_moves = 0
        self.passed: list[PassedEntry] = []  # where the train publishes: what it has not recorded as a result yet
        self._red_groups: list[frozenset[AgentName]] = []
        self._red_once: dict[CommitId, TestReport] = {}
        self._tester.rehearsed_failures.begin(rehearsed=context.rehearsed)

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> CommitId:
        """Decide every entry; return where the target is then (or would be). The recorder has the results."""
        while self._order or self._state.tests:
            if not self._advance():
                break
        return self._state.target

    def _advance(self) -> bool:
        """Plan, and carry it out or wait; False when there is nothing more to do."""
        actions = planner.plan(self._facts())
        answered = [action for action in actions if isinstance(action, Run) and self._is_answered(action.group)]
        # Candidates built in a row are pinned together, before anything is tested, lands or is waited for.
        if not actions or not all(isinstance(action, Build) for action in actions):
            try:
                self._builds.pin()
            except CandidatesLost as event:
                self._build_again(event)
                return True
        for action in answered or actions:  # an answer from before may make the other actions needless
            self._carry_out(action)
        return self._wait_for_tests() if answered or not actions else True

    def _facts(self) -> Facts:
        merge = self._fleet.blueprint.merge
        return Facts(
            order=self._order,
            after=self._after,
            out=self._recorder.not_landing | self._entries.excluded,
            built=self._state.outcomes,
            tests=self._state.tests | self._unconfirmed_head(),
            slots=self._fleet.blueprint.limits.gates,
            policy=merge.train,
            guarantee=merge.guarantee,
            decided=self._recorder.judged,
            rejected=self._recorder.rejected,
            recall=self._may_recall,
        )

    def _unconfirmed_head(self) -> dict[MergeGroup, TestRecord]:
        """Ask for a second run where the head was red once: that may be chance.

        A red group of which the head is a part confirms it, too, unless one of its agents has been evicted since.
        """
        head = self._order[:1]
        test = self._state.tests.get(head, TestRecord())
        rejected = self._recorder.not_landing
        reds = sum(1 for group in self._red_groups if head and head[0] in group and not group & rejected)
        return {head: replace(test, needed=2)} if test.reds == test.needed == reds == 1 else {}

    @property
    def _may_recall(self) -> bool:
        """Look up results of a rehearsal as soon as a candidate is built, until a gate has to be run."""
        return self._tester.tests_run == 0

    def _is_answered(self, group: MergeGroup) -> bool:
        try:
            suspected = () if group else self._state.suspected_gates
            commit, base = self._state.commit(group), self._state.target
            return self._tester.recall(group, commit, base=base, suspected=suspected) is not None
        except GitError:  # the candidate was lost before it was pinned: starting its test reports that
            return False

    def _carry_out(self, action: Action) -> None:
        match action:
            case Build(group):
                self._build(group)
            case Run(group):
                self._state.tests[group] = replace(self._state.tests.get(group, TestRecord()), running=True)
                suspected = () if group else self._state.suspected_gates
                self._explanations.make_room()
                self._tester.start(group, self._state.commit(group), base=self._state.target, suspected=suspected)
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
                report = self._state.reports.get((agent,) if reason is HoldReason.STUCK else ())
                if reason is HoldReason.RED_TARGET and report:
                    self._recorder.end_on_red_target(report)
                self._decide(Waiting(agent, hold_reason(reason, report)))

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
        self._explanations.advance()
        for report in self._tester.wait():
            if not self._explanations.take(report) and report.ended is not TestOutcome.CANCELLED:
                self._add_report(report)
        self._stop_if_a_gate_moved_the_target()
        return True

    def _emit_progress(self) -> None:
        facts = self._facts()
        one_run = typical_seconds(self._tester.measured, (gate.name for gate in self._tester.selection.gates))
        seconds = seconds_left(facts, one_run)
        running: list[Json] = [list[Json](group) for group, test in facts.tests.items() if test.running]
        counts = self._recorder.counts()
        summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        parts = [part for part in (summary, f"{len(self._order)} to go", format_remaining(seconds)) if part]
        data: dict[str, Json] = {"running": running, "counts": dict(counts), "eta_s": seconds}
        self._context.events.emit("train.progress", self._order, ", ".join(parts), **data)

    def _add_report(self, report: TestReport) -> None:
        test = self._state.tests.get(report.group, TestRecord())
        if report.ended is TestOutcome.GREEN and not self._tester.selection.still_holds(report, self._state.target):
            # The target moved, and a gate that was not needed then is needed now: what passed is known, so only that
            # one will be run.
            self._state.tests[report.group] = replace(test, running=False)
            return
        is_red = report.ended is TestOutcome.RED
        # A test that ended without a verdict does not say how many reds decide.
        needed = 1 + self._tester.retries(report) if is_red else test.needed
        if report.no_slot:
            self._forget_candidates()
        if is_red and not report.recalled_red:
            self._red_groups.append(frozenset(report.group))
            self._red_once.setdefault(report.commit, report)
        elif report.ended is TestOutcome.GREEN and (red := self._red_once.pop(report.commit, None)):
            self._recorder.add_flaky_gate(red)
        self._state.reports[report.group] = report
        self._state.tests[report.group] = replace(
            test,
            running=False,
            green=test.green or report.ended is TestOutcome.GREEN,
            reds=max(test.reds + is_red, needed * report.recalled_red),
            broken=test.broken + (report.ended is TestOutcome.BROKEN),
            needed=needed,
        )
        self._state.drop_partial_control()

    def _stop_if_a_gate_moved_the_target(self) -> None:
        """Stop when the target is at a candidate of this train: only a gate can have moved it there.

        Anywhere else a person may have moved it, and the next landing notices.
        """
        tip = self._fleet.target_tip()
        if tip == self._position.local or tip not in self._builds.commits:
            return
        target = self._fleet.target
        fix = f"git update-ref refs/heads/{target} {self._position.local} {tip}"
        self._stop(GroundError(f"{target} was moved to the candidate {tip[:10]}, and not by this train", hint=fix))

    # -- building -----------------------------------------------------------------------------------------------

    def _build(self, group: MergeGroup) -> None:
        try:
            candidate = self._builds.build(group, self._state.commit(group[:-1]), self._built_on)
        except CandidatesLost as event:
            self._build_again(event)
            if event.unbuildable is not None:
                self._state.built[group] = event.unbuildable
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

    def _build_again(self, event: CandidatesLost) -> None:
        self._forget_candidates()
        if event.is_final:
            self._stop(event.cause)

    def _forget_candidates(self) -> None:
        """Build again what a ``git gc --prune=now`` may have removed. The same commits come out."""
        self._state.built = {}
        self._builds.forget()

    # -- evicting -----------------------------------------------------------------------------------------------

    def _evict(self, agent: AgentName, cause: EvictionCause) -> None:
        entry, target = self._entries.entry(agent), self._state.target
        self._order = tuple(name for name in self._order if name != agent)
        candidate = self._state.built[(agent,)]
        if isinstance(candidate, Unbuildable):
            self._recorder.add(Evicted(agent, entry.branch.tip, EvictReason.MALFORMED, candidate.sentence))
        elif cause is EvictionCause.EMPTY and isinstance(candidate, NothingToMerge):
            self._recorder.evict_empty(entry, candidate)
        elif isinstance(candidate, Conflict):
            integrator = self._context.integrators.on(self._built_on)
            other_side = find_other_side(self._context, entry.branch, candidate, target, integrator)
            self._recorder.evict_conflict(entry, candidate, other_side, target, integrator.objects)
        elif isinstance(candidate, BuiltCandidate):
            report = self._state.reports[(agent,)]
            self._recorder.evict_red(entry, report, target)
            self._explanations.add(FailedEntry(entry, target, candidate.fork, report))

    # -- landing ------------------------------------------------------------------------------------------------

    def _land(self, group: MergeGroup) -> None:
        entries = [self._entries.entry(name) for name in group]
        commits = {name: self._state.commit(group[: place + 1]) for place, name in enumerate(group)}
        report = self._state.reports[group]
        if not self._tester.selection.still_holds(report, self._state.target):
            raise AssertionError(f"{', '.join(group)} would land without a gate that it needs")
        # The whole of what lands, once more and from both ends: nothing beyond what its branches changed.
        steps = []
        for place, entry in enumerate(entries):
            candidate = self._state.built[group[: place + 1]]
            if isinstance(candidate, BuiltCandidate):
                steps.append(landing_step(self._state.commit(group[:place]), candidate, entry))
        new = self._state.commit(group)
        git, objects = self._fleet.repository.git, self._context.objects
        if paths := unclaimed_paths(git, self._state.target, new, steps, objects):
            raise AssertionError(f"{', '.join(paths)} would change though none of {', '.join(group)} changes it")
        self._context.events.emit("landing", group, f"landing {', '.join(group)}", commit=new)
        try:
            if not (self._context.rehearsed or self._context.publishes):
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
            landed = Landed(name, commits[name], gates, report.skipped)
            if self._context.publishes:
                self.passed.append(PassedEntry(entry, landed, report))
            else:
                self._recorder.add(landed, report)
            if self._context.rehearsed:  # approve --green goes by it
                self._fleet.ledger.record("rehearsed", name, head=entry.branch.tip, outcome="landed")
        self._order = tuple(name for name in self._order if name not in group)
        # Keep what is known of groups that begin with the one that landed, under their new names.
        for running, test in self._state.tests.items():
            if test.running and running[: len(group)] != group:
                self._tester.cancel(running)
        self._tester.rename({key: key[len(group) :] for key in self._state.tests if key[: len(group)] == group})
        self._state = self._state.after(group)
        for key, report in tuple(self._state.reports.items()):
            if not self._tester.selection.still_holds(report, self._state.target):
                self._state.forget_green(key)
        self._state.drop_partial_control()

    def _move_target(self, entries: list[Entry], commits: Mapping[AgentName, CommitId], tested_tree: str) -> None:
        fleet, push = self._fleet, self._context.push
        landing = Landing(
            fleet.name,
            fleet.target,
            self._position.local,
            commits[entries[-1].agent.name],
            commits,
            {entry.agent.name: entry.notes for entry in entries if entry.notes},
            fleet.remote if push else None,
            self._position.remote_tip if push and fleet.remote else None,
        )
        self._recorder.advice.extend(land(fleet, landing, entries, tested_tree, self._context.events.announce))
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
        self._context.events.announce(f"{event}; building again")
        self._cancel_tests()
        try:
            self._position = check_target(read_snapshot(self._fleet), push=self._context.push)
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
        for group in [group for group, test in self._state.tests.items() if test.running]:
            self._tester.cancel(group)
