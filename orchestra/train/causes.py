"""Find what a branch fails with: the landed changes that it conflicts with, or with which its gates are red.

Both work on the target's history since the branch left it, read as a list of landed changes: an agent's work, or a
person's commit. It comes from the first-parent line and its trailers, so it is the same for what landed long ago, for
what landed just now, and for what a rehearsal would have landed.

Invariant: a change is named only after a test merge or a test run: it conflicts in a path in which the branch conflicts
with the target, or gates are green without it and red with it. Where a candidate does not build or a test cannot be run
to an end, no change is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import (
    Branch,
    BuiltCandidate,
    Candidate,
    CandidateBuilder,
)
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.train.candidate_tests import CandidateTest, run_and_wait
from orchestra.train.eviction_report import (
    UNKNOWN_SIDE,
    FailedEntry,
    FailureCause,
    LandedChange,
    OtherSide,
    landed_changes,
)
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.train_context import TrainContext

_PATHS_PER_COMMAND = 100  # a command line has a limited length
_MOST_TRIED = 100  # changes, one by one; of a longer history only the last so many
_MOST_NAMED = 3  # changes that one cause names


# -- the other side of a conflict ----------------------------------------------------------------------------------


def find_other_side(
    context: TrainContext, branch: Branch, conflict: Conflict, target: CommitId, above: CandidateBuilder
) -> OtherSide:
    """Return what ``branch`` conflicts with on ``target``, for which ``above`` builds.

    Each change that the target took in since the branch left it is put alone on the commit where it left; those with
    which the branch then conflicts are the other side. When there is none, the other side is the first change at which
    the target stops fitting, with those before it without which the branch would fit.
    """
    if not conflict.stages:  # not about text: unrelated histories, or the audit rejected it
        return UNKNOWN_SIDE
    repository = context.fleet.repository
    try:
        fork = repository.fork(target, branch.tip, branch.base)
        history = landed_changes(repository.git, context.fleet.name, fork, target)
        start = history[0].onto if history else target
        search = _ConflictSearch(context.integrators.on(start), above, branch, frozenset(conflict.paths))
        if not search.fits(start):
            subject = repository.git.text("log", "-1", "--format=%s", fork, "--")
            return OtherSide(missing_base=f"{fork[:10]} ({subject})") if fork != start else UNKNOWN_SIDE
        relevant: set[str] = set()  # the commits that change one of the conflict's paths, or something below one
        for first in range(0, len(conflict.paths), _PATHS_PER_COMMAND):
            literal = (f":(top,literal){path}" for path in conflict.paths[first : first + _PATHS_PER_COMMAND])
            walk = ("rev-list", "--first-parent", f"{fork}..{target}", "--", *literal)
            relevant.update(repository.git.run(*walk).lines)
        changes = [change for change in history if not relevant.isdisjoint(change.commits)]
        return OtherSide(search.find(start, changes[-_MOST_TRIED:]))
    except GroundError:  # objects removed by a ``gc`` meanwhile: the eviction stands without it
        context.integrators.forget()
        return UNKNOWN_SIDE


class _ConflictSearch:
    """The search for one conflict.

    ``below`` builds changes on the commit where the branch left the target, ``above`` the branch on the target.
    """

    def __init__(self, below: CandidateBuilder, above: CandidateBuilder, branch: Branch, paths: frozenset[str]) -> None:
        self._below, self._above, self._branch, self._paths = below, above, branch, paths

    def fits(self, commit: CommitId) -> bool:
        """Return whether the branch merges with ``commit`` in the conflict's paths."""
        candidate = self._above.build(commit, self._branch)
        return not (isinstance(candidate, Conflict) and self._paths & set(candidate.paths))

    def find(self, start: CommitId, changes: Sequence[LandedChange]) -> tuple[LandedChange, ...]:
        alone = [change for change in changes if self._conflicts(start, [change])]
        if alone:
            return tuple(alone)
        size = next((n for n, change in enumerate(changes, 1) if not self.fits(change.commit)), 0)
        remaining, culprits = list(changes[:size]), list(changes[max(0, size - 1) : size])
        for change in reversed(changes[: max(0, size - 1)]):
            without = [item for item in remaining if item is not change]
            conflicts = self._conflicts(start, without)
            if conflicts:
                remaining = without
            elif conflicts is False:  # None: the later changes are only based on it
                culprits.insert(0, change)
        return tuple(culprits)

    def _conflicts(self, start: CommitId, changes: Sequence[LandedChange]) -> bool | None:
        """Return whether the branch conflicts with these alone; None where they do not build without others."""
        commit = start
        for change in changes:
            name = change.agent or AgentName("history")
            branch = Branch(name, self._branch.fleet, change.onto, change.commit, change.title, Strategy.REBASE)
            candidate = self._below.build(commit, branch)
            if not isinstance(candidate, BuiltCandidate):
                return None
            commit = candidate.commit
        return not self.fits(commit)


# -- the cause of a red gate -----------------------------------------------------------------------------------------


class CauseFinder:
    """Finds the causes of red gates with the tester of a train that is otherwise idle.

    A branch that is green where it left the target is tested on ever shorter prefixes of the history since. The last
    change without which it is green is one culprit; if that one alone does not make it red, the search continues below
    it with that one kept (delta debugging, Zeller 1999).
    """

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
            if green is not True or len(culprits) == _MOST_NAMED or last - 1 == start:
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
        agent, run = failure.entry.agent.name, failure.report.decided_by
        if not isinstance(built, BuiltCandidate):
            return None
        # The question is about the gate that failed; other gates with a ``when`` would only cost time.
        suspected = (run.gate,) if run else ()
        return CandidateTest((name,), built.commit, agent, base=built.commit, suspected=suspected)

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
