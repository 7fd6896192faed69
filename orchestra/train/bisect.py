"""Why a branch that is green alone is red now: the smallest set of what landed with which it fails.

The target's history since the branch left it is a row of units: an agent's work, or a person's commit. The branch is
tried on ever shorter prefixes of that row; the last unit without which it is green is one culprit, and if that one
alone does not make it red, the search goes on below it with that one kept (delta debugging, Zeller 1999, for a row).

Invariant: every claim is a test that was run: green without, red with. Refuses: to claim anything where a candidate
does not build or a test cannot be run to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, Candidate, CandidateBuilder
from orchestra.errors import GroundError
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.train.entries import Passenger
from orchestra.train.run_and_wait import Question, ask
from orchestra.train.target_history import Unit, units
from orchestra.train.test_run import Ended, Report
from orchestra.train.tester import Tester

_MOST_MEMBERS = 3


@dataclass(frozen=True, slots=True)
class Cause:
    """The branch is green on ``alone`` and red with ``units`` added. ``proven``: red with them and nothing else."""

    alone: CommitId
    units: tuple[Unit, ...]
    proven: bool

    @property
    def agents(self) -> tuple[AgentName, ...]:
        return tuple(unit.agent for unit in self.units if unit.agent is not None)


@dataclass(frozen=True, slots=True)
class Case:
    """A branch that was red on ``target``, and the test that said so."""

    passenger: Passenger
    target: CommitId
    fork: CommitId
    report: Report


class Diagnosis:
    """Finds causes, with the tester of a train that has nothing else to do any more."""

    def __init__(self, fleet: Fleet, tester: Tester, integrator: Callable[[CommitId], CandidateBuilder]) -> None:
        self._fleet, self._tester, self._integrator_for = fleet, tester, integrator
        self._builders: dict[CommitId, CandidateBuilder] = {}
        self._asked = 0

    def causes(self, cases: Sequence[Case]) -> Mapping[AgentName, Cause]:
        """The cause for each case that has one; a branch that is red alone has none."""
        git, fleet = self._fleet.repository.git, self._fleet.name
        rows = [(case, units(git, fleet, case.fork, case.target)) for case in cases]
        begun = [(case, row, count) for case, row in rows for count in self._starts(case, row)]
        alone = self._ask([self._candidate(case, _point(case, row, count), ()) for case, row, count in begun])
        found: dict[AgentName, Cause] = {}
        for (case, row, count), green in zip(begun, alone, strict=True):
            name = case.passenger.agent.name
            if green is True and name not in found:
                cause = self._search(case, row, count)
                if cause is not None:
                    found[name] = cause
        return found

    def _starts(self, case: Case, row: Sequence[Unit]) -> list[int]:
        """With how many units the branch may be green: none, or those up to the last that it must land after.

        It may not do without these; and they may be what it fails with. All of them it was red with.
        """
        needed = self._fleet.blueprint.predecessors.get(case.passenger.agent.name, frozenset())
        last = max((place for place, unit in enumerate(row, 1) if unit.agent in needed), default=0)
        return [count for count in dict.fromkeys((0, last)) if count < len(row)]

    # -- searching ----------------------------------------------------------------------------------------------

    def _search(self, case: Case, row: Sequence[Unit], start: int) -> Cause | None:
        members: tuple[Unit, ...] = ()
        last = len(row)
        while True:
            last = self._shortest_red(case, row, members, start, last)
            members = (row[last - 1], *members)
            (green,) = self._ask([self._candidate(case, _point(case, row, start), members)], case)
            if green is not True or len(members) == _MOST_MEMBERS or last - 1 == start:
                break
            last -= 1
        if green is not False and self._is_green_now(case):
            return None
        return Cause(_point(case, row, start), members, proven=green is False)

    def _is_green_now(self, case: Case) -> bool:
        """Whether it was red by chance: then nobody may be named for it."""
        (green,) = self._ask([self._candidate(case, case.target, ())], case)
        return green is True

    def _shortest_red(self, case: Case, row: Sequence[Unit], members: tuple[Unit, ...], low: int, high: int) -> int:
        """The least k above ``low`` so that the branch is red on k units and ``members``: green at low, red at high."""
        while high - low > 1:
            probes = _between(low, high, self._fleet.blueprint.limits.gates)
            answers = self._ask([self._candidate(case, _point(case, row, k), members) for k in probes], case)
            known = {k: green for k, green in zip(probes, answers, strict=True) if green is not None}
            if not known:
                return high
            reds = [k for k, green in known.items() if not green]
            high = min(reds, default=high)
            low = max((k for k, green in known.items() if green and k < high), default=low)
            if not reds and low not in known:
                return high
        return high

    def _candidate(self, case: Case, onto: CommitId, members: Sequence[Unit]) -> Question | None:
        """``onto``, the members, the branch: is that green? None where they do not build."""
        try:
            built = self._build(case, onto, members)
        except GroundError:  # objects taken by a ``gc`` beside us
            self._builders.clear()
            return None
        self._asked += 1
        name = AgentName(f"question {self._asked}")
        return Question((name,), built.commit, case.passenger.agent.name) if isinstance(built, BuiltCandidate) else None

    def _build(self, case: Case, onto: CommitId, members: Sequence[Unit]) -> Candidate:
        at = onto
        for unit in members:
            name = unit.agent or AgentName("history")
            branch = Branch(name, self._fleet.name, unit.onto, unit.commit, unit.told, Strategy.REBASE)
            built = self._builder(onto).build(at, branch)
            if not isinstance(built, BuiltCandidate):
                return built
            at = built.commit
        return self._builder(case.target).build(at, case.passenger.branch)

    def _builder(self, target: CommitId) -> CandidateBuilder:
        if target not in self._builders:
            self._builders[target] = self._integrator_for(target)
        return self._builders[target]

    def _ask(self, questions: Sequence[Question | None], case: Case | None = None) -> list[bool | None]:
        """Green, red, or None where there is no candidate or no verdict.

        What is red by another gate than the one that decided ``case`` is red for a reason of its own: no verdict.
        """
        reports = ask(self._tester, [question for question in questions if question is not None])
        return [None if q is None else _verdict(reports[q.state], case) for q in questions]


def _verdict(report: Report, case: Case | None) -> bool | None:
    if report.ended is Ended.GREEN:
        return True
    asked, run = case.report.decided_by if case else None, report.decided_by
    same = asked is None or (run is not None and run.gate == asked.gate)
    return False if report.ended is Ended.RED and same else None


def _point(case: Case, row: Sequence[Unit], count: int) -> CommitId:
    """The target as it was with so many units."""
    return row[count - 1].commit if count else row[0].onto if row else case.fork


def _between(low: int, high: int, places: int) -> list[int]:
    """At most ``places`` whole numbers between the two, evenly spread."""
    inner = high - low - 1
    count = min(max(1, places), inner)
    return sorted({low + max(1, round((n + 1) * (high - low) / (count + 1))) for n in range(count)} - {low, high})
