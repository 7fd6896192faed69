"""Work distributed over forked writer processes, one for each core.

Writing many small files is system calls and a little Python between them, so that threads wait for each other and
processes do not. A writer runs nothing but the given function: it imports nothing, prints nothing and leaves with
``_exit``. Invariant: no writer outlives its owner, not even one ended by SIGKILL, since the next run clears what
this one left. Refuses to go on when a writer is lost.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import NoReturn

from orchestra.errors import DiskFull, GroundError

_NUMBER = Struct("<i")
_PR_SET_PDEATHSIG = 1
_ENOUGH = 500  # characters of an error's text or path
_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_forked(count: int, work: Callable[[int], bool], where: Path) -> Generator[int, None, None]:
    """Call ``work(0)`` to ``work(count - 1)`` in writers; yields each number whose call gave True, as it ends.

    Raises DiskFull (for ``where``) or GroundError for the first OSError of a writer; the others are ended first.
    """
    orders, to_orders = os.pipe()
    answers, to_answers = os.pipe()
    pids: list[int] = []
    try:
        for _ in range(_writers(count)):
            pids.append(_fork(_Writer(work, orders, to_answers, os.getpid()), (to_orders, answers)))
        os.close(to_answers)
        with os.fdopen(to_orders, "wb") as file:
            file.write(b"".join(_NUMBER.pack(number) for number in range(count)))
        with open(answers, "rb", closefd=False) as lines:
            yield from _listen(lines, count, where)
    finally:
        _end(pids)
        os.close(orders)
        os.close(answers)


@dataclass(frozen=True, slots=True)
class _Writer:
    """What a writer process knows: its work, the pipe it takes orders from, the one it answers on, its owner."""

    work: Callable[[int], bool]
    orders: int
    answers: int
    owner: int

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the owner too, and that ends us
        gc.disable()
        while os.getppid() == self.owner and (order := os.read(self.orders, _NUMBER.size)):
            number = _NUMBER.unpack(order)[0]
            _answer(self.answers, {"number": number, "done": self.work(number)})

    def run_and_leave(self) -> NoReturn:
        try:
            self.run()
        except DiskFull as error:
            self._fail(errno.ENOSPC, "no space", str(error.path))
        except GroundError as error:
            self._fail(None, error.message, "")
        except OSError as error:
            self._fail(error.errno, error.strerror or str(error), os.fsdecode(error.filename or b""))
        except BaseException as error:  # noqa: BLE001 - the process ends here; its owner raises
            self._fail(None, f"{type(error).__name__}: {error}", "")
        finally:
            os._exit(0)

    def _fail(self, number: int | None, why: str, path: str) -> None:
        _answer(self.answers, {"errno": number, "why": why[:_ENOUGH], "path": path[-_ENOUGH:]})


def _fork(writer: _Writer, foreign: tuple[int, ...]) -> int:
    """Start a writer that closes the ``foreign`` ends of pipes and dies with us (prctl(2); elsewhere it looks)."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    with warnings.catch_warnings():
        # Python 3.12 warns of forks while threads run: a lock they hold stays held in the child. A writer takes none.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for end in foreign:
            os.close(end)
        writer.run_and_leave()
    return pid


def _writers(count: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, count)


def _answer(answers: int, facts: dict[str, object]) -> None:
    """One line, below the PIPE_BUF bytes that are written whole (pipe(7)): one character may take six."""
    os.write(answers, json.dumps(facts).encode() + b"\n")


def _listen(answers: Iterable[bytes], count: int, where: Path) -> Iterator[int]:
    remaining = count
    for line in answers:
        facts = json.loads(line)
        if "errno" in facts:
            raise _failure(facts["errno"], facts["why"], facts["path"] or str(where))
        remaining -= 1
        if facts["done"]:
            yield facts["number"]
    if remaining:
        raise GroundError("a process that writes worktrees was killed", hint="run the same command again to continue")


def _failure(number: int | None, why: str, path: str) -> GroundError:
    if number is None:
        return GroundError(why)
    return DiskFull(Path(path)) if number in _FULL else GroundError(f"cannot write {path}: {why}")


def _end(pids: list[int]) -> None:
    for pid in pids:
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
