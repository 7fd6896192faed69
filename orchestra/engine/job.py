"""A job, to any engine: values in, events and a result out.

An engine runs shell commands in folders and knows nothing of agents, fleets or refs. The local one
(``local.py``) runs them here; a cluster can stand behind the same port. Times are seconds; wall-clock moments
are POSIX timestamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol

JobId = NewType("JobId", str)


class Outcome(StrEnum):
    PASSED = "passed"  # exit code 0
    FAILED = "failed"  # exit code 1 to 124, 126 and 127: the command's own word
    TIMED_OUT = "timed-out"  # it exceeded its own limit; its whole process group was ended
    BROKEN = "broken"  # infrastructure: killed by a signal not ours, could not start, disk full, exit 125
    CANCELLED = "cancelled"  # ended before its end because its result is not needed


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One command to run. ``env`` is the whole environment. Output, both streams, is appended to ``log``."""

    id: JobId
    command: str  # for /bin/sh -c
    cwd: Path
    env: Mapping[str, str]
    log: Path
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    exit_code: int | None  # None when it did not exit by itself
    signal: int | None
    started_at: float
    ended_at: float
    detail: str = ""  # one line for a person: why broken, what limit


@dataclass(frozen=True, slots=True)
class Started:
    job: JobId
    pid: int


@dataclass(frozen=True, slots=True)
class Finished:
    job: JobId
    result: Result


Event = Started | Finished


class Engine(Protocol):
    """Runs jobs. Not thread-safe: one owner submits and reads."""

    def submit(self, job: JobSpec) -> None:
        """Queue a job; it starts when a place is free. An id is used once."""

    def cancel(self, job: JobId) -> None:
        """End a job, its whole process group, and report it CANCELLED. No-op for one that is over."""

    def wait(self, timeout_s: float | None = None) -> tuple[Event, ...]:
        """Block until there is an event, at most ``timeout_s``; return the new events in order."""

    def close(self) -> None:
        """End all running jobs. When it returns, no process of a job is left."""
