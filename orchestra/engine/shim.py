"""The keeper: a small process that is the parent of one job at a time and does not outlive it.

It reads orders as JSON lines from its standard input and writes events as JSON lines to its standard output:

    {"run": {...}}                               the fields of job.Job
    {"end": id}                                  end it: TERM, grace, KILL, report why = "cancelled"
    -> {"event": "started", "id", "pid"}
    -> {"event": "finished", "id", ...}          and the fields of job.Ending, with
                                                 why: exited | timeout | cancelled | terminated | orphaned | unstarted

On a leash (``--leash``) the end of its input means that its owner has died: it ends the job (why = "orphaned") and
exits. Detached (``--detach``) it takes one order, puts the last event into the file ``record`` and exits after the job.
In a terminal (``--pane FIFO``, for tmux) it does the same, but takes the order from a FIFO, so that its job has the
terminal, and prints nothing there. SIGTERM, and in a terminal SIGHUP, ends the job (why = "terminated") and then it.

Invariant: when "finished" is written, no process of the job is left: descendants (it is a subreaper), its group,
and every process with its mark. The job itself dies with its keeper (PR_SET_PDEATHSIG). Output is pumped, never
stored whole: past ``log_limit`` bytes only the last megabyte is kept. Refuses: shells, threads, site-packages.
Started as ``python -I -S -c ... orchestra.engine.shim``: the standard library only, and of orchestra files.py, which is
imported before the job starts, so that an upgrade of orchestra meanwhile does not cost the record.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from orchestra.engine import process_tree
from orchestra.files import write_atomically

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # prctl(2): PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG
_TAIL = 1 << 20
_CHUNK = 1 << 16
_OF_TERMINAL = ("TERM", "COLORTERM", "TMUX", "TMUX_PANE")


class Log:
    """One stream of a job into one file: all of it up to ``limit`` bytes, then only the last megabyte."""

    def __init__(self, path: str, limit: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._room = limit
        self._tail: deque[bytes] = deque()
        self._held = 0
        self.left_out = 0
        self.disk_full = False

    def write(self, data: bytes) -> None:
        now, later = data[: self._room], data[self._room :]
        self._room -= len(now)
        self._append(now)
        if not later:
            return
        self._tail.append(later)
        self._held += len(later)
        while self._held - len(self._tail[0]) >= _TAIL:
            dropped = len(self._tail.popleft())
            self._held -= dropped
            self.left_out += dropped

    def _append(self, data: bytes) -> None:
        while data and not self.disk_full:
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
                    raise
                self.disk_full = True

    def close(self) -> None:
        if self.left_out:
            self._append(f"\n[orchestra: {self.left_out} bytes of output were left out here]\n".encode())
        for piece in self._tail:
            self._append(piece)
        os.close(self._file)


@dataclass
class RunningJob:
    """A job under way. ``status`` is the wait status of its leader once that has been reaped."""

    order: dict[str, Any]
    started_at: float = field(default_factory=time.time)
    deadline: float = float("inf")  # on the monotonic clock: a suspended machine does not use up a limit
    pid: int = 0
    status: int | None = None
    why: str = ""
    detail: str = ""
    logs: dict[int, Log] = field(default_factory=dict)  # by the pipe's reading end
    closed_logs: list[Log] = field(default_factory=list)


class Keeper:
    """The loop: pump output, reap children, obey orders. One job at a time."""

    def __init__(self, *, leash: bool, orders: int = 0, terminal: bool = False) -> None:
        self._leash = leash
        self._input = orders
        self._terminal = terminal
        self._orders = b""
        self._input_open = True
        self._terminated = False
        self._job: RunningJob | None = None
        self._next: dict[str, Any] | None = None
        self._unwanted: set[str] = set()  # ids of jobs to end
        self._selector = selectors.DefaultSelector()
        self._waker, woken = socket.socketpair()
        for end in (self._waker, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._woken = woken
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, self._on_term if terminal else signal.SIG_IGN)
        self._selector.register(orders, selectors.EVENT_READ, self._read_orders)
        self._selector.register(self._waker, selectors.EVENT_READ, self._wake)
        self._die_with_parent = _prepare_linux()

    def serve(self) -> int:
        while True:
            while self._next is None and self._input_open and not self._terminated:
                self._turn(None)
            if self._next is None or self._terminated:
                return 0
            order, self._next = self._next, None
            self._run(order)
            if not self._leash:
                return 0

    def _on_term(self, *_: object) -> None:
        self._terminated = True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._waker.recv(4096):
                pass

    def _read_orders(self) -> None:
        data = os.read(self._input, _CHUNK)
        if not data:
            self._input_open = False
            self._selector.unregister(self._input)
            return
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "run" in order:
                self._next = order["run"]
            else:
                self._unwanted.add(order["end"])

    def _turn(self, pause: float | None) -> None:
        for key, _ in self._selector.select(pause):
            key.data()
        job = self._job
        with contextlib.suppress(ChildProcessError):
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if job is not None and reaped[0] == job.pid:
                    job.status = reaped[1]

    def _run(self, order: dict[str, Any]) -> None:
        """Run one job to its end, and report it when no process of it is left."""
        job = self._job = RunningJob(order)
        try:
            self._start(job)
        except OSError as error:
            job.why, job.detail = "unstarted", f"{error.strerror}: {error.filename}"
        if job.pid:
            self._report({"event": "started", "id": order["id"], "pid": job.pid})
            self._watch(job)
        stragglers = self._end(job)
        # What is still in its pipes.
        for reading in tuple(job.logs):
            while reading in job.logs and self._pump(job, reading):
                pass
            if reading in job.logs:
                self._close_log(job, reading)
        self._job = None
        self._unwanted.discard(order["id"])
        code = os.waitstatus_to_exitcode(job.status) if job.status is not None else None
        event = {
            "event": "finished",
            "id": order["id"],
            "why": job.why,
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "started_at": job.started_at,
            "ended_at": time.time(),
            "detail": job.detail,
            "left_out": sum(log.left_out for log in job.closed_logs),
            "disk_full": any(log.disk_full for log in job.closed_logs),
            "stragglers": stragglers,
        }
        if order["record"]:
            try:
                write_atomically(Path(order["record"]), json.dumps(event) + "\n")
            except OSError as error:  # a full disk leaves none: readers then see that the keeper has ended
                print(f"orchestra keeper: cannot write {order['record']}: {error}", file=sys.stderr)
        self._report(event)

    def _start(self, job: RunningJob) -> None:
        order = job.order
        if order["timeout_s"] is not None:
            job.deadline = time.monotonic() + order["timeout_s"]
        streams = None
        if not self._terminal:
            out = self._open_log(job, order["log"])
            err = self._open_log(job, order["errlog"]) if order["errlog"] else out
            streams = (os.open(order["stdin"] or os.devnull, os.O_RDONLY | os.O_CLOEXEC), out, err)
        failure_end, child_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(order, streams, child_end, self._die_with_parent)
        for handle in {child_end, *(streams or ())}:
            os.close(handle)
        failure = os.read(failure_end, _CHUNK)
        os.close(failure_end)
        if failure:
            os.waitpid(pid, 0)
            number, _, subject = failure.decode("utf-8", "replace").partition(" ")
            raise OSError(int(number), os.strerror(int(number)), subject)
        job.pid = pid

    def _open_log(self, job: RunningJob, path: str) -> int:
        log = Log(path, job.order["log_limit"])
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        job.logs[reading] = log
        self._selector.register(reading, selectors.EVENT_READ, lambda: self._pump(job, reading))
        return writing

    def _pump(self, job: RunningJob, reading: int) -> bool:
        try:
            data = os.read(reading, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            job.logs[reading].write(data)
            return True
        self._close_log(job, reading)
        return False

    def _close_log(self, job: RunningJob, reading: int) -> None:
        self._selector.unregister(reading)
        os.close(reading)
        log = job.logs.pop(reading)
        log.close()
        job.closed_logs.append(log)

    def _watch(self, job: RunningJob) -> None:
        """Wait until the leader has exited or there is a reason to end it, which may exist from the start."""
        pause: float | None = 0.0
        while job.status is None and not job.why:
            self._turn(pause)
            remaining_s = job.deadline - time.monotonic()
            pause = None if remaining_s == float("inf") else max(remaining_s, 0.0)
            if self._terminated:
                job.why = "terminated"
            elif job.order["id"] in self._unwanted:
                job.why = "cancelled"
            elif self._leash and not self._input_open:
                job.why = "orphaned"
            elif job.status is None and time.monotonic() >= job.deadline:
                job.why = "timeout"
        if job.status is not None:
            job.why = "exited"

    def _end(self, job: RunningJob) -> int:
        """End every member; return how many outlived the leader or had to be signalled."""
        seen: set[int] = set()

        def find() -> tuple[process_tree.ProcessId, ...]:
            leads_group = job.pid and not self._terminal and (job.status is None or sys.platform != "linux")
            group = job.pid if leads_group else None
            members = process_tree.members(job.order["env"].get(process_tree.MARK), os.getpid(), group)
            seen.update(member.pid for member in members)
            return members

        process_tree.end(find, job.order["grace_s"], self._turn)
        while job.pid and job.status is None and process_tree.identity(job.pid) is None:
            self._turn(0.005)
        return len(seen - {job.pid})

    def _report(self, event: dict[str, Any]) -> None:
        """Write an event for the owner. It may have died: the leash notices that."""
        if self._terminal:
            return
        with contextlib.suppress(OSError):
            os.write(1, json.dumps(event).encode() + b"\n")


def _prepare_linux() -> Any:
    """Become a subreaper; return the function by which a child dies with us, None where unsupported."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    return lambda: libc.prctl(_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)


def _become(
    order: dict[str, Any], streams: tuple[int, int, int] | None, failure: int, die_with_parent: Any
) -> NoReturn:
    """Turn the forked child into the job: session, streams, folder, program. Never returns."""
    keeper, subject = os.getppid(), order["argv"][0]
    try:
        if streams is not None:
            os.setsid()
        if die_with_parent is not None:
            die_with_parent()
        if os.getppid() != keeper:
            os._exit(137)  # the keeper died before the death signal was set
        signal.set_wakeup_fd(-1)
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        for number, stream in enumerate(streams or ()):
            os.dup2(stream, number)
        subject, folder = order["cwd"], order["cwd"]
        os.chdir(folder)
        subject = order["argv"][0]
        terminal_variables = {} if streams else {name: os.environ[name] for name in _OF_TERMINAL if name in os.environ}
        os.execvpe(order["argv"][0], order["argv"], {**order["env"], **terminal_variables})  # noqa: S606 - no shell on purpose
    except OSError as error:
        os.write(failure, f"{error.errno} {subject}".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _detach() -> None:
    """Become a child of init, which reaps us; write our pid to the process that started us."""
    if pid := os.fork():
        os.write(1, b"%d" % pid)
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.close(nothing)


def main() -> int:
    options = sys.argv[2:]
    if "--pane" in options:
        orders = os.open(options[options.index("--pane") + 1], os.O_RDONLY)
        return Keeper(leash=False, orders=orders, terminal=True).serve()
    if "--detach" in options:
        _detach()
    return Keeper(leash="--leash" in options).serve()


if __name__ == "__main__":
    sys.exit(main())
