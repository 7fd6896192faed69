"""The instruction files on disk, and copies of them that show whether they were edited.

A copy of each file as it was rendered is kept in the agent's state folder. A file that equals its copy is rendered
again when its text changes; any other was edited by the agent or a person and is kept. A file is replaced before its
copy is: a kill between the two leaves a file that equals what would be rendered, and the next run adopts it.

Invariant: no edit is replaced, and nothing is written outside the worktree.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.files import read_regular, write_atomically, write_below
from orchestra.fleet import Fleet
from orchestra.workspace.paths import clear_aside, stays_inside

RENDERED = "rendered"


class Verdict(StrEnum):
    SAME = "same"  # the rendered text has not changed
    WRITE = "write"  # it is missing, or still as it was rendered
    KEEP = "keep"  # it was edited, and another text would be rendered


def compare(fleet: Fleet, agent: Agent, name: str, text: str) -> Verdict:
    """Return what to do with a file whose text would be rendered as ``text`` now."""
    worktree = fleet.worktree(agent)
    file = worktree / name
    present, before = _read(file, worktree), _read(copy_path(fleet, agent.name, name))
    if present is None:
        # A link or a pipe in its place is replaced, never followed or opened.
        return Verdict.KEEP if file.is_dir() or not stays_inside(file, worktree) else Verdict.WRITE
    if before == text:
        return Verdict.SAME
    return Verdict.WRITE if present in (text, before) else Verdict.KEEP


def is_as_rendered(fleet: Fleet, agent: AgentName, name: str, file: Path) -> bool:
    """Return whether a rendered file is unchanged."""
    copy = _read(copy_path(fleet, agent, name))
    return copy is not None and _read(file) == copy


def copy_path(fleet: Fleet, agent: AgentName, name: str) -> Path:
    """Return the path of the copy of a file as it was rendered."""
    return fleet.agent_folder(agent) / RENDERED / name


def write_new(fleet: Fleet, agent: AgentName, folder: Path, name: str, text: str) -> None:
    """Write into a worktree that is not in use yet. A link that the branch has there is replaced, not followed."""
    write_atomically(copy_path(fleet, agent, name), text)
    write_below(folder, name, text)


def rewrite(fleet: Fleet, agent: AgentName, worktree: Path, name: str, text: str) -> None:
    """Replace a file in a worktree where an agent may be working, whole or not at all."""
    clear_aside(worktree)
    if _read(worktree / name, worktree) != text:
        write_below(worktree, name, text)
    write_atomically(copy_path(fleet, agent, name), text)


def _read(path: Path, below: Path | None = None) -> str | None:
    content = read_regular(path, below=below)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
