"""Measure the disk that a fleet uses: agents' worktrees, gate slots, saved work, and what is left.

A file counts with the blocks that it takes; of hard links inside a folder the first one counts. Blocks that files share
as reflinks count for each of them, since no portable call shows them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.git.refs import AgentRefs
from orchestra.git.repository import Repository
from orchestra.ledger import Json
from orchestra.plan.disk_space import read_free_space
from orchestra.workspace.paths import slots_root

_STAT_BLOCK = 512  # the unit of st_blocks, whatever the file system's own


@dataclass(frozen=True, slots=True)
class FolderSize:
    """``unreadable``: folders below that could not be listed, so that ``bytes`` is the least that it takes."""

    path: Path
    bytes: int
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class AgentDisk:
    """``worktree`` None: the agent has none, or it is the person's own checkout of an adopted branch.

    ``saved``: refs of uncommitted work that was saved. ``saved_bytes``: of the objects that only these keep; None where
    git could not say.
    """

    name: AgentName
    worktree: FolderSize | None
    saved: int
    saved_bytes: int | None


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """``free_bytes`` are left in ``root``, the folder of the worktrees."""

    agents: tuple[AgentDisk, ...]
    slots: tuple[FolderSize, ...]
    root: Path
    free_bytes: int

    @property
    def used_bytes(self) -> int:
        """The bytes of all that was measured."""
        worktrees = (agent.worktree.bytes for agent in self.agents if agent.worktree)
        saved = (agent.saved_bytes or 0 for agent in self.agents)
        return sum(worktrees) + sum(saved) + sum(slot.bytes for slot in self.slots)

    def to_json(self) -> dict[str, Json]:
        """Return the ``disk`` of ``status --disk --json``; validates against schemas/status.schema.json."""
        return {
            "root": str(self.root),
            "free_bytes": self.free_bytes,
            "used_bytes": self.used_bytes,
            "agents": [
                {
                    "name": agent.name,
                    "worktree_bytes": agent.worktree.bytes if agent.worktree else None,
                    "unreadable_folders": agent.worktree.unreadable if agent.worktree else 0,
                    "saved_refs": agent.saved,
                    "saved_bytes": agent.saved_bytes,
                }
                for agent in self.agents
            ],
            "slots": [
                {"path": str(slot.path), "bytes": slot.bytes, "unreadable_folders": slot.unreadable}
                for slot in self.slots
            ],
        }


def measure_disk(
    fleet: Fleet, agents: Sequence[Agent] | None = None, *, progress: Callable[[str], None] = lambda _: None
) -> DiskUsage:
    """Measure what ``agents`` (None: all) and the gate slots use. Reads every folder of the worktrees.

    ``progress`` receives what is measured next.
    """
    snapshot = read_snapshot(fleet)
    measured = []
    for agent in fleet.blueprint.agents if agents is None else agents:
        progress(f"worktree of {agent.name}")
        path = fleet.worktree(agent)
        is_measured = fleet.has_worktree(agent) and path != fleet.repository.home
        refs = snapshot.agent_refs(agent.name)
        saved = len(refs.saved) + (refs.cleaned_work is not None and refs.cleaned_work not in refs.saved)
        saved_bytes = _saved_bytes(snapshot, refs) if saved else 0
        measured.append(AgentDisk(agent.name, measure_folder(path) if is_measured else None, saved, saved_bytes))
    slots = []
    for slot in find_slots(fleet):
        progress(f"gate slot {slot.name}")
        slots.append(measure_folder(slot))
    return DiskUsage(tuple(measured), tuple(slots), fleet.worktrees_root, read_free_space(fleet.worktrees_root)[0])


def find_slots(fleet: Fleet) -> list[Path]:
    """Return the folders of the gate slots, also of the slot that the generated scripts use."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(slots_root(fleet)) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(folders, key=lambda folder: (len(folder.name), folder.name))


def measure_folder(folder: Path) -> FolderSize:
    """Return what a folder takes with all that is in it. Symbolic links are not followed."""
    total, unreadable, seen = 0, 0, set[tuple[int, int]]()
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        facts = entry.stat(follow_symlinks=False)
                        is_folder = entry.is_dir(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # an agent that works there deletes files
                    if is_folder:
                        waiting.append(entry.path)
                    elif facts.st_nlink > 1:
                        if (facts.st_dev, facts.st_ino) in seen:
                            continue
                        seen.add((facts.st_dev, facts.st_ino))
                    total += facts.st_blocks * _STAT_BLOCK
        except FileNotFoundError:
            continue
        except OSError:
            unreadable += 1
    return FolderSize(folder, total, unreadable)


def _saved_bytes(snapshot: FleetSnapshot, refs: AgentRefs) -> int | None:
    """Return the bytes in the object store of what only the saved work keeps: no branch, tag or other ref of it."""
    repository: Repository = snapshot.fleet.repository
    saved = [*refs.saved, *([refs.cleaned_work] if refs.cleaned_work else [])]
    others = [refs.base, refs.approved, refs.landed, refs.discarded, refs.cleaned]
    excluded = [f"^{commit}" for commit in others if commit is not None]
    words = ("--disk-usage", "--objects", *saved, *excluded, "--not", "--branches", "--tags", "--remotes")
    output = repository.git.with_env(GIT_NO_LAZY_FETCH="1").run("rev-list", *words, ok=(0, 128))
    return int(output.text) if output.code == 0 and output.text.isdecimal() else None
