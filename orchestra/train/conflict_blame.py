"""Whom a text conflict is with: found by building, so that nobody is named for changing the same file elsewhere.

Each unit that the target took in since the branch left it is put alone on the place where it left; those with which
the branch then conflicts are the other side. When there is none, the first unit at which the target stops fitting is,
with those before it without which the branch would fit. Invariant: whoever is named conflicts in a path in which the
branch conflicts with the target. Refuses: to name anybody where the branch does not even fit where it was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, CandidateBuilder
from orchestra.candidates.text_conflict import Conflict, few
from orchestra.errors import GroundError
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.train.target_history import Unit, touching, units

_MOST_UNITS = 100  # looked at one by one; of a longer history only the last so many


@dataclass(frozen=True, slots=True)
class Clash:
    """``units``: the other side. ``lacking``: the branch was begun on that, which the target does not hold."""

    units: tuple[Unit, ...] = ()
    lacking: str = ""

    @property
    def agents(self) -> tuple[AgentName, ...]:
        return tuple(dict.fromkeys(unit.agent for unit in self.units if unit.agent is not None))

    @property
    def told(self) -> str:
        """What a sentence about the conflict should add; agents are named beside it."""
        persons = [unit.told for unit in self.units if unit.agent is None]
        if self.lacking:
            return f"; it was begun on {self.lacking}, which the target does not hold"
        return f"; the other side is {few(persons)}" if persons else ""


NOBODY = Clash()


class Clashes:
    """Finds the other side of conflicts. ``integrator`` makes builders for a value of the target."""

    def __init__(self, fleet: Fleet, integrator: Callable[[CommitId], CandidateBuilder]) -> None:
        self._fleet, self._integrator_for = fleet, integrator
        self._builders: dict[CommitId, CandidateBuilder] = {}

    def find(self, branch: Branch, conflict: Conflict, target: CommitId, above: CandidateBuilder) -> Clash:
        """With whom ``branch`` conflicts on ``target``, for which ``above`` builds."""
        try:
            return self._find(branch, conflict, target, above)
        except GroundError:  # objects taken by a ``gc`` beside us: the eviction stands without it
            self._builders.clear()
            return NOBODY

    def _find(self, branch: Branch, conflict: Conflict, target: CommitId, above: CandidateBuilder) -> Clash:
        if not conflict.stages:  # nothing about text: unrelated histories, or the audit stopped it
            return NOBODY
        repository = self._fleet.repository
        fork = repository.fork(target, branch.tip, branch.base)
        row = units(repository.git, self._fleet.name, fork, target)
        start = row[0].onto if row else target
        search = _Search(self._builder(start), above, branch, frozenset(conflict.paths))
        if not search.fits(start):
            told = repository.git.text("log", "-1", "--format=%s", fork, "--")
            return Clash(lacking=f"{fork[:10]} ({told})") if fork != start else NOBODY
        near = touching(repository.git, fork, target, conflict.paths)
        return Clash(search.others(start, [unit for unit in row if not near.isdisjoint(unit.commits)][-_MOST_UNITS:]))

    def _builder(self, target: CommitId) -> CandidateBuilder:
        """For units on the place where a branch left the target; most branches of a fleet left it at the same."""
        if target not in self._builders:
            self._builders[target] = self._integrator_for(target)
        return self._builders[target]


class _Search:
    """One conflict. ``below`` builds units where the branch left the target, ``above`` the branch on the target."""

    def __init__(self, below: CandidateBuilder, above: CandidateBuilder, branch: Branch, paths: frozenset[str]) -> None:
        self._below, self._above, self._branch, self._paths = below, above, branch, paths

    def fits(self, at: CommitId) -> bool:
        """Whether the branch fits there, as far as the paths go that are asked about."""
        made = self._above.build(at, self._branch)
        return not (isinstance(made, Conflict) and self._paths & set(made.paths))

    def others(self, start: CommitId, row: Sequence[Unit]) -> tuple[Unit, ...]:
        alone = [unit for unit in row if self._clashes(start, [unit])]
        if alone:
            return tuple(alone)
        size = next((n for n, unit in enumerate(row, 1) if not self.fits(unit.commit)), 0)
        left, named = list(row[:size]), list(row[max(0, size - 1) : size])
        for unit in reversed(row[: max(0, size - 1)]):
            rest = [other for other in left if other is not unit]
            clashes = self._clashes(start, rest)
            if clashes:
                left = rest
            elif clashes is False:  # else the others are only built on it
                named.insert(0, unit)
        return tuple(named)

    def _clashes(self, start: CommitId, members: Sequence[Unit]) -> bool | None:
        """Whether the branch does not fit with these alone; None where they do not build without others."""
        at = start
        for unit in members:
            name = unit.agent or AgentName("history")
            made = self._below.build(
                at, Branch(name, self._branch.fleet, unit.onto, unit.commit, unit.told, Strategy.REBASE)
            )
            if not isinstance(made, BuiltCandidate):
                return None
            at = made.commit
        return not self.fits(at)
