"""Progress of spawn and clean, and what both do about errors and the ledger."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import AgentName
from orchestra.errors import NO_SPACE, DiskFull, GroundError, as_ground_error, disk_error_hint
from orchestra.fleet import Fleet


class Phase(StrEnum):
    WORKTREES = "worktrees"
    SUBMODULES = "submodules"
    SHARE = "share"
    SETUP = "set-up"
    TEARDOWN = "teardown"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Progress:
    """``completed`` of ``total`` in a phase; ``agent`` is the one just completed, ``detail`` its problem or ""."""

    phase: Phase
    completed: int
    total: int
    agent: AgentName
    detail: str = ""


Listener = Callable[[Progress], None]


class Counter:
    """Reports progress of one phase, one agent at a time."""

    def __init__(self, phase: Phase, total: int, report: Listener) -> None:
        self._phase, self._total, self._report, self._completed = phase, total, report, 0

    def __call__(self, agent: AgentName, detail: str = "") -> None:
        self._completed += 1
        self._report(Progress(self._phase, self._completed, self._total, agent, detail))


@contextlib.contextmanager
def disk_errors(fleet: Fleet) -> Iterator[None]:
    """Turn an OSError into DiskFull or a GroundError that names the path."""
    try:
        yield
    except OSError as error:
        raise as_ground_error(error, Path(error.filename or fleet.folder)) from error


def explain(error: GroundError | OSError) -> str:
    """Return one agent's trouble as text, with its hint. Raises what concerns every agent: a full disk."""
    if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in NO_SPACE):
        raise error
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror} ({disk_error_hint(error, error.filename)})"
    return f"{error.message} ({error.hint})" if error.hint else error.message


def record(fleet: Fleet, kind: str, steps: int, agents: Collection[AgentName]) -> None:
    """Record a run in the ledger, which is memory only: a full disk must not hide the error that it caused."""
    if steps:
        with contextlib.suppress(sqlite3.Error, OSError):
            fleet.ledger.record(kind, steps=steps, agents=[str(name) for name in sorted(agents)])
