"""What an agent can put in the place of each file that is read in its worktree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.adversary.acts import FILE_KINDS, clear, endless
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World

_FILES = (
    *("AGENT_NOTES.md", "TASK.md", "CLAUDE.md", "CLAUDE.local.md", ".gitattributes", ".gitmodules", ".gitignore"),
    *(".git", ".worktreeinclude", ".orchestra-tmp", "README", "src", "new", "vendor/.git", ".mcp.json"),
)


def _replace_file(make: Callable[[World, Path], None], name: str, world: World) -> None:
    place = world.evil / name
    clear(place)
    place.parent.mkdir(exist_ok=True)
    make(world, place)


def worktree_files() -> Iterator[Situation]:
    for name in _FILES:
        for kind, make in FILE_KINDS.items():
            for phase in (Phase.WORKED, Phase.LANDED):
                act = partial(_replace_file, make, name)
                yield Situation(f"{kind} at {name}, {phase}", act, phase)
    for name in ("AGENT_NOTES.md", "TASK.md", ".git"):
        yield Situation(f"endless {name}", partial(_replace_file, endless, name))
