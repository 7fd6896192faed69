"""One writer at a time: the lock that spawn, the verdicts, merge and clean take.

It is an flock, so the kernel releases it when its holder dies; ``lock.holder`` only names the holder for messages. The
scripts of ``orchestra.shell`` take the same flock.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestra.errors import LockHeld
from orchestra.files import read_regular, write_atomically

_SILENT_S = 1.0


@contextmanager
def exclusive(
    folder: Path, command: str, *, wait_s: float = 0.0, announce: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold ``folder``/lock while the body runs. Raises LockHeld, naming the holder, after ``wait_s`` seconds.

    ``announce`` receives what is waited for, where that takes more than a second.
    """
    from filelock import FileLock, Timeout  # 20 ms, and status never locks

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    holder = folder / "lock.holder"
    try:
        try:
            lock.acquire(timeout=min(wait_s, _SILENT_S))
        except Timeout:
            if wait_s <= _SILENT_S:
                raise
            announce(f"waiting for {_describe(holder)}, for at most {wait_s:.0f} s")
            lock.acquire(timeout=wait_s - _SILENT_S)
    except Timeout:
        raise LockHeld(f"the orchestra lock of {folder.parent}", _describe(holder)) from None
    try:
        with contextlib.suppress(OSError):  # the flock is what counts; this file only names its holder
            write_atomically(holder, json.dumps({"pid": os.getpid(), "command": command, "since": time.time()}))
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def require_free(folder: Path) -> None:
    """Raise LockHeld where a process holds ``folder``/lock. Changes nothing: a dry run has to know."""
    import fcntl

    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return  # nothing has ever locked here, or the run itself will say what is wrong
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(f"the orchestra lock of {folder.parent}", _describe(folder / "lock.holder")) from None
    finally:
        os.close(lock)


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(read_regular(holder) or b"null")
        age = max(0, round(time.time() - facts["since"]))
        return f"orchestra {facts['command']} (process {facts['pid']}, for {age} s)"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another orchestra command that has just started"
