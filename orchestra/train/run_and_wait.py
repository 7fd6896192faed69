"""Asks the tester of a train that has nothing else to do any more: several candidates at once, and waits for all.

Invariant: every question is answered once; red is the answer only after the gate was asked as often as its retries
want. Refuses: to take the end of an earlier test, which the train gave up, for an answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName
from orchestra.git.refs import CommitId
from orchestra.train.planner_model import State
from orchestra.train.test_run import Ended, Report
from orchestra.train.tester import Tester


@dataclass(frozen=True, slots=True)
class Question:
    """How does the test of ``commit`` come out? ``state`` is the question's name, ``about`` as in ``Tester.start``."""

    state: State
    commit: CommitId
    about: AgentName | None = None


def ask(tester: Tester, questions: Sequence[Question]) -> Mapping[State, Report]:
    """The question's name -> its last report; as many are tested at once as there are slots."""
    waiting = {question.state: question for question in questions}
    reds: Counter[State] = Counter()
    answers: dict[State, Report] = {}
    for question in questions:
        tester.start(question.state, question.commit, question.about)
    while waiting:
        for report in tester.wait():
            asked = waiting.get(report.state)
            if asked is None or report.ended is Ended.CANCELLED:
                continue
            reds[asked.state] += report.ended is Ended.RED
            if report.ended is Ended.RED and not report.recalled_red and reds[asked.state] <= tester.retries(report):
                tester.start(asked.state, asked.commit, asked.about)
            else:
                answers[asked.state] = report
                del waiting[asked.state]
    return answers
