"""The small protocol between a fleet and the programs that its agents are.

A runner says how a session is launched and how its output is read; it starts nothing itself. There is one for each
kind: ``claude`` (claude.py) and ``command`` (command.py). Kind ``none`` has no runner: a person types (byhand.py).

Invariant: a program's own word of success is a hint. Whether a session ended well is decided from its exit code, its
last result and a look at the worktree (state.py). Refuses: shells; an argv is a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from orchestra.blueprint.model import RunnerKind
from orchestra.sessions.state import Digest
from orchestra.sessions.store import AgentFolder, Order, RunFolder


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. ``env`` is laid over the supervisor's environment, ``without`` is taken out of that first."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    stdin: Path | None = None


class Trouble(StrEnum):
    """What a running session's output can say that the whole fleet must hear."""

    BUSY = "busy"  # the API refuses for now: 429, 5xx, no connection
    LOGIN = "login"  # the API refuses us: nobody's session will work
    UNGUARDED = "unguarded"  # the session runs without the settings that we gave it


@dataclass(frozen=True, slots=True)
class Notice:
    """``wait_s``: how long the API asked for."""

    trouble: Trouble
    reason: str
    wait_s: float = 0.0


class Reader(Protocol):
    """Reads a session's output line by line, while it runs or afterwards."""

    def feed(self, line: bytes) -> Notice | None:
        """One line without its end."""

    def digest(self) -> Digest:
        """What was read so far, summed up."""


class Runner(Protocol):
    """One kind of program."""

    def require(self, order: Order) -> None:
        """Raises GroundError, with the mend, when such a session cannot be started on this machine."""

    def launch(self, order: Order, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """How to start that session. Raises GroundError."""

    def reader(self, order: Order) -> Reader:
        """A fresh reader for its output."""


def runner_of(kind: RunnerKind) -> Runner:
    """The runner of a kind that has one."""
    if kind is RunnerKind.CLAUDE:
        from orchestra.sessions.runners.claude import ClaudeRunner

        return ClaudeRunner()
    from orchestra.sessions.runners.command import CommandRunner

    return CommandRunner()


def read_digest(order: Order, run: RunFolder) -> Digest:
    """What the whole output of a session that is over says, and whether it says what the session cost."""
    reader = runner_of(order.kind).reader(order)
    with suppress(OSError), run.out.open("rb") as lines:
        for line in lines:
            reader.feed(line.rstrip(b"\r\n"))
    found = reader.digest()
    return replace(found, usage=replace(found.usage, sessions_without_cost=int(found.usage.cost_usd is None)))
