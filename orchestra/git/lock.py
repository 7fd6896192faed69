"""One writer at a time: the lock that spawn, the verdicts, merge and clean take.

It is an flock, so the kernel releases it when its holder dies; ``lock.holder`` only names the holder for messages. The
scripts of ``orchestra.shell`` take the same flock; on a machine without flock(1) they leave a symbolic link
``lock.link`` to the text "PID HOST COMMAND", which counts while that process lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestra.errors import LockHeld


@contextmanager
def exclusive(folder: Path, command: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold ``folder``/lock while the body runs. Raises LockHeld, naming the holder, after ``wait_s`` seconds."""
    from filelock import FileLock, Timeout  # 20 ms, and status never locks

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    holder = folder / "lock.holder"
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise LockHeld(f"the orchestra lock of {folder.parent}", _describe(holder)) from None
    try:
        with contextlib.suppress(OSError):  # the flock is what counts; this file only names its holder
            holder.write_text(json.dumps({"pid": os.getpid(), "command": command, "since": time.time()}), "utf-8")
        _honour_link(folder)  # after our own announcement, as the scripts do it: one of two at least sees the other
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text("utf-8"))
        age = max(0, round(time.time() - facts["since"]))
        return f"orchestra {facts['command']} (process {facts['pid']}, for {age} s)"
    except (OSError, ValueError, KeyError):
        return "another orchestra command that has just started"


def _honour_link(folder: Path) -> None:
    """Raise LockHeld while a script that could not take the flock works here; forget the link of a dead one."""
    link = folder / "lock.link"
    try:
        text = os.readlink(link)  # noqa: PTH115 - a text, not a path
    except OSError:
        return
    pid, host, command = [*text.split(" ", 2), "", "", ""][:3]
    if host == platform.node() and not _is_running(pid):
        link.unlink(missing_ok=True)
        return
    remedy = "" if host == platform.node() else f" on {host}; if it is dead: rm {link}"
    raise LockHeld(f"the orchestra lock of {folder.parent}", f"{command} (process {pid}){remedy}")


def _is_running(pid: str) -> bool:
    with contextlib.suppress(ValueError, OverflowError, ProcessLookupError):
        try:
            os.kill(int(pid), 0)
        except PermissionError:  # another user's
            return True
        return True
    return False
