"""Find the landed changes with which the text of a branch conflicts.

The target's history since the branch left it is read as a list of landed changes: an agent's work, or a person's
commit. It comes from the first-parent line and its trailers, so it is the same for what landed long ago, for what
landed just now, and for what a rehearsal would have landed.

Invariant: a change is named only after a test merge: it conflicts in a path in which the branch conflicts with the
target. Where a candidate does not build, no change is named.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, CandidateBuilder
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import GroundError
from orchestra.git.refs import CommitId
from orchestra.train.eviction_report import UNKNOWN_SIDE, LandedChange, OtherSide, landed_changes
from orchestra.train.train_context import TrainContext

_PATHS_PER_COMMAND = 100  # a command line has a limited length
_MOST_TRIED = 100  # changes, one by one; of a longer history only the last so many


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
