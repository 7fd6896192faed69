"""Estimate the disk that further worktrees need. Nothing is downloaded and no file is read.

The index of the main checkout knows how many bytes each file takes in a worktree: of a file that LFS or another
filter expands its real size, of a path that a sparse checkout leaves out that it takes nothing, and in a partial clone
what git would otherwise have to download. Paths that are not in the index count with the size of their object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestra.blueprint.git_names import GATE_FOLDER_SUFFIX
from orchestra.blueprint.model import RunGate
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.plan.capacity import Disk
from orchestra.plan.repository_scan import read_tree

_SKIP_WORKTREE = 1 << 30  # CE_SKIP_WORKTREE in git's read-cache.h
_ENTRY = re.compile(r"  size: (\d+)\tflags: ([0-9a-f]+)\n")


def estimate_disk(fleet: Fleet, commit: CommitId, worktrees: int) -> Disk:
    """Estimate what that many further worktrees of ``commit`` need, and read what is free where they will be."""
    repository = fleet.repository
    tree = read_tree(repository.git, commit, sizes=not is_partial_clone(repository))
    free_bytes, block_bytes = read_free_space(fleet.worktrees_root)
    return Disk(worktrees, worktree_bytes(tree, read_index_sizes(repository), block_bytes), free_bytes)


def worktree_bytes(tree: Mapping[str, int | None], index: Mapping[str, int], block_bytes: int) -> int | None:
    """Return the bytes of a worktree in whole blocks.

    ``tree``: path -> bytes of its object, None: unknown; ``index``: path -> bytes of the file. Where both know only
    some paths, each of the others counts as one block; None where no size is known at all.
    """
    sizes = [index.get(path, size) for path, size in tree.items()]
    if tree and all(size is None for size in sizes):
        return None
    return sum(block_bytes if size is None else -(-size // block_bytes) * block_bytes for size in sizes)


def read_index_sizes(repository: Repository) -> dict[str, int]:
    """Return path -> bytes of the file, of each entry in the main checkout's index; 0: left out by a sparse checkout.

    Entries that no file was written for are missing.
    """
    if repository.bare:
        return {}
    path, sizes = "", dict[str, int]()
    for field in repository.git.run("ls-files", "-z", "--debug", ok=(0, 128)).stdout.split(b"\0"):
        # The facts of an entry follow its path; they end where the next path begins.
        facts = _ENTRY.search(about := os.fsdecode(field))
        if facts is not None:
            size, flags = int(facts[1]), int(facts[2], 16)
            if flags & _SKIP_WORKTREE:
                sizes[path] = 0
            elif size:
                sizes[path] = size
        path = about[facts.end() :] if facts else about
    return sizes


def is_partial_clone(repository: Repository) -> bool:
    """Return whether git would have to download objects to know their size; runs no git."""
    packs = repository.common_dir / "objects" / "pack"
    return next(packs.glob("*.promisor"), None) is not None


def read_free_space(folder: Path) -> tuple[int, int]:
    """Return the free bytes and the block size of the file system that holds a folder, which may not exist yet."""
    place = next(existing for existing in (folder, *folder.parents) if existing.is_dir())
    space = os.statvfs(place)
    return space.f_bavail * space.f_frsize, space.f_frsize


def count_missing_worktrees(fleet: Fleet) -> int:
    """Count the worktrees and gate slots that do not exist yet."""
    agents = sum(1 for agent in fleet.blueprint.agents if not (agent.adopted or fleet.worktree(agent).exists()))
    if not any(isinstance(gate, RunGate) for gate in fleet.blueprint.gates.values()):
        return agents
    folder = fleet.worktrees_root / f"{fleet.repository.home.name}{GATE_FOLDER_SUFFIX}"
    return agents + sum(1 for n in range(fleet.blueprint.limits.gates) if not (folder / str(n + 1)).exists())
