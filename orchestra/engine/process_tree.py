"""The processes of a job: find them all, and end exactly those.

A process is known by an ``ProcessId`` that survives clock jumps, reused pids and restarts of the machine. The
members of a job are found by three signs: descent from its keeper (exact on Linux, where the keeper is a
subreaper), the job's process group, and the mark in their environment (``ORCHESTRA_JOB``), which a daemon that
left both still carries. Jenkins finds stray build processes the same way, by ``BUILD_ID``.

Invariant: a signal goes only to a process that was seen to be a member after a handle on it was held.
Refuses: names, patterns, anything that could hit a process which no sign points at. Standard library only on
Linux, since the keeper starts without site-packages there; psutil elsewhere.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

MARK = "ORCHESTRA_JOB"
_PROC = Path("/proc")
_LINUX = sys.platform == "linux"
_MISSING = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, never another that got the same pid.

    ``started`` is its start in clock ticks since boot (Linux) or its start time in seconds; ``machine`` is the boot and
    the pid namespace in which ``pid`` is valid.
    """

    pid: int
    started: str
    machine: str


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    group: int
    started: str


@lru_cache(maxsize=1)
def this_machine() -> str:
    """Return the boot and pid namespace that we run in: pids recorded under another value mean nothing here."""
    if not _LINUX:
        import psutil

        return f"boot-{int(psutil.boot_time()) // 60}"
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - the text of a magic link


def identity(pid: int) -> ProcessId | None:
    """Return the id of the process that has ``pid`` now; None for none or a zombie."""
    if _LINUX:
        stat = _stat(pid)
        return None if stat is None or stat.state in "ZX" else ProcessId(pid, stat.started, this_machine())
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessId(pid, f"{process.create_time():.2f}", this_machine())
    except psutil.Error:
        return None


def is_alive(process: ProcessId) -> bool:
    """Return True while exactly that process runs on this machine; a zombie does not run."""
    return process.machine == this_machine() and identity(process.pid) == process


def members(mark: str | None, root: int | None = None, group: int | None = None) -> tuple[ProcessId, ...]:
    """Return the living processes that carry ``mark``, descend from ``root`` or are in process group ``group``.

    ``root`` itself and the caller are never among them. Pass ``group`` only while its leader, or a member seen
    otherwise, keeps the number from being reused.
    """
    candidates = _linux_members(mark, root, group) if _LINUX else _psutil_members(mark, root, group)
    others = (member for member in candidates if member.pid not in (os.getpid(), root))
    return tuple(sorted(others, key=lambda member: member.pid))


def is_marked(pid: int) -> bool:
    """Return True for a process of any orchestra job; False for one that has ended or is another user's."""
    if _LINUX:
        return any(entry.startswith(f"{MARK}=".encode()) for entry in _environment(pid))
    import psutil

    try:
        return MARK in psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return False


def end(
    find: Callable[[], tuple[ProcessId, ...]], grace_s: float, wait: Callable[[float], None] = time.sleep
) -> tuple[ProcessId, ...]:
    """Send TERM to what ``find`` returns, KILL to what is alive after ``grace_s``; return what survived.

    ``wait`` is called with a pause in seconds between two looks: a caller that must go on pumping output or
    reaping children does it there. Gives up 10 s after the KILL (a process in uninterruptible sleep).
    """
    deadline = time.monotonic() + grace_s
    signalled: set[ProcessId] = set()
    while (survivors := find()) and time.monotonic() < deadline:
        for member in set(survivors) - signalled:
            send(member, signal.SIGTERM)
        signalled.update(survivors)
        wait(0.02)
    deadline = time.monotonic() + 10.0
    while (survivors := find()) and time.monotonic() < deadline:
        for member in survivors:
            send(member, signal.SIGKILL)
        wait(0.005)
    return survivors


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Signal exactly that process; False when it has ended or may not be signalled.

    A pid can be reused between a check and a signal, a pidfd cannot: so the check comes after opening it.
    """
    try:
        if not hasattr(os, "pidfd_open"):
            os.kill(process.pid, number)
            return True
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if identity(process.pid) != process:
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _linux_members(mark: str | None, root: int | None, group: int | None) -> Iterator[ProcessId]:
    pids = (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - names only, 5 times faster
    stats = {pid: stat for pid in pids if (stat := _stat(pid)) is not None and stat.state not in "ZX"}
    # The descendants of ``root``.
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    descendants: set[int] = set()
    todo = [] if root is None else [root]
    while todo:
        new = [pid for pid in children.get(todo.pop(), ()) if pid not in descendants]
        descendants.update(new)
        todo.extend(new)
    # Those, the group's, and those that carry the mark.
    needle = f"{MARK}={mark}".encode() if mark is not None else None
    oldest = int(stats[root].started) if root in stats else 0
    for pid, stat in stats.items():
        if int(stat.started) < oldest:
            continue  # older than its would-be ancestor; saves reading most environments
        in_group = group is not None and stat.group == group
        if pid in descendants or in_group or (needle is not None and needle in _environment(pid)):
            yield ProcessId(pid, stat.started, this_machine())


def _stat(pid: int) -> _Stat | None:
    """proc(5): the command's name is in parentheses and may hold anything, so split after the last one."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except _MISSING:
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[2]), fields[19])


def _environment(pid: int) -> frozenset[bytes]:
    try:
        return frozenset((_PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except OSError:
        return frozenset()  # gone, or another user's


def _psutil_members(mark: str | None, root: int | None, group: int | None) -> Iterator[ProcessId]:
    import psutil

    descendants: set[int] = set()
    if root is not None and psutil.pid_exists(root):
        descendants.update(child.pid for child in psutil.Process(root).children(recursive=True))
    for process in psutil.process_iter():
        try:
            marked = mark is not None and process.environ().get(MARK) == mark
            in_group = group is not None and os.getpgid(process.pid) == group
        except (psutil.Error, OSError):
            marked = in_group = False  # gone, or another user's
        if (marked or in_group or process.pid in descendants) and (process_id := identity(process.pid)) is not None:
            yield process_id
