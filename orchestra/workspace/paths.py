"""Names and places inside and around an agent's worktree.

Invariant: reads the base commit, changes nothing. Which files are instructions is decided by the base, never by
what an agent's branch holds (law 6).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Blueprint
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

ASIDE = ".orchestra-tmp"  # in a worktree: where our files are while they are being written; hidden from git
STANDARDS, LOCAL_STANDARDS, TASK, NOTES = "CLAUDE.md", "CLAUDE.local.md", "TASK.md", "AGENT_NOTES.md"
PORTS_FILE = ".orchestra.env"  # the agent's ports, for a shell to source; only where the blueprint asks for ports


@dataclass(frozen=True, slots=True)
class InstructionNames:
    """The files that orchestra renders into a worktree, relative to it, with forward slashes.

    ``standards`` is CLAUDE.md, or CLAUDE.local.md where the repository has a CLAUDE.md of its own (the client reads
    both); ``further`` are the other entries of ``templates`` and PORTS_FILE, sorted.
    """

    standards: str
    task: str = TASK
    notes: str = NOTES
    further: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[str]:
        """Every path that must never reach the target."""
        return frozenset((self.standards, self.task, self.notes, *self.further))


def instruction_names(repository: Repository, blueprint: Blueprint, base: CommitId) -> InstructionNames:
    """Return the names of the instruction files in worktrees that start from ``base``."""
    is_tracked = repository.git.run("ls-tree", "-z", "--name-only", base, "--", STANDARDS).fields
    return names_with(blueprint, LOCAL_STANDARDS if is_tracked else STANDARDS)


def names_with(blueprint: Blueprint, standards: str) -> InstructionNames:
    """Return the names of the instruction files where the standards go to the file ``standards``."""
    further = set(blueprint.templates) - {STANDARDS, standards, TASK, NOTES}
    if blueprint.worktrees.setup.ports:
        further.add(PORTS_FILE)
    return InstructionNames(standards, further=tuple(sorted(further)))


def stays_inside(target: Path, folder: Path) -> bool:
    """Return whether ``target`` is inside ``folder``: a symbolic link of a commit, or an agent, may lead out."""
    return target.parent.resolve().is_relative_to(folder.resolve())


@contextmanager
def written_aside(worktree: Path) -> Iterator[Path]:
    """A new empty folder in the worktree, hidden from git, for what is renamed to its place when it is whole."""
    clear_aside(worktree)
    folder = worktree / ASIDE
    folder.mkdir()
    try:
        yield folder
    finally:
        clear_aside(worktree)


def clear_aside(worktree: Path) -> None:
    """Remove what a killed run left there. A link in its place is removed, never followed."""
    folder = worktree / ASIDE
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def user_state_folder() -> Path:
    """Return the folder of what orchestra stores for the user, outside every repository."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "")
    if not state.is_absolute():  # a relative one is ignored, as the XDG specification says
        state = Path.home() / ".local" / "state"
    return state / "orchestra"


def slots_root(fleet: Fleet) -> Path:
    """Return the folder of the gates' worktrees: not inside .git, below which jest and others ignore every file."""
    return fleet.worktrees_root / f"{fleet.repository.home.name}.gates"


def format_command(*words: object) -> str:
    """Return a command with its words quoted for a shell."""
    return shlex.join(str(word) for word in words)
