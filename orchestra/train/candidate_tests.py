"""Test candidates outside the queue of a train, to explain a failure or to try a proposal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName
from orchestra.git.refs import CommitId
from orchestra.train.planner_model import MergeGroup
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.tester import Tester


@dataclass(frozen=True, slots=True)
class CandidateTest:
    """A candidate to test outside the queue of a train. ``group`` only names it; the others as in ``Tester.start``."""

    group: MergeGroup
    commit: CommitId
    about: AgentName | None = None
    base: CommitId | None = None
    suspected: tuple[str, ...] = ()


def run_and_wait(tester: Tester, tests: Sequence[CandidateTest]) -> Mapping[MergeGroup, TestReport]:
    """Test several candidates with an idle tester; return name -> last report once all have ended.

    A red is run again as often as the gate's retries say. Reports of tests that the train cancelled are skipped.
    """
    waiting = {test.group: test for test in tests}
    reds: Counter[MergeGroup] = Counter()
    reports: dict[MergeGroup, TestReport] = {}

    def start(test: CandidateTest) -> None:
        tester.start(test.group, test.commit, test.about, base=test.base, suspected=test.suspected)

    for test in tests:
        start(test)
    while waiting:
        for report in tester.wait():
            if report.group not in waiting or report.ended is TestOutcome.CANCELLED:
                continue
            test = waiting[report.group]
            is_red = report.ended is TestOutcome.RED
            reds[test.group] += is_red
            if is_red and not report.recalled_red and reds[test.group] <= tester.retries(report):
                start(test)
            else:
                reports[test.group] = report
                del waiting[test.group]
    return reports
