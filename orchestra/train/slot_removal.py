"""Remove the gate slots of a fleet. The next train makes them again, and runs the set-up in them.

No agent works in a slot, so nothing in one is saved. A slot stays, with the reason, where a process works in it or
where nothing says that orchestra made it. Killed and run again, the removal continues.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import GroundError, as_ground_error
from orchestra.files import read_regular
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.git.folder_users import occupants
from orchestra.git.lock import exclusive, require_free
from orchestra.train.slots import SLOT_REASON, drop_scratch_at
from orchestra.workspace.clean import is_root_leaving, remove_root
from orchestra.workspace.disk_usage import measure_folder
from orchestra.workspace.paths import format_command, slots_root
from orchestra.workspace.ports import slot_records

_SUFFIXES = (".owner", ".tmp")  # files next to a slot: who made it, and the link to its scratch folder
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class SlotRemoval:
    """One slot. ``reason``: why it stays; empty where it is removed. ``bytes``: what it takes on the disk."""

    path: Path
    bytes: int
    reason: str = ""

    @property
    def line(self) -> str:
        return format_command("git", "worktree", "remove", self.path)


@dataclass(frozen=True, slots=True)
class SlotsRemoval:
    """``root``: the folder of the worktrees, where spawn made it and nothing else is in it."""

    slots: tuple[SlotRemoval, ...]
    root: Path | None

    @property
    def removed(self) -> tuple[SlotRemoval, ...]:
        return tuple(slot for slot in self.slots if not slot.reason)

    @property
    def freed_bytes(self) -> int:
        return sum(slot.bytes for slot in self.removed)

    def lines(self) -> list[str]:
        """Return one line for each step."""
        root = [format_command("rmdir", self.root)] if self.root else []
        return [*(slot.line for slot in self.removed), *root]


def plan_slot_removal(fleet: Fleet) -> SlotsRemoval:
    """Plan what ``remove_slots`` would do now, with the same checks. Raises LockHeld while a train runs."""
    require_free(fleet.repository.state_folder / "train")
    return _plan(fleet)


def remove_slots(fleet: Fleet, *, progress: Callable[[str], None] = lambda _: None) -> SlotsRemoval:
    """Remove the slots; return what was removed and what stays. Raises LockHeld while a train runs."""
    with exclusive(fleet.repository.state_folder / "train", "clean --gates"):
        plan = _plan(fleet)
        outcomes = [slot if slot.reason else _remove(fleet, slot, progress) for slot in plan.slots]
        _remove_if_empty(slots_root(fleet))
        if not any(slot.reason for slot in outcomes):
            shutil.rmtree(slot_records(fleet), ignore_errors=True)  # their ports are free again
        root = plan.root
        if root is not None:
            with exclusive(fleet.repository.state_folder, "clean --gates", wait_s=_WAIT_S):
                root = root if remove_root(fleet, root) else None
    return SlotsRemoval(tuple(outcomes), root)


def _plan(fleet: Fleet) -> SlotsRemoval:
    folder = slots_root(fleet)
    try:
        entries = {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        entries = set()
    except OSError as error:
        raise as_ground_error(error, folder) from error
    admins = worktree_admin.admins(fleet.repository)
    registered = {path.name for path in admins if path.parent == Path(os.path.realpath(folder))}
    names = {name.removesuffix(suffix) for name in entries for suffix in _SUFFIXES if name.endswith(suffix)}
    names |= {name for name in entries if not name.endswith(_SUFFIXES) and name != worktree_admin.NEW} | registered
    slots = []
    for name in sorted(names, key=lambda name: (len(name), name)):
        path = folder / name
        reason = _reason_to_stay(fleet, path, admins.get(Path(os.path.realpath(path))))
        slots.append(SlotRemoval(path, measure_folder(path).bytes, reason))
    stays = any(slot.reason for slot in slots)
    is_leaving = bool(slots) and not stays and is_root_leaving(fleet, set(), also=[folder.name])
    return SlotsRemoval(tuple(slots), fleet.worktrees_root if is_leaving else None)


def _reason_to_stay(fleet: Fleet, path: Path, admin: Path | None) -> str:
    owner = os.fsdecode(read_regular(path.with_name(f"{path.name}.owner")) or b"").strip()
    lock = worktree_admin.lock_reason(admin) if admin is not None else None
    # A removal that was killed may have unlocked it; then the owner file still says whose it is.
    is_ours = lock.startswith(SLOT_REASON) if lock is not None else owner == str(fleet.repository.common_dir)
    if not is_ours:
        return "orchestra did not make it for this repository"
    users = occupants(path)
    return f"in use by {users[0]}" if users else ""


def _remove(fleet: Fleet, slot: SlotRemoval, progress: Callable[[str], None]) -> SlotRemoval:
    """Remove a slot, its registration, and last the file that says whose it is."""
    repository, path = fleet.repository, slot.path
    progress(f"gate slot {path.name}")
    try:
        drop_scratch_at(path.with_name(f"{path.name}.tmp"))
        with exclusive(repository.state_folder, "clean --gates", wait_s=_WAIT_S):
            worktree_admin.delete(path)
            admin = worktree_admin.admins(repository).get(Path(os.path.realpath(path)))
            if admin is not None:
                worktree_admin.forget(repository, admin, path)
            path.with_name(f"{path.name}.owner").unlink(missing_ok=True)
    except (GroundError, OSError) as error:
        return SlotRemoval(path, slot.bytes, f"it cannot be removed: {error}")
    return slot


def _remove_if_empty(folder: Path) -> None:
    worktree_admin.remove_if_empty(folder / worktree_admin.NEW)
    worktree_admin.remove_if_empty(folder)
