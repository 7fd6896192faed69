"""Select the gates that a candidate needs: a gate with ``when`` is needed where the candidate touches its files.

A gate that a candidate does not need has there the result that it has on the target, so nothing is run. That is a fact
about two commits: when the target moves, ``still_holds`` compares again. It is no fact about the target: before a gate
that was red with a branch is held against the branch, the target alone is tested with that gate.
"""

from __future__ import annotations

from collections.abc import Collection

from orchestra.blueprint.model import RunGate
from orchestra.fleet import Fleet
from orchestra.gates.path_filters import PathFilters
from orchestra.git.refs import CommitId
from orchestra.train.slots import Slots
from orchestra.train.test_run import TestReport

Gates = tuple[RunGate, ...]


class GateSelection:
    """The gates of a fleet that need a checkout, in the order they run, and which of them a candidate needs."""

    def __init__(self, fleet: Fleet, slots: Slots) -> None:
        self.gates: Gates = tuple(gate for gate in fleet.blueprint.gates.values() if isinstance(gate, RunGate))
        self._slots = slots
        filters = PathFilters(fleet.repository.git)
        self._touches, self.content_key = filters.touches, filters.content_key

    def select(self, commit: CommitId, base: CommitId | None, suspected: Collection[str]) -> tuple[Gates, Gates]:
        """Return the gates to run on a candidate, and those that it does not need.

        ``base``: the target that it is compared with; None: it needs all. Those ``suspected`` are always run.
        """
        not_needed = tuple(
            gate
            for gate in self.gates
            if base is not None and gate.name not in suspected and not self._needs(gate, commit, base)
        )
        return tuple(gate for gate in self.gates if gate not in not_needed), not_needed

    def still_holds(self, report: TestReport, base: CommitId) -> bool:
        """Return True when what the tested candidate did not need is not needed there on ``base`` either."""
        return report.base == base or not any(self._needs(gate, report.commit, base) for gate in report.not_needed)

    def _needs(self, gate: RunGate, commit: CommitId, base: CommitId) -> bool:
        if not gate.when or self._touches(gate, base, commit):
            return True
        return self._slots.setup_key(commit) != self._slots.setup_key(base)
