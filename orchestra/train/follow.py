"""Wait for work that another train could land: the pause between two trains of ``merge --follow``.

Nothing is held while it waits: verdicts, sessions and other trains go on. What a train did not land is not tried again
before its commit, the verdict of another agent, or the target has changed.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from orchestra.blueprint.model import AgentName
from orchestra.errors import ExitCode, GroundError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId
from orchestra.text import format_list
from orchestra.train.entries import Accept, Entries, read_entries
from orchestra.train.merge import Unfinished
from orchestra.train.train_report import MergeReport

_SHORTEST_S = 1.0
_PAUSE_PER_LOOK = 40.0  # times the CPU of one look, git's included: 2.5 % of a core
_MOST_NAMES = 8


@dataclass
class TrainFollower:
    """A series of trains. ``agents`` None: all of the fleet."""

    fleet: Fleet
    accept: Accept
    agents: Collection[AgentName] | None
    read_unfinished: Unfinished
    _evicted: set[AgentName] = field(default_factory=set)
    _left_out: set[AgentName] = field(default_factory=set)  # evicted, or blocked, or not tested
    _tried: frozenset[tuple[AgentName, CommitId]] = frozenset()
    _target: CommitId | None = None  # where the last train left it
    _obstacle: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """1 where an agent that may land did not land in the last train."""
        return ExitCode.SHORT if self._left_out else ExitCode.DONE

    def wait(self, announce: Callable[[str], None]) -> list[AgentName] | None:
        """Return the agents of the next train once there is one to run; None at Ctrl-C.

        ``announce`` gets what it waits for, whenever that changes.
        """
        announced, seen = "", None
        try:
            if self._obstacle:
                announce(self._obstacle)
                time.sleep(_SHORTEST_S)
                self._obstacle = ""
            while True:
                started = _cpu_s()
                snapshot = read_snapshot(self.fleet)
                # Every verdict and every commit is in the refs; only the end of a session is not.
                if snapshot.refs != seen or self.accept is Accept.FINISHED:
                    seen = snapshot.refs
                    entries = self._read_entries(snapshot)
                    if queue := self._queue(snapshot, entries):
                        return queue
                    if (text := self._describe(entries)) != announced:
                        announce(text)
                        announced = text
                time.sleep(max(_SHORTEST_S, _PAUSE_PER_LOOK * (_cpu_s() - started)))
        except KeyboardInterrupt:
            return None

    def record(self, report: MergeReport) -> None:
        """Remember what became of each agent of a train."""
        self._target = report.after
        landed = {item.agent for item in report.landed}
        self._evicted = (self._evicted - landed) | {item.agent for item in report.evicted}
        self._left_out = (self._left_out - landed) | self._evicted
        self._left_out |= {item.agent for item in report.blocked} | {item.agent for item in report.waiting}

    def postpone(self, obstacle: str) -> None:
        """Let the next ``wait`` return the same agents again: the train could not start."""
        self._tried, self._obstacle = frozenset(), obstacle

    def _read_entries(self, snapshot: FleetSnapshot) -> Entries:
        if snapshot.target_tip is None:
            raise GroundError(f"{self.fleet.target} has no commit", hint=f"git branch {self.fleet.target} COMMIT")
        with Objects(snapshot.fleet.repository.git) as objects:
            tip = snapshot.target_tip
            return read_entries(snapshot, objects, tip, self.accept, self.agents, read_unfinished=self.read_unfinished)

    def _queue(self, snapshot: FleetSnapshot, entries: Entries) -> list[AgentName]:
        """Return who takes part in the next train; none where all of them took part as they are now."""
        works = {entry.agent.name: entry.branch.tip for entry in entries.queued}
        self._evicted &= works.keys()
        self._left_out &= works.keys()
        if snapshot.target_tip != self._target:
            self._tried = frozenset()
        queue = [name for name, tip in works.items() if name not in self._evicted or (name, tip) not in self._tried]
        is_new = not works.items() <= self._tried
        self._tried = frozenset(works.items())
        return queue if is_new else []

    def _describe(self, entries: Entries) -> str:
        reasons = dict.fromkeys(sorted(self._left_out), "not landed") | {w.agent: w.reason for w in entries.waiting}
        by_reason = {reason: [name for name in reasons if reasons[name] == reason] for reason in reasons.values()}
        parts = [f"{reason}: {format_list(names, most=_MOST_NAMES)}" for reason, names in by_reason.items()]
        waits = f"waiting for {self.accept} work"
        return f"{waits} ({'; '.join(parts)})" if parts else f"{waits}: every agent has landed or was discarded"


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime
