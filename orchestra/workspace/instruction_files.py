"""The instruction files on disk, and the copies that tell what of them is ours.

A copy of each file as it was rendered is kept in the agent's state folder. A file that equals its copy is ours to
render anew; any other has been written in by the agent or a person, and is kept. A file is replaced before its copy
is: a kill between the two leaves one that equals what would be rendered, and the next run adopts it.

Invariant: nothing that somebody wrote is replaced, nothing is written outside the worktree.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.workspace.paths import clear_aside, stays_inside, written_aside
from orchestra.workspace.steps import WriteFile

RENDERED = "rendered"


class Verdict(StrEnum):
    SAME = "same"  # nothing new would be rendered
    WRITE = "write"  # it is missing, still what was rendered before, or not yet known to be ours
    KEEP = "keep"  # somebody wrote in it, and something new would be rendered


def compare(fleet: Fleet, agent: Agent, name: str, text: str) -> Verdict:
    """What to do with a file whose text would be rendered as ``text`` now."""
    worktree = fleet.worktree(agent)
    there, before = _read(worktree / name), _read(copy_path(fleet, agent.name, name))
    if there is not None and before == text:
        return Verdict.SAME
    file = worktree / name
    ours = there in (None, text, before) and not file.is_dir() and stays_inside(file, worktree)
    return Verdict.WRITE if ours else Verdict.KEEP


def is_as_rendered(fleet: Fleet, agent: AgentName, name: str, file: Path) -> bool:
    """Whether nobody has written in a file of ours."""
    copy = _read(copy_path(fleet, agent, name))
    return copy is not None and _read(file) == copy


def copy_path(fleet: Fleet, agent: AgentName, name: str) -> Path:
    """Where the copy of a file as it was rendered is kept."""
    return fleet.agent_folder(agent) / RENDERED / name


def write_new(fleet: Fleet, step: WriteFile, folder: Path) -> None:
    """Write into a worktree that nobody sees yet."""
    write_atomically(copy_path(fleet, step.agent, step.name), step.text)
    target = folder / step.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(step.text, "utf-8")


def rewrite(fleet: Fleet, step: WriteFile) -> None:
    """Replace a file in a worktree where somebody may be at work, whole or not at all."""
    target = step.worktree / step.name
    clear_aside(step.worktree)
    if _read(target) != step.text:
        with written_aside(step.worktree) as aside:
            aside.joinpath("file").write_text(step.text, "utf-8")
            target.parent.mkdir(parents=True, exist_ok=True)
            aside.joinpath("file").replace(target)
    write_atomically(copy_path(fleet, step.agent, step.name), step.text)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
