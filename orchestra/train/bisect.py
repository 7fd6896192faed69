"""Find why a branch that is green alone is red now: the smallest set of landed changes with which it fails.

The target's history since the branch left it is a list of landed changes: an agent's work, or a person's commit. The
branch is tested on ever shorter prefixes of that list. The last change without which it is green is one culprit; if
that one alone does not make it red, the search continues below it with that one kept (delta debugging, Zeller 1999).

Invariant: every claim is a test that was run: green without, red with. Nothing is claimed where a candidate does not
build or a test cannot be run to an end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, Candidate
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.train.eviction_report import FailedEntry, FailureCause
from orchestra.train.target_history import LandedChange, landed_changes
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.tester import CandidateTest, run_and_wait
from orchestra.train.train_context import TrainContext

_MOST_CHANGES = 3  # that one cause names


class CauseFinder:
    """Finds causes with the tester of a train that is otherwise idle."""

    def __init__(self, context: TrainContext) -> None:
        self._fleet, self._tester, self._integrators = context.fleet, context.tester, context.integrators
        self._tests = 0

    def causes(self, failures: Sequence[FailedEntry]) -> Mapping[AgentName, FailureCause]:
        """Return the cause of each failure that has one; a branch that is red alone has none."""
        git, fleet = self._fleet.repository.git, self._fleet.name
        starts = []
        for failure in failures:
            history = landed_changes(git, fleet, failure.fork, failure.target)
            # It may be green without any change, or with those up to the last that it must land after: it cannot do
            # without these, and they may be what it fails with. With all of them it was red.
            needed = self._fleet.blueprint.predecessors.get(failure.entry.agent.name, frozenset())
            last = max((place for place, change in enumerate(history, 1) if change.agent in needed), default=0)
            starts += [(failure, history, count) for count in dict.fromkeys((0, last)) if count < len(history)]
        tests = [self._candidate(failure, _commit_at(failure, history, n), ()) for failure, history, n in starts]
        causes: dict[AgentName, FailureCause] = {}
        for (failure, history, count), green in zip(starts, self._are_green(tests), strict=True):
            name = failure.entry.agent.name
            if green is True and name not in causes:
                cause = self._search(failure, history, count)
                if cause is not None:
                    causes[name] = cause
        return causes

    def _search(self, failure: FailedEntry, history: Sequence[LandedChange], start: int) -> FailureCause | None:
        culprits: tuple[LandedChange, ...] = ()
        alone = _commit_at(failure, history, start)
        last = len(history)
        while True:
            last = self._shortest_red(failure, history, culprits, start, last)
            culprits = (history[last - 1], *culprits)
            (green,) = self._are_green([self._candidate(failure, alone, culprits)], failure)
            if green is not True or len(culprits) == _MOST_CHANGES or last - 1 == start:
                break
            last -= 1
        if green is not False:
            # It may have been red by chance; then no change may be blamed.
            (green_now,) = self._are_green([self._candidate(failure, failure.target, ())], failure)
            if green_now is True:
                return None
        return FailureCause(alone, culprits, proven=green is False)

    def _shortest_red(
        self,
        failure: FailedEntry,
        history: Sequence[LandedChange],
        culprits: tuple[LandedChange, ...],
        low: int,
        high: int,
    ) -> int:
        """Return the least k above ``low`` so that the branch is red on k changes and ``culprits``.

        It is green at ``low`` and red at ``high``.
        """
        while high - low > 1:
            # At most one probe for each slot, evenly spread between the two.
            inner = high - low - 1
            count = min(max(1, self._fleet.blueprint.limits.gates), inner)
            step = (high - low) / (count + 1)
            probes = sorted({low + max(1, round((n + 1) * step)) for n in range(count)} - {low, high})
            tests = [self._candidate(failure, _commit_at(failure, history, k), culprits) for k in probes]
            answers = zip(probes, self._are_green(tests, failure), strict=True)
            outcomes = {k: green for k, green in answers if green is not None}
            reds = [k for k, green in outcomes.items() if not green]
            if not outcomes:
                return high
            high = min(reds, default=high)
            low = max((k for k, green in outcomes.items() if green and k < high), default=low)
            if not reds and low not in outcomes:
                return high
        return high

    def _candidate(self, failure: FailedEntry, onto: CommitId, changes: Sequence[LandedChange]) -> CandidateTest | None:
        """Return the test of the branch on ``onto`` and ``changes``; None where they do not build."""
        try:
            built = self._build(failure, onto, changes)
        except GroundError:  # objects removed by a ``gc`` meanwhile
            self._integrators.forget()
            return None
        self._tests += 1
        name = AgentName(f"question {self._tests}")
        agent = failure.entry.agent.name
        return CandidateTest((name,), built.commit, agent) if isinstance(built, BuiltCandidate) else None

    def _build(self, failure: FailedEntry, onto: CommitId, changes: Sequence[LandedChange]) -> Candidate:
        commit = onto
        for change in changes:
            name = change.agent or AgentName("history")
            branch = Branch(name, self._fleet.name, change.onto, change.commit, change.title, Strategy.REBASE)
            built = self._integrators.on(onto).build(commit, branch)
            if not isinstance(built, BuiltCandidate):
                return built
            commit = built.commit
        return self._integrators.on(failure.target).build(commit, failure.entry.branch)

    def _are_green(
        self, tests: Sequence[CandidateTest | None], failure: FailedEntry | None = None
    ) -> list[bool | None]:
        """Run the tests; return green, red, or None where there is no candidate or no verdict.

        Red by another gate than the one that decided ``failure`` is red for another reason: no verdict.
        """
        reports = run_and_wait(self._tester, [test for test in tests if test is not None])
        return [None if test is None else _is_green(reports[test.group], failure) for test in tests]


def _is_green(report: TestReport, failure: FailedEntry | None) -> bool | None:
    if report.ended is TestOutcome.GREEN:
        return True
    expected, run = failure.report.decided_by if failure else None, report.decided_by
    same_gate = expected is None or (run is not None and run.gate == expected.gate)
    return False if report.ended is TestOutcome.RED and same_gate else None


def _commit_at(failure: FailedEntry, history: Sequence[LandedChange], count: int) -> CommitId:
    """Return the target as it was with so many changes."""
    return history[count - 1].commit if count else history[0].onto if history else failure.fork
