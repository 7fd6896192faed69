"""What every part of one train works with."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from orchestra.candidates.builder import CandidateBuilder, open_builder
from orchestra.candidates.text_conflict import RuleOf
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.train.candidate_refs import CandidateRefs
from orchestra.train.events import EventSink
from orchestra.train.regenerate import Regenerator
from orchestra.train.results import ResultRecorder
from orchestra.train.tester import Tester


class Integrators:
    """Integrators for the values that the target takes, one for each value and style. They end with the train.

    Each keeps git processes open until then.
    """

    def __init__(self, fleet: Fleet, stack: ExitStack, rule_of: RuleOf, regenerator: Regenerator) -> None:
        self._fleet, self._stack, self._rule_of, self._regenerator = fleet, stack, rule_of, regenerator
        self._by_target: dict[tuple[CommitId, str], CandidateBuilder] = {}

    def on(self, target: CommitId, style: str = "merge") -> CandidateBuilder:
        """Return the integrator that builds on ``target``; ``style``: how conflicts are written into files."""
        if (target, style) not in self._by_target:
            git = self._fleet.repository.git
            manager = open_builder(git, target, self._rule_of, self._regenerator.remake, style=style)
            self._by_target[target, style] = self._stack.enter_context(manager)
        return self._by_target[target, style]

    def forget(self) -> None:
        """Start new ones from here on: objects that the old ones remember were removed by a ``git gc --prune=now``."""
        self._by_target.clear()


@dataclass(frozen=True, slots=True)
class TrainContext:
    """The fleet and the tools of one train. ``rehearsed``: nothing moves but in memory; ``push``: the remote first."""

    fleet: Fleet
    tester: Tester
    events: EventSink
    recorder: ResultRecorder
    candidate_refs: CandidateRefs
    integrators: Integrators
    rehearsed: bool
    push: bool
