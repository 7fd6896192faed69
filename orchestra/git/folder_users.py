"""Which processes work in a folder, so that none has it pulled from under its feet.

Invariant: looks, touches nothing. A process of another user, or one that ends meanwhile, is not seen: the other
checks of a removal stand by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Occupant:
    """A process whose current folder is the one asked about, or below it."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


def occupants(folder: Path) -> tuple[Occupant, ...]:
    """The processes at work in ``folder``, this one not among them, in the order of their ids."""
    real = os.path.realpath(folder)
    places = _linux() if _PROC.joinpath("self/cwd").exists() else _elsewhere()
    users = [Occupant(pid, name) for pid, name, cwd in places if cwd == real or cwd.startswith(real + os.sep)]
    return tuple(sorted((user for user in users if user.pid != os.getpid()), key=lambda user: user.pid))


def _linux() -> Iterator[tuple[int, str, str]]:
    for entry in os.scandir(_PROC):
        if not entry.name.isdigit():
            continue
        try:
            cwd = os.readlink(f"{entry.path}/cwd")  # noqa: PTH115 - the text of a magic link
            name = Path(entry.path, "comm").read_text("utf-8", "replace").strip()
        except OSError:
            continue
        yield int(entry.name), name, cwd


def _elsewhere() -> Iterator[tuple[int, str, str]]:
    import psutil

    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["cwd"]:
            yield process.pid, process.info["name"] or "?", process.info["cwd"]
