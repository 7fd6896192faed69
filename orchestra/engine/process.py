"""The one place that starts processes other than git.

Three ways: ``capture`` for a short command, ``foreground`` for a program that takes over the terminal, and a keeper
(``shim.py``) for jobs: a ``LeashedKeeper`` dies with this process and ends its job, ``start_detached`` survives the
terminal and this process, and records how its job ended.

Invariant: each process started here has its own session, so that signals to it and to us stay apart, and can be ended
with all its descendants, by its id, its keeper's descent and its mark. No shell is used unless the argv names it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from orchestra.engine import process_tree
from orchestra.engine.job import Ending, Job
from orchestra.engine.process_tree import MARK, ProcessId
from orchestra.errors import GroundError

_ROOT = Path(__file__).resolve().parents[2]
_KEEPER = "import sys; sys.path.append(sys.argv[1]); from orchestra.engine.shim import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Captured:
    """Output of a short command. ``code`` is None when it was killed for taking too long."""

    argv: tuple[str, ...]
    code: int | None
    stdout: str
    stderr: str


def capture(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 10.0,
) -> Captured:
    """Run a short command to its end. Raises FileNotFoundError, PermissionError when it cannot be started.

    Its whole group is killed at ``timeout_s``; its output until then is returned with ``code`` None.
    """
    command = tuple(argv)
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            out, err = process.communicate()
            return Captured(command, None, out, err)
        except BaseException:
            _kill_group(process)
            raise
        return Captured(command, process.returncode, out, err)


def foreground(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
) -> int:
    """Hand the terminal, or the file ``stdin`` and our output, to a program; return its exit code, or minus its signal.

    An interrupt is the program's to handle meanwhile, as in a shell.
    """
    with (
        stdin.open("rb") if stdin else nullcontext() as file,
        subprocess.Popen(tuple(argv), cwd=cwd, env=env, stdin=file) as process,
    ):
        # Only now: a child inherits an ignored signal through exec, and would be deaf to the interrupt for good.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def marked(job: Job) -> Job:
    """Return the job with a unique mark, by which every process that it starts can be found."""
    mark = job.mark or f"{job.id}.{secrets.token_hex(8)}"
    return replace(job, mark=mark, env={**job.env, MARK: mark})


def order(job: Job) -> dict[str, Any]:
    """Return the order that makes a keeper run ``job``, which must be ``marked``."""
    return {"run": {field.name: getattr(job, field.name) for field in fields(job)}}


def _line(order: Mapping[str, Any]) -> bytes:
    """Return an order as a keeper reads it; paths become text."""
    return json.dumps(order, default=str).encode() + b"\n"


def ending(event: Mapping[str, Any]) -> Ending:
    """Return a keeper's "finished" event as a value."""
    return Ending(**{name: event[name] for name in Ending.__slots__})


class LeashedKeeper:
    """A keeper that takes orders from us and ends, with its job, when we die, in whatever way.

    ``fileno`` is readable when it has something to say, so that a selector can wait for several.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            _keeper_argv("--leash"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._unread = b""

    def fileno(self) -> int:
        """Return the descriptor of its output."""
        return self._process.stdout.fileno() if self._process.stdout else -1

    def send(self, order: Mapping[str, Any]) -> None:
        """Send an order. A keeper that has died is noticed by ``read_events``."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(_line(order))
                self._process.stdin.flush()

    def read_events(self) -> list[dict[str, Any]] | None:
        """Return its new events; None when it has died. Blocks when there is nothing to read."""
        data = os.read(self.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def dismiss(self, timeout_s: float) -> None:
        """Close its input: it ends its job and exits, or is killed after ``timeout_s``."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def start_detached(job: Job) -> ProcessId:
    """Start a ``marked`` job that outlives us and the terminal; return its keeper's id.

    Ending: ``end_detached``, or SIGTERM to the keeper. The outcome is in ``job.record``; no record and no living
    keeper means that the keeper itself was killed or the machine stopped. The environment goes through a pipe,
    so that no secret in it is written to disk. Raises GroundError when the machine cannot start a process.
    """
    with subprocess.Popen(
        _keeper_argv("--detach"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as process:
        started = process.communicate(_line(order(job)))[0]
    keeper = process_tree.identity(int(started)) if started.strip().isdigit() else None
    if keeper is None:
        raise GroundError(f"the keeper of {job.id} did not start", hint="see orchestra doctor")
    return keeper


def start_daemon(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> ProcessId:
    """Start a program that outlives us and the terminal and has no keeper; both streams go to ``log``.

    Raises GroundError when it did not start. What runs under a keeper ends with it, so a program that starts
    detached work of its own must not have one.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    script = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
    output = capture(("/bin/sh", "-c", script, "sh", str(log), *argv), cwd=cwd, env=env)
    daemon = process_tree.identity(int(output.stdout)) if output.stdout.strip().isdigit() else None
    if daemon is None:
        raise GroundError(f"{argv[0]} did not start: {output.stderr.strip()}", hint=f"see {log}")
    return daemon


def pane_command(fifo: Path) -> tuple[str, ...]:
    """Return the argv of a keeper for a terminal, such as a tmux pane: it waits for ``give_order`` at ``fifo``."""
    return _keeper_argv("--pane", str(fifo))


def give_order(fifo: Path, job: Job, timeout_s: float = 10.0) -> None:
    """Hand a ``marked`` job to the keeper that waits at ``fifo``. GroundError when none does for ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            writing = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise GroundError(
                    f"{job.id} cannot start: its terminal does not read {fifo}: {error.strerror}"
                ) from error
            time.sleep(0.01)
    os.set_blocking(writing, True)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(_line(order(job)))


def end_detached(keeper: ProcessId, mark: str, *, grace_s: float = 5.0) -> tuple[ProcessId, ...]:
    """End detached work and everything that carries its mark; return what survived (normally nothing).

    The keeper gets the time to end its job and to write the record; then it is killed too.
    """
    if process_tree.send(keeper, signal.SIGTERM):
        wait_gone(keeper, grace_s + 12.0)
    process_tree.send(keeper, signal.SIGKILL)
    return process_tree.end(lambda: process_tree.members(mark), grace_s if not process_tree.is_alive(keeper) else 0.0)


def wait_gone(process: ProcessId, timeout_s: float) -> bool:
    """Block until that process has ended, at most ``timeout_s``; return True if it has."""
    deadline = time.monotonic() + timeout_s
    while process_tree.is_alive(process):
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            return False
        if not hasattr(os, "pidfd_open"):
            time.sleep(min(remaining_s, 0.05))
            continue
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        try:  # a pidfd becomes readable when its process ends, also for one that is no child
            select.select([handle], [], [], remaining_s)
        finally:
            os.close(handle)
    return True


def _keeper_argv(*options: str) -> tuple[str, ...]:
    """Return the argv of a keeper. -I and -S: no site-packages, no user's PYTHON* variables."""
    return (sys.executable, "-I", "-S", "-c", _KEEPER, str(_ROOT), *options)


def _kill_group(process: subprocess.Popen[str]) -> None:
    """Kill its group before it is reaped: until then no other process can get its number."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
