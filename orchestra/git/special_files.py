"""Pipes and devices inside a git folder: git waits without end for what it opens, and so does every command.

An agent can put one in the place of its worktree's ``HEAD``, or of a ref, and git opens the files of all worktrees.
Such a thing holds nothing. Below the folders of agents' worktrees, refs and logs it is deleted, so that only that agent
is affected; in the place of a file that the whole repository needs it is an error.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import read_regular

_ONE_AGENTS = ("worktrees", "refs", "logs")
# Large, or not read by git when it starts. Our own files are opened with open_regular.
_SKIPPED = ("orchestra", "hooks", "modules", "lfs", "annex", "objects")


def remove_special_files(common_dir: Path) -> None:
    """Delete pipes and devices among the files of worktrees, refs and logs. Raises GroundError for one elsewhere."""
    for path in _special_files(common_dir):
        if path.relative_to(common_dir).parts[0] not in _ONE_AGENTS:
            raise GroundError(
                f"{path} is a pipe or a device, which no git can read", hint=f"rm {shlex.quote(str(path))}"
            )
        with suppress(OSError):
            path.unlink()


def find_common_dir(folder: Path) -> Path | None:
    """Return the common git folder of the repository around ``folder`` without running git; None where unclear."""
    for parent in (folder, *folder.parents):
        place = parent / ".git"
        if os.path.isdir(place):  # noqa: PTH112 - no error where it cannot be looked at
            return place
        link = read_regular(place) if os.path.lexists(place) else None
        if link is not None and b"\0" not in link:
            git_folder = parent / os.fsdecode(link).removeprefix("gitdir: ").removesuffix("\n")
            common = read_regular(git_folder / "commondir")
            if common is None or b"\0" in common:  # a pipe, maybe: then the usual place
                return git_folder.parent.parent if git_folder.parent.name == "worktrees" else None
            return Path(os.path.normpath(git_folder / os.fsdecode(common).removesuffix("\n")))
    return None


def _special_files(common_dir: Path) -> Iterator[Path]:
    folders = [common_dir, common_dir / "objects" / "info"]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if folder != common_dir or entry.name not in _SKIPPED:
                            folders.append(folder / entry.name)
                    elif _blocks(entry):
                        yield folder / entry.name
        except OSError:
            continue


def _blocks(entry: os.DirEntry[str]) -> bool:
    """Return True for a pipe or a device, also behind a link; a socket cannot be opened and blocks no one."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
