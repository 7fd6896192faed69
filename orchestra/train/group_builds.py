"""Build the candidates of merge groups, audit them, and protect them from ``git gc`` before they are used."""

from __future__ import annotations

from collections import Counter

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import BuiltCandidate, Candidate
from orchestra.candidates.containment import LandingStep, audit
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import DiskFull, GroundError
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import note_tree
from orchestra.train.entries import Entries, Entry
from orchestra.train.planner_model import MergeGroup
from orchestra.train.target_state import Unbuildable
from orchestra.train.train_context import TrainContext

_BUILD_TRIES = 3  # a ``git gc --prune=now`` may remove objects before they are pinned
_PRUNED_TRIES = 12


class CandidatesLost(Exception):  # noqa: N818 - an event inside the train
    """Objects of candidates were removed before a ref held them: all are to be built again, the same commits.

    ``is_final``: that has happened too often. ``unbuildable``: so does this group each time, so it is the branch.
    """

    def __init__(self, cause: GroundError, *, is_final: bool = False, unbuildable: Unbuildable | None = None) -> None:
        super().__init__(str(cause))
        self.cause, self.is_final, self.unbuildable = cause, is_final, unbuildable


class GroupBuilds:
    """The candidates that one train has built. ``commits``: all of them, pinned or not."""

    def __init__(self, context: TrainContext, entries: Entries) -> None:
        self._context, self._entries = context, entries
        self._failed: Counter[MergeGroup] = Counter()
        self._unpinned: dict[AgentName, CommitId] = {}
        self.commits: set[CommitId] = set()

    def build(self, group: MergeGroup, onto: CommitId, target: CommitId) -> Candidate:
        """Return the candidate of ``group`` on ``onto``, which is built on ``target``. Call ``pin`` before it is used.

        Raises CandidatesLost, DiskFull.
        """
        entry, git, candidate = self._entries.entry(group[-1]), self._context.fleet.repository.git, None
        try:
            candidate = self._context.integrators.on(target).build(onto, entry.branch)
            if not isinstance(candidate, BuiltCandidate):
                return candidate
            if findings := audit(git, landing_step(onto, candidate, entry), self._context.objects):
                messages = tuple(f"the audit rejects it: {finding.path} {finding.sentence}" for finding in findings)
                return Conflict(tuple(finding.path for finding in findings), messages)
            self.commits.add(candidate.commit)
            note_tree(git, candidate.commit, candidate.tree)
            self._unpinned[group[-1]] = candidate.commit
            if self._failed:  # something prunes here: leave it no time
                self._pin()
            return candidate
        except DiskFull:
            raise
        except GroundError as error:
            # Merged, and the new objects were gone before a ref held them, or built on such: not the branch's fault.
            was_pruned = candidate is not None or bool(self._unpinned)
            raise self._lost(group, error, was_pruned=was_pruned) from error

    def pin(self) -> None:
        """Protect what was built since the last call, with one transaction. Raises CandidatesLost, DiskFull."""
        try:
            self._pin()
        except DiskFull:
            raise
        except GroundError as error:
            raise self._lost(tuple(self._unpinned), error, was_pruned=True) from error

    def forget(self) -> None:
        """Build the same candidates again."""
        self._unpinned.clear()
        self._context.integrators.forget()

    def _pin(self) -> None:
        self._context.candidate_refs.pin(self._unpinned)
        self._unpinned.clear()

    def _lost(self, group: MergeGroup, error: GroundError, *, was_pruned: bool) -> CandidatesLost:
        self._failed[group] += 1
        self.forget()
        if was_pruned:
            return CandidatesLost(error, is_final=self._failed[group] >= _PRUNED_TRIES)
        is_unbuildable = self._failed[group] >= _BUILD_TRIES
        return CandidatesLost(
            error, unbuildable=Unbuildable(f"git cannot merge it: {error}") if is_unbuildable else None
        )


def landing_step(onto: CommitId, candidate: BuiltCandidate, entry: Entry) -> LandingStep:
    """Return the step from ``onto`` to the candidate, as the audit of containment takes it."""
    return LandingStep(onto, candidate.commit, candidate.fork, entry.branch.tip, entry.branch.kept_out)
