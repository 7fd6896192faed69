"""A session under the supervisor's eyes: what its output says since the last look, and whether it is over.

Invariant: reads only; what is to be done about it is the supervisor's. A look is short and waits for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine import process_tree
from orchestra.sessions.runners.protocol import Notice, runner_of
from orchestra.sessions.state import Digest
from orchestra.sessions.store import AgentFolder, Order, Run, RunFolder
from orchestra.sessions.tail import Tail

_STOPS_WITHIN_S = 30.0  # the keeper's grace, and some
_SIGNAL_WITHIN_S = 90.0  # a client that has not run its SessionStart hook by then has not taken our settings


class Watched:
    """A session that runs, or ran and is not summed up yet."""

    def __init__(self, home: AgentFolder, folder: RunFolder, order: Order, run: Run) -> None:
        self.home, self.folder, self.order, self.run = home, folder, order, run
        self._reader, self._tail = runner_of(order.kind).reader(order), Tail(folder.out)

    @property
    def agent(self) -> AgentName:
        return self.home.name

    @property
    def is_over(self) -> bool:
        return self.folder.ending is not None or not process_tree.is_alive(self.run.keeper)

    @property
    def is_open(self) -> bool:
        """Whether it is a session of the client that a person may sit before."""
        return self.order.kind is RunnerKind.CLAUDE and self.order.mode is RunnerMode.TMUX

    @property
    def is_overdue(self) -> bool:
        """Whether somebody stopped it so long ago that it should have ended: what was to end it was killed."""
        stop = self.folder.stop
        return stop is not None and time.time() - stop.at > _STOPS_WITHIN_S

    @property
    def is_unguarded(self) -> bool:
        """Whether its client has not signalled in time that it took our settings."""
        if self.order.kind is not RunnerKind.CLAUDE:
            return False
        if not 0 <= time.time() - self.run.started_at - _SIGNAL_WITHIN_S < _SIGNAL_WITHIN_S:
            return False
        return self.home.heard <= self.run.heard

    def notices(self) -> Iterator[Notice]:
        """What its output says of troubles since it was last asked."""
        for line in self._tail.lines():
            notice = self._reader.feed(line)
            if notice is not None:
                yield notice

    def got_through(self, digest: Digest) -> bool:
        """Whether the API let that session work to its end, so that nothing can hold the fleet."""
        end = self.folder.ending
        headless = self.order.kind is RunnerKind.CLAUDE and self.order.mode is RunnerMode.HEADLESS
        return headless and not digest.is_error and end is not None and (end.why, end.exit_code) == ("exited", 0)
