"""Jobs on this machine: a fixed number of places, each with one keeper that runs its jobs one after the other.

A command is FAILED only when nothing but the command can have caused it: trouble of the machine is BROKEN, never a
verdict. A keeper enforces the time limit of its job itself, so that a busy owner delays only the start of queued
jobs. When the owner dies, every keeper ends its job and exits.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestra.engine import process, process_tree
from orchestra.engine.job import Event, Finished, JobId, JobSpec, Outcome, Result, Started
from orchestra.files import read_tail

_LEAST_SPACE = 1 << 20  # bytes: below it, a failed job is the disk's fault
_SPACE_WORDS = (b"No space left on device", b"Disk quota exceeded", b"ENOSPC")
# sh(1) reports a command that signal N ended as 128 + N. Only the signals that end programs in practice are read so:
# mocha exits with the number of failed tests, and 183 of them are a verdict.
_BY_SIGNAL = frozenset(
    128 + number
    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    )
)
_UNTESTABLE = 125  # by which git bisect, docker run and nohup say: this could not be tried


@dataclass
class _Place:
    keeper: process.LeashedKeeper
    job: JobSpec | None = None
    mark: str = ""
    started: bool = False
    started_at: float = 0.0


class LocalEngine:
    """Runs ``places`` jobs at once (see ``job.Engine``); a context manager. ``grace_s`` lies between TERM and KILL."""

    def __init__(self, places: int, *, grace_s: float = 5.0) -> None:
        if places < 1:
            raise ValueError("an engine needs a place")
        self._limit = places
        self._grace_s = grace_s
        self._places: list[_Place] = []
        self._queue: deque[JobSpec] = deque()
        self._known: set[JobId] = set()
        self._news: list[Event] = []
        self._cancelled: set[JobId] = set()
        self._again: set[JobId] = set()
        self._selector = selectors.DefaultSelector()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: JobSpec) -> None:
        """Queue a job; it starts when a place is free. Raises ValueError for an id used before or after ``close``."""
        if self._closed or job.id in self._known:
            raise ValueError(f"job {job.id}: the engine is closed" if self._closed else f"job {job.id} twice")
        self._known.add(job.id)
        self._queue.append(job)
        self._fill()

    def cancel(self, job: JobId) -> None:
        """End a job and report it CANCELLED, once ``wait`` has seen it gone. No-op for one that is over."""
        for queued in self._queue:
            if queued.id == job:
                self._queue.remove(queued)
                now = time.time()
                result = Result(Outcome.CANCELLED, None, None, now, now, "cancelled before it started")
                self._news.append(Finished(job, result))
                return
        for place in self._places:
            if place.job is not None and place.job.id == job:
                self._cancelled.add(job)
                place.keeper.send(process.stop_order(job))

    def wait(self, timeout_s: float | None = None) -> tuple[Event, ...]:
        """Return the new events in order. Blocks until there is one, at most ``timeout_s``.

        Returns nothing at once when no job is queued or running: there is nothing to wait for.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._news and (self._queue or self._busy()):
            remaining_s = None if deadline is None else deadline - time.monotonic()
            if remaining_s is not None and remaining_s < 0:
                break
            self._listen(remaining_s)
        news, self._news = tuple(self._news), []
        return news

    def close(self) -> None:
        """End whatever runs. After it returns no process of a job is left; ``wait`` still returns how they ended."""
        if self._closed:
            return
        self._closed = True
        for job in [*(job.id for job in self._queue), *(p.job.id for p in self._places if p.job is not None)]:
            self.cancel(job)
        deadline = time.monotonic() + self._grace_s + 15.0
        while self._busy() and time.monotonic() < deadline:
            self._listen(max(0.0, deadline - time.monotonic()))
        for place in tuple(self._places):
            self._dismiss(place)
        self._selector.close()

    def _busy(self) -> bool:
        return any(place.job is not None for place in self._places)

    def _fill(self) -> None:
        while self._queue and not self._closed and (place := self._free_place()) is not None:
            job = self._queue.popleft()
            work = process.marked(
                process.Work(
                    id=job.id,
                    argv=("/bin/sh", "-c", job.command),
                    cwd=job.cwd,
                    env=job.env,
                    log=job.log,
                    timeout_s=job.timeout_s,
                    grace_s=self._grace_s,
                )
            )
            place.job, place.mark, place.started, place.started_at = job, work.mark, False, time.time()
            place.keeper.send(process.order(work))

    def _free_place(self) -> _Place | None:
        for place in self._places:
            if place.job is None:
                return place
        if len(self._places) == self._limit:
            return None
        place = _Place(process.LeashedKeeper())
        self._places.append(place)
        self._selector.register(place.keeper, selectors.EVENT_READ, place)
        return place

    def _listen(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            place: _Place = key.data
            words = place.keeper.read_events()
            if words is None:
                self._bury(place)
            for event in words or ():
                self._hear(place, event)
        self._fill()

    def _hear(self, place: _Place, event: dict[str, Any]) -> None:
        job = place.job
        if job is None or event["id"] != job.id:
            return
        if event["event"] == "started":
            place.started = True
            self._news.append(Started(job.id, event["pid"]))
            return
        place.job = None
        cancelled = job.id in self._cancelled
        self._news.append(Finished(job.id, judge(job, process.ending(event), cancelled=cancelled)))

    def _bury(self, place: _Place) -> None:
        """Handle a keeper that ended unexpectedly: end what its job left running and report the job as BROKEN.

        A job that had not started is queued again, once: its keeper was exiting when it got the job.
        """
        self._dismiss(place)
        job, place.job = place.job, None
        if job is None:
            return
        cancelled = job.id in self._cancelled
        if not (place.started or cancelled or job.id in self._again):
            self._again.add(job.id)
            self._queue.appendleft(job)
            return
        outcome = Outcome.CANCELLED if cancelled else Outcome.BROKEN
        result = Result(outcome, None, None, place.started_at, time.time(), "its keeper process was killed")
        self._news.append(Finished(job.id, result))

    def _dismiss(self, place: _Place) -> None:
        self._places.remove(place)
        self._selector.unregister(place.keeper)
        place.keeper.dismiss(self._grace_s + 12.0)
        if place.job is not None:
            process_tree.end(lambda: process_tree.members(place.mark), 0.0)


def run(job: JobSpec, *, grace_s: float = 5.0) -> Result:
    """Run one job to its end, here and now."""
    with LocalEngine(1, grace_s=grace_s) as engine:
        engine.submit(job)
        while True:
            for event in engine.wait():
                if isinstance(event, Finished):
                    return event.result


def judge(job: JobSpec, end: process.Ending, *, cancelled: bool = False) -> Result:
    """Return the result that an ending means. For a failed job, look at its folder, the disk and the end of its log."""
    outcome, code, number, detail = _classify(job, end)
    if cancelled and end.why == "cancelled":
        outcome, detail = Outcome.CANCELLED, "cancelled"
    elif outcome is Outcome.FAILED and (fault := _ground_fault(job, end)):
        outcome, detail = Outcome.BROKEN, fault
    return Result(outcome, code, number, end.started_at, end.ended_at, detail)


def _classify(job: JobSpec, end: process.Ending) -> tuple[Outcome, int | None, int | None, str]:
    match end.why:
        case "exited":
            return _by_exit(end)
        case "timeout":
            return Outcome.TIMED_OUT, None, end.signal, f"took longer than {job.timeout_s:g} s"
        case "unstarted":
            return Outcome.BROKEN, None, None, f"could not start: {end.detail}"
        case _:
            return Outcome.BROKEN, None, end.signal, "its keeper was stopped by a signal"


def _by_exit(end: process.Ending) -> tuple[Outcome, int | None, int | None, str]:
    if end.signal is not None:
        return Outcome.BROKEN, None, end.signal, f"killed by {_signal_name(end.signal)}"
    code = end.exit_code or 0
    if code in _BY_SIGNAL:
        number = code - 128
        return Outcome.BROKEN, code, number, f"exit code {code}: killed by {_signal_name(number)}"
    if code == _UNTESTABLE:
        return Outcome.BROKEN, code, None, f"exit code {code}: could not be run"
    return (Outcome.PASSED if code == 0 else Outcome.FAILED), code, None, f"exit code {code}" if code else ""


def _ground_fault(job: JobSpec, end: process.Ending) -> str:
    """Return why a failure may be the machine's and not the command's; empty where nothing suggests that."""
    if not job.cwd.is_dir():
        return f"its folder {job.cwd} disappeared while it ran"
    if end.disk_full:
        return f"no space left for its log {job.log}"
    for folder in (job.cwd, job.log.parent, Path(job.env.get("TMPDIR", "/tmp"))):  # noqa: S108 - looked at only
        if folder.is_dir() and _is_full(folder):
            return f"no space left on the device that holds {folder}"
    words = next((word for word in _SPACE_WORDS if word in read_tail(job.log)), None)
    return f"its log says: {words.decode()}" if words else ""


def _is_full(folder: Path) -> bool:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize < _LEAST_SPACE or (space.f_files > 0 and space.f_favail == 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
