"""The protocol between a fleet and the programs that its agents run.

A runner says how a session is launched and how its output is read; it starts nothing itself. There is one for each
kind, ``claude`` (claude.py) and ``command`` (command.py); for kind ``none`` a person starts the program.

Invariant: a program's own report of success is a hint. The exit code, the last result and the worktree decide whether a
session ended well (state.py). A command is an argv list, never a shell line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from orchestra.sessions.state import SessionResult
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: ``without`` is removed from the supervisor's environment, then ``env`` is added."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    stdin: Path | None = None


class AlertKind(StrEnum):
    """The events in a session's output that concern the whole fleet."""

    BUSY = "busy"  # the API is busy: 429, 5xx, no connection
    LOGIN = "login"  # the API refuses the login: no session will work
    LIMIT = "limit"  # the account's usage limit is reached, until a known time
    UNGUARDED = "unguarded"  # the session runs without orchestra's settings


@dataclass(frozen=True, slots=True)
class Alert:
    """``wait_s``: the pause that the API asked for; ``until``: when a usage limit is reset (POSIX time)."""

    kind: AlertKind
    reason: str
    wait_s: float = 0.0
    until: float = 0.0


class Reader(Protocol):
    """Read a session's output line by line, while it runs or afterwards."""

    def feed(self, line: bytes) -> Alert | None:
        """Read one line, without its line end."""

    def result(self) -> SessionResult:
        """Return the summary of the lines so far."""


class Runner(Protocol):
    """One kind of program."""

    def require(self, request: SessionRequest) -> None:
        """Raise GroundError, with the fix as its hint, when such a session cannot be started on this machine."""

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Return how to start that session. Raises GroundError."""

    def reader(self, request: SessionRequest) -> Reader:
        """Return a fresh reader for its output."""
