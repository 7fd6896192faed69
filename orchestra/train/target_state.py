"""What a train knows about one value of the target: candidates on it, how their tests came out, and who said so.

Invariant: keyed by state, so that it holds for this value of the target alone; ``after`` carries over what stays true
when a state has landed. Refuses: to know anything about the value before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestra.candidates.builder import BuiltCandidate, Candidate
from orchestra.git.refs import CommitId
from orchestra.train.planner_model import Record, State
from orchestra.train.test_run import Report


@dataclass(slots=True)
class Railway:
    """What is known about one value of the target: candidates on it, and their tests."""

    target: CommitId
    built: dict[State, Candidate] = field(default_factory=dict)
    tests: dict[State, Record] = field(default_factory=dict)
    reports: dict[State, Report] = field(default_factory=dict)

    def commit(self, state: State) -> CommitId:
        """The commit of a state that was built clean."""
        if not state:
            return self.target
        found = self.built[state]
        if not isinstance(found, BuiltCandidate):
            raise AssertionError(f"{state} has no candidate")
        return found.commit

    def after(self, state: State) -> Railway:
        """The target is now at ``state``: what begins with it stays known."""
        size = len(state)
        kept = Railway(self.commit(state))
        kept.built = {s[size:]: c for s, c in self.built.items() if s[:size] == state and len(s) > size}
        kept.tests = {s[size:]: t for s, t in self.tests.items() if s[:size] == state}
        kept.reports = {s[size:]: r for s, r in self.reports.items() if s[:size] == state}
        return kept
