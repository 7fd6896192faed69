"""Explain evictions by red gates: test what a branch fails with, in slots that no candidate needs.

The searches run while the train does, and go on when it has decided everything. A candidate never waits for one of
their tests: the youngest is cancelled, and runs again later. Nothing is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.blueprint.model import AgentName
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.train.cause_search import Question, Search, build_question, search_cause
from orchestra.train.eviction_report import FailedEntry, FailureCause
from orchestra.train.planner_model import MergeGroup
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.train_context import TrainContext

_GROUP_PREFIX = "question "


@dataclass(slots=True, eq=False)
class _Test:
    """A question of a search. ``number``: of the run that answers it, 0 before the first."""

    question: Question
    commit: CommitId | None = None
    number: int = 0
    reds: int = 0
    is_running: bool = False
    is_answered: bool = False
    answer: bool | None = None

    @property
    def group(self) -> MergeGroup:
        """A name for the run that no merge group has: agents' names have no space."""
        return (AgentName(f"{_GROUP_PREFIX}{self.number}"),)


@dataclass(slots=True, eq=False)
class _Explanation:
    """The search for what one branch fails with, and the questions of its present round; none before the first."""

    failure: FailedEntry
    search: Search
    tests: list[_Test] | None = None


class Explanations:
    """The explanations of one train."""

    def __init__(self, context: TrainContext) -> None:
        self._context, self._tester = context, context.tester
        self._open: list[_Explanation] = []
        self._runs = 0

    @property
    def open_failures(self) -> list[FailedEntry]:
        """The failures of which the cause is still being looked for."""
        return [explanation.failure for explanation in self._open]

    def add(self, failure: FailedEntry) -> None:
        """Look for what an evicted branch is red with, from the next ``advance`` on."""
        self._open.append(_Explanation(failure, search_cause(self._context, failure)))

    def advance(self) -> None:
        """Go on with every search and start tests in free slots. Call it when the train only waits."""
        while True:
            for explanation in tuple(self._open):
                self._ask(explanation)
            waiting = [
                (explanation, test)
                for explanation in self._open
                for test in explanation.tests or ()
                if not (test.is_running or test.is_answered)
            ]
            if not waiting or self._tester.free_places < 1:
                return
            self._start(*min(waiting, key=lambda pair: pair[1].question.is_bet))  # bets last

    def make_room(self) -> None:
        """Cancel the youngest test where a candidate would have to wait for a slot. It runs again later."""
        running = [test for explanation in self._open for test in explanation.tests or () if test.is_running]
        if running and self._tester.free_places < 1:
            self._cancel(max(running, key=lambda test: (test.question.is_bet, test.number)))

    def take(self, report: TestReport) -> bool:
        """Take in how a test ended; False where it is not one of these. A red is run again as its retries say."""
        if not (len(report.group) == 1 and report.group[0].startswith(_GROUP_PREFIX)):
            return False
        asked = (test for explanation in self._open for test in explanation.tests or () if test.is_running)
        test = next((test for test in asked if test.group == report.group), None)
        if test is None or report.ended is TestOutcome.CANCELLED:
            return True
        test.is_running = False
        is_red = report.ended is TestOutcome.RED
        test.reds += is_red
        if not is_red or report.recalled_red or test.reds > self._tester.retries(report):
            run, gate = report.decided_by, test.question.gate
            is_same_gate = gate is None or (run is not None and run.gate == gate)
            test.is_answered = True
            test.answer = True if report.ended is TestOutcome.GREEN else False if is_red and is_same_gate else None
        return True

    def finish(self) -> None:
        """Wait until every search has ended. The train has nothing more to test."""
        self.advance()
        while self._open:
            for report in self._tester.wait():
                self.take(report)
            self.advance()

    # -- one explanation ----------------------------------------------------------------------------------------

    def _ask(self, explanation: _Explanation) -> None:
        """Go on with a search for as long as all that its round needs is answered: a running bet only after a green."""
        while explanation in self._open:
            tests = explanation.tests
            bets = [test for test in tests or () if test.question.is_bet and test.is_running]
            needed = [test for test in tests or () if not test.question.is_bet]
            if not all(test.is_answered for test in needed) or (bets and any(test.answer for test in needed)):
                return
            for bet in bets:
                self._cancel(bet)
            try:
                search, answers = explanation.search, [test.answer for test in tests or ()]
                questions = next(search) if tests is None else search.send(answers)
                explanation.tests = [_Test(question) for question in questions]
            except StopIteration as end:
                self._close(explanation, end.value)
            except GroundError:  # the history cannot be read: the eviction stands as it is
                self._close(explanation, None)

    def _close(self, explanation: _Explanation, cause: FailureCause | None) -> None:
        self._open.remove(explanation)
        if cause is not None:
            self._context.recorder.explain(explanation.failure, cause)

    def _start(self, explanation: _Explanation, test: _Test) -> None:
        failure = explanation.failure
        test.commit = test.commit or build_question(self._context, failure, test.question)
        if test.commit is None:
            test.is_answered = True
            return
        # Other gates with a ``when`` than the one that failed would only cost time.
        run, agent = failure.report.decided_by, failure.entry.agent.name
        suspected = (run.gate,) if run else ()
        self._runs += 1
        test.number, test.is_running = self._runs, True
        self._tester.start(test.group, test.commit, agent, base=test.commit, suspected=suspected)

    def _cancel(self, test: _Test) -> None:
        test.is_running = False
        self._tester.cancel(test.group)
