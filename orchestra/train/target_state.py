"""What a train knows about one value of the target: candidates on it, and their tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestra.candidates.builder import BuiltCandidate, Candidate, NothingToMerge
from orchestra.git.refs import CommitId
from orchestra.train.planner_model import BuildOutcome, MergeGroup, TestRecord
from orchestra.train.test_run import TestOutcome, TestReport


@dataclass(frozen=True, slots=True)
class Unbuildable:
    """git cannot merge the branch at all, a malformed tree perhaps: ``sentence`` says why."""

    sentence: str


@dataclass(slots=True)
class TargetState:
    """What is known about one value of the target: candidates on it, and their tests."""

    target: CommitId
    built: dict[MergeGroup, Candidate | Unbuildable] = field(default_factory=dict)
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

    @property
    def outcomes(self) -> dict[MergeGroup, BuildOutcome]:
        """Return how building each group went, as the planner sees it."""
        return {group: _outcome(candidate) for group, candidate in self.built.items()}

    @property
    def suspected_gates(self) -> frozenset[str]:
        """The gates that failed on a candidate, which a test of the target alone has to run."""
        runs = (report.decided_by for report in self.reports.values() if report.ended is TestOutcome.RED)
        return frozenset(run.gate for run in runs if run is not None)

    def drop_partial_control(self) -> None:
        """Forget that the target alone is green where that says nothing of a gate that has failed since."""
        control = self.reports.get(())
        if control and not self.suspected_gates.isdisjoint(gate.name for gate in control.not_needed):
            self.forget_green(())

    def forget_green(self, group: MergeGroup) -> None:
        """Forget that a group passed; one that is being tested again is left alone."""
        test, report = self.tests.get(group), self.reports.get(group)
        if test and not test.running and report and report.ended is TestOutcome.GREEN:
            del self.tests[group], self.reports[group]

    def after(self, group: MergeGroup) -> TargetState:
        """Return what is still known once ``group`` has landed: the groups that begin with it."""
        size = len(group)
        return TargetState(
            self.commit(group),
            {key[size:]: built for key, built in self.built.items() if key[:size] == group and len(key) > size},
            {key[size:]: test for key, test in self.tests.items() if key[:size] == group},
            {key[size:]: report for key, report in self.reports.items() if key[:size] == group},
        )


def _outcome(candidate: Candidate | Unbuildable) -> BuildOutcome:
    if isinstance(candidate, BuiltCandidate):
        return BuildOutcome.CLEAN
    return BuildOutcome.EMPTY if isinstance(candidate, NothingToMerge) else BuildOutcome.CONFLICT
