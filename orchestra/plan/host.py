"""Read this machine: cores, memory, free space, commands on PATH. Starts no process and writes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """``free_bytes`` and ``block_bytes`` are of the file system where the worktrees will be."""

    cores: int  # that this process may run on
    memory_bytes: int  # of the whole machine
    free_bytes: int  # without the part reserved for root
    block_bytes: int
    missing: frozenset[str] = frozenset()  # requested commands that are not on PATH


def read_machine(root: Path, commands: Iterable[str]) -> Machine:
    """Return the machine as it is now. ``root`` is where worktrees will be; it may not exist yet."""
    import psutil

    place = next(folder for folder in (root, *root.parents) if folder.is_dir())
    space = os.statvfs(place)
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        free_bytes=space.f_bavail * space.f_frsize,
        block_bytes=space.f_frsize,
        missing=frozenset(command for command in commands if shutil.which(command) is None),
    )
