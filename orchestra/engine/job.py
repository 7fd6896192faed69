"""A job, to any engine: values in, events and a result out.

An engine runs commands in folders and knows nothing of agents, fleets or refs. The local one (``local.py``) runs them
here; a cluster can stand behind the same port. Times are seconds; wall-clock moments are POSIX timestamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol

JobId = NewType("JobId", str)
LOG_LIMIT = 64 << 20  # bytes of one stream that are kept whole; past it, only the last megabyte


class Outcome(StrEnum):
    PASSED = "passed"  # exit code 0
    FAILED = "failed"  # exit code 1 to 124, 126 and 127: the command's own word
    TIMED_OUT = "timed-out"  # it exceeded its own limit; its whole process group was ended
    BROKEN = "broken"  # infrastructure: killed by a signal not ours, could not start, disk full, exit 125
    CANCELLED = "cancelled"  # ended before its end because its result is not needed


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run. ``env`` is the whole environment; who runs it adds a mark (process.marked)."""

    id: JobId
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    log: Path  # both streams are appended, or only standard output where ``errlog`` is given
    timeout_s: float | None = None
    errlog: Path | None = None
    stdin: Path | None = None  # None: /dev/null
    grace_s: float = 5.0  # between TERM and KILL
    log_limit: int = LOG_LIMIT
    record: Path | None = None  # where its keeper leaves its ``Ending``
    mark: str = ""  # identifies its processes; empty: not marked yet


def shell_job(
    job: JobId, command: str, cwd: Path, env: Mapping[str, str], log: Path, *, timeout_s: float | None = None
) -> Job:
    """Return the job that runs ``command`` in /bin/sh."""
    return Job(job, ("/bin/sh", "-c", command), cwd, env, log, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended, as its keeper reports it (see shim.py for ``why``)."""

    why: str
    exit_code: int | None
    signal: int | None
    started_at: float
    ended_at: float
    detail: str = ""
    disk_full: bool = False  # the log could not be written
    left_out: int = 0  # bytes of output not kept
    stragglers: int = 0  # processes that had to be ended after, or besides, the leader


@dataclass(frozen=True, slots=True)
class Result:
    """What an ending means for those who wait for the job."""

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

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a place is free. An id is used once."""

    def cancel(self, job: JobId) -> None:
        """End a job, its whole process group, and report it CANCELLED. No-op for one that is over."""

    def wait(self, timeout_s: float | None = None) -> tuple[Event, ...]:
        """Block until there is an event, at most ``timeout_s``; return the new events in order."""

    def close(self) -> None:
        """End all running jobs. When it returns, no process of a job is left."""
