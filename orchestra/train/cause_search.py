"""Find the landed changes with which a branch is red: a search that asks for tests, and that a scheduler answers.

Invariant: a change is named only after test runs: gates are green without it and red with it. Where a candidate does
not build or a test cannot be run to an end, no change is named.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.train.eviction_report import FailedEntry, FailureCause, LandedChange, landed_changes
from orchestra.train.suspects import rank_suspects
from orchestra.train.train_context import TrainContext

_MOST_NAMED = 3  # changes that one cause names
_MOST_SUSPECTS = 2  # that are tested one by one on a single slot


@dataclass(frozen=True, slots=True)
class Question:
    """Are the gates green on the target at ``onto``, with ``changes`` and the branch? ``gate``: only this one counts.

    ``is_bet``: the answer is needed only if another question of the round is answered with green.
    """

    onto: CommitId
    changes: tuple[LandedChange, ...] = ()
    gate: str | None = None
    is_bet: bool = False


Answers = Sequence[bool | None]
"""For each question of a round: green, red, or None where there is no verdict (a bet may not have been tested)."""
Search = Generator[Sequence[Question], Answers, FailureCause | None]


def search_cause(context: TrainContext, failure: FailedEntry) -> Search:
    """Yield rounds of questions, receive their answers; return the cause, None where the branch is red alone."""
    return _CauseSearch(context, failure).run()


class _CauseSearch:
    """The search for one failure.

    The branch is tested where it left the target, and with each landed change that shares a file or a name with it.
    When none of these makes it red, it is tested on ever shorter prefixes of the history. The last change without
    which it is green is one culprit; if that one alone does not make it red, the search continues below it with that
    one kept (delta debugging, Zeller 1999).
    """

    def __init__(self, context: TrainContext, failure: FailedEntry) -> None:
        self._fleet, self._failure = context.fleet, failure
        self._history = landed_changes(self._fleet.repository.git, self._fleet.name, failure.fork, failure.target)
        self._places = max(1, self._fleet.blueprint.limits.gates)
        run = failure.report.decided_by
        self._gate = run.gate if run else None

    def run(self) -> Search:
        failure, history = self._failure, self._history
        # It may be green without any change, or with those up to the last that it must land after: it cannot do
        # without these, and they may be what it fails with. With all of them it was red.
        needed = self._fleet.blueprint.predecessors.get(failure.entry.agent.name, frozenset())
        last = max((place for place, change in enumerate(history, 1) if change.agent in needed), default=0)
        starts = [count for count in dict.fromkeys((0, last)) if count < len(history)]
        if not starts:
            return None
        suspects = rank_suspects(self._fleet.repository.git, failure.fork, failure.entry.branch.tip, history)
        # With free slots, the likeliest suspects are tested at once, as if the branch were green where it left.
        bets = suspects[: max(0, self._places - len(starts))]
        alone = self._commit_at(0)
        questions = [Question(self._commit_at(count)) for count in starts]
        answers = yield (*questions, *(self._with((change,), alone, is_bet=True) for change in bets))
        reds = [change for change, green in zip(bets, answers[len(starts) :], strict=True) if green is False]
        tested = {
            change.commit for change, green in zip(bets, answers[len(starts) :], strict=True) if green is not None
        }
        for count, green in zip(starts, answers, strict=False):
            if green is not True:
                continue
            after = {change.commit for change in history[count:]}
            if count:
                reds, tested = [], set[CommitId]()
            likely = [change for change in suspects if change.commit in after - tested]
            cause = self._name_first(count, reds) or (yield from self._try_suspects(count, likely))
            cause = cause or (yield from self._search_prefixes(count))
            if cause is not None:
                return cause
        return None

    def _try_suspects(self, start: int, suspects: Sequence[LandedChange]) -> Search:
        """Test the likeliest suspects, as many at once as there are slots."""
        alone = self._commit_at(start)
        most = max(_MOST_SUSPECTS, self._places)
        for first in range(0, min(most, len(suspects)), self._places):
            asked = suspects[first : min(most, first + self._places)]
            answers = yield [self._with((change,), alone) for change in asked]
            reds = [change for change, green in zip(asked, answers, strict=True) if green is False]
            if cause := self._name_first(start, reds):
                return cause
        return None

    def _name_first(self, start: int, reds: Sequence[LandedChange]) -> FailureCause | None:
        """Return as the cause the earliest of the changes with which the branch is red, if there is one."""
        first = next((change for change in self._history if change in reds), None)
        return FailureCause(self._commit_at(start), (first,), proven=True) if first else None

    def _search_prefixes(self, start: int) -> Search:
        culprits: tuple[LandedChange, ...] = ()
        alone = self._commit_at(start)
        last = len(self._history)
        while True:
            last = yield from self._shortest_red(culprits, start, last)
            culprits = (self._history[last - 1], *culprits)
            (green,) = yield [self._with(culprits, alone)]
            if green is not True or len(culprits) == _MOST_NAMED or last - 1 == start:
                break
            last -= 1
        if green is not False:
            # It may have been red by chance; then no change may be blamed.
            (green_now,) = yield [self._with((), self._failure.target)]
            if green_now is True:
                return None
        return FailureCause(alone, culprits, proven=green is False)

    def _shortest_red(
        self, culprits: tuple[LandedChange, ...], low: int, high: int
    ) -> Generator[Sequence[Question], Answers, int]:
        """Return the least k above ``low`` so that the branch is red on k changes and ``culprits``.

        It is green at ``low`` and red at ``high``.
        """
        while high - low > 1:
            # At most one probe for each slot, evenly spread between the two.
            inner = high - low - 1
            count = min(self._places, inner)
            step = (high - low) / (count + 1)
            probes = sorted({low + max(1, round((n + 1) * step)) for n in range(count)} - {low, high})
            answers = yield [self._with(culprits, self._commit_at(k)) for k in probes]
            outcomes = {k: green for k, green in zip(probes, answers, strict=True) if green is not None}
            reds = [k for k, green in outcomes.items() if not green]
            if not outcomes:
                return high
            high = min(reds, default=high)
            low = max((k for k, green in outcomes.items() if green and k < high), default=low)
            if not reds and low not in outcomes:
                return high
        return high

    def _with(self, changes: tuple[LandedChange, ...], onto: CommitId, *, is_bet: bool = False) -> Question:
        """Return the question about the gate that failed: red by another gate is red for another reason."""
        return Question(onto, changes, self._gate, is_bet)

    def _commit_at(self, count: int) -> CommitId:
        """Return the target as it was with so many changes."""
        history = self._history
        return history[count - 1].commit if count else history[0].onto if history else self._failure.fork


def build_question(context: TrainContext, failure: FailedEntry, question: Question) -> CommitId | None:
    """Return the candidate of a question; None where it does not build."""
    commit, integrators = question.onto, context.integrators
    try:
        for change in question.changes:
            name = change.agent or AgentName("history")
            branch = Branch(name, context.fleet.name, change.onto, change.commit, change.title, Strategy.REBASE)
            built = integrators.on(question.onto).build(commit, branch)
            if not isinstance(built, BuiltCandidate):
                return None
            commit = built.commit
        built = integrators.on(failure.target).build(commit, failure.entry.branch)
        return built.commit if isinstance(built, BuiltCandidate) else None
    except GroundError:  # objects removed by a ``gc`` meanwhile
        integrators.forget()
        return None
