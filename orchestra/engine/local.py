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
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestra.engine import process, process_tree
from orchestra.engine.job import Ending, Event, Finished, Job, JobId, Outcome, Result, Started
from orchestra.files import read_tail

_LEAST_SPACE = 1 << 20  # bytes: below it, a failed job is the disk's fault
_SPACE_WORDS = (b"No space left on device", b"Disk quota exceeded", b"ENOSPC")
# sh(1) reports a command that signal N ended as 128 + N. Only the signals that end programs in practice are read so:
# mocha exits with the number of failed tests, and 183 of them are a verdict.
_ENDING_SIGNALS = frozenset("SIGHUP SIGINT SIGABRT SIGBUS SIGKILL SIGSEGV SIGTERM SIGXCPU SIGXFSZ".split())
_BY_SIGNAL = frozenset(128 + signal.Signals[name] for name in _ENDING_SIGNALS)
_UNTESTABLE = 125  # by which git bisect, docker run and nohup say: this could not be tried


@dataclass
class _Place:
    keeper: process.LeashedKeeper
    job: Job | None = None
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
        self._queue: deque[Job] = deque()
        self._known: set[JobId] = set()
        self._news: list[Event] = []
        self._cancelled: set[JobId] = set()
        self._requeued: set[JobId] = set()
        self._selector = selectors.DefaultSelector()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a place is free. Raises ValueError for an id used before or after ``close``."""
        if self._closed or job.id in self._known:
            raise ValueError(f"job {job.id}: the engine is closed" if self._closed else f"job {job.id} twice")
        self._known.add(job.id)
        self._queue.append(process.marked(replace(job, grace_s=self._grace_s)))
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
                place.keeper.send({"end": job})

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
        """Give queued jobs to free places, and open places while the limit allows it."""
        while self._queue and not self._closed:
            place = next((place for place in self._places if place.job is None), None)
            if place is None:
                if len(self._places) == self._limit:
                    return
                place = _Place(process.LeashedKeeper())
                self._places.append(place)
                self._selector.register(place.keeper, selectors.EVENT_READ, place)
            place.job, place.started, place.started_at = self._queue.popleft(), False, time.time()
            place.keeper.send(process.order(place.job))

    def _listen(self, timeout_s: float | None) -> None:
        """Read what keepers report, and put the next jobs into the places that became free."""
        for key, _ in self._selector.select(timeout_s):
            place: _Place = key.data
            events = place.keeper.read_events()
            if events is None:
                self._bury(place)
            for event in events or ():
                job = place.job
                if job is None or event["id"] != job.id:
                    continue
                if event["event"] == "started":
                    place.started = True
                    self._news.append(Started(job.id, event["pid"]))
                else:
                    place.job = None
                    cancelled = job.id in self._cancelled
                    self._news.append(Finished(job.id, judge(job, process.ending(event), cancelled=cancelled)))
        self._fill()

    def _bury(self, place: _Place) -> None:
        """Handle a keeper that ended unexpectedly: end what its job left running and report the job as BROKEN.

        A job that had not started is queued again, once: its keeper was exiting when it got the job.
        """
        self._dismiss(place)
        job, place.job = place.job, None
        if job is None:
            return
        cancelled = job.id in self._cancelled
        if not (place.started or cancelled or job.id in self._requeued):
            self._requeued.add(job.id)
            self._queue.appendleft(job)
            return
        outcome = Outcome.CANCELLED if cancelled else Outcome.BROKEN
        result = Result(outcome, None, None, place.started_at, time.time(), "its keeper process was killed")
        self._news.append(Finished(job.id, result))

    def _dismiss(self, place: _Place) -> None:
        self._places.remove(place)
        self._selector.unregister(place.keeper)
        place.keeper.dismiss(self._grace_s + 12.0)
        if (job := place.job) is not None:
            process_tree.end(lambda: process_tree.members(job.mark), 0.0)


def run(job: Job, *, grace_s: float = 5.0) -> Result:
    """Run one job to its end, here and now."""
    with LocalEngine(1, grace_s=grace_s) as engine:
        engine.submit(job)
        while True:
            for event in engine.wait():
                if isinstance(event, Finished):
                    return event.result


def judge(job: Job, end: Ending, *, cancelled: bool = False) -> Result:
    """Return the result that an ending means. For a failed job, look at its folder, the disk and the end of its log."""
    code, number = end.exit_code, end.signal
    if cancelled and end.why == "cancelled":
        outcome, code, detail = Outcome.CANCELLED, None, "cancelled"
    elif end.why == "timeout":
        outcome, code, detail = Outcome.TIMED_OUT, None, f"took longer than {job.timeout_s:g} s"
    elif end.why == "unstarted":
        outcome, detail = Outcome.BROKEN, f"could not start: {end.detail}"
    elif end.why != "exited":
        outcome, code, detail = Outcome.BROKEN, None, "its keeper was stopped by a signal"
    elif number is not None:
        outcome, detail = Outcome.BROKEN, f"killed by {_signal_name(number)}"
    elif code in _BY_SIGNAL:
        number = code - 128
        outcome, detail = Outcome.BROKEN, f"exit code {code}: killed by {_signal_name(number)}"
    elif code == _UNTESTABLE:
        outcome, detail = Outcome.BROKEN, f"exit code {code}: could not be run"
    elif code:
        fault = _fault_of_machine(job, end)
        outcome, detail = (Outcome.BROKEN, fault) if fault else (Outcome.FAILED, f"exit code {code}")
    else:
        outcome, code, detail = Outcome.PASSED, 0, ""
    return Result(outcome, code, number, end.started_at, end.ended_at, detail)


def _fault_of_machine(job: Job, end: Ending) -> str:
    """Return why a failure may be the machine's and not the command's; empty where nothing suggests that."""
    if not job.cwd.is_dir():
        return f"its folder {job.cwd} disappeared while it ran"
    if end.disk_full:
        return f"no space left for its log {job.log}"
    for folder in (job.cwd, job.log.parent, Path(job.env.get("TMPDIR", "/tmp"))):  # noqa: S108 - looked at only
        space = os.statvfs(folder) if folder.is_dir() else None
        if space is not None and (
            space.f_bavail * space.f_frsize < _LEAST_SPACE or (space.f_files > 0 and space.f_favail == 0)
        ):
            return f"no space left on the device that holds {folder}"
    words = next((word for word in _SPACE_WORDS if word in read_tail(job.log)), None)
    return f"its log says: {words.decode()}" if words else ""


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
