"""The table of ``status --disk``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.console import Cell, Tone, print_note, print_result
from orchestra.cli.table_layout import show_table
from orchestra.fleet import Fleet
from orchestra.plan.capacity import size
from orchestra.text import format_count

if TYPE_CHECKING:
    from orchestra.workspace.disk_usage import DiskUsage, FolderSize


def print_disk(fleet: Fleet, usage: DiskUsage) -> None:
    """Print one row an agent and one a gate slot, and below them the sum and what is free."""
    rows: list[list[str | Cell]] = []
    for agent in usage.agents:
        saved = f"{agent.saved}: {_size_or_unknown(agent.saved_bytes)}" if agent.saved else ""
        path = str(agent.worktree.path) if agent.worktree else ""
        rows.append([agent.name, _folder_size(agent.worktree), saved, Cell(path, Tone.QUIET)])
    for slot in usage.slots:
        rows.append([f"gate slot {slot.path.name}", _folder_size(slot), "", Cell(str(slot.path), Tone.QUIET)])
    print_result(f"{fleet.name}: disk in use")
    show_table(("agent", "worktree", "saved work", "path"), rows)
    print_result(f"{size(usage.used_bytes)} in use; {size(usage.free_bytes)} are free in {usage.root}")
    unreadable = sum(f.unreadable for f in (*(a.worktree for a in usage.agents), *usage.slots) if f is not None)
    if unreadable:
        folders = format_count(unreadable, "folder")
        print_note(f"{folders} could not be read: sizes with + are the least that is in use", Tone.WAITING)


def _folder_size(folder: FolderSize | None) -> str:
    if folder is None:
        return "none"
    return f"{size(folder.bytes)}{'+' if folder.unreadable else ''}"


def _size_or_unknown(count: int | None) -> str:
    return "size unknown" if count is None else size(count)
