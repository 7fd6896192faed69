"""Copy or clone untracked files of the main checkout into an agent's worktree.

Invariant: nothing that is in the worktree is replaced, nothing is written outside it (a tracked symbolic link may lead
out), and a copied link becomes a copy of what it leads to, so that no agent writes through it. Refuses: folders and
repositories for ``copy``; they are named for ``share``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.git.git_process import Git
from orchestra.git.worktrees import as_ground_error
from orchestra.workspace.paths import stays_inside, written_aside
from orchestra.workspace.steps import CopyFile, ShareFolder

INCLUDE_FILE = ".worktreeinclude"
COPIES = "copied.json"
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
_FICLONE = 0x40049409  # linux/fs.h; no other system has it


@dataclass(frozen=True, slots=True)
class Belongings:
    """What to bring along from ``source``: files and folders, relative to it; ``visible`` of them git would show."""

    source: Path
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # entries of setup.copy and setup.share that match nothing


def find_belongings(fleet: Fleet) -> Belongings | None:
    """Find what ``setup.copy``, ``.worktreeinclude`` and ``setup.share`` name; None where no checkout has them."""
    source = _main_checkout(fleet)
    if source is None:
        return None
    setup = fleet.blueprint.worktrees.setup
    git = Git(source)
    by_pattern = {pattern: _untracked(git, f":(top,glob){pattern}") for pattern in setup.copy}
    folders = tuple(name for name in setup.share if (source / name).is_dir())
    files = sorted({*_included(git, source), *(name for matches in by_pattern.values() for name in matches)})
    chosen = tuple(name for name in files if (source / name).is_file() and not _below(name, folders))
    missing = (*(p for p, matches in by_pattern.items() if not matches), *(f for f in setup.share if f not in folders))
    return Belongings(source, chosen, folders, _visible(git, chosen, folders), missing)


def _main_checkout(fleet: Fleet) -> Path | None:
    """The main checkout; of a bare repository, the worktree that has the target, if there is one."""
    if not fleet.repository.bare:
        return fleet.repository.home
    having = [worktree.path for worktree in fleet.repository.worktrees() if worktree.branch == fleet.target]
    return having[0] if having and having[0].is_dir() else None


def _untracked(git: Git, *patterns: str) -> list[str]:
    """Files that are not tracked, ignored or not. A name with a final slash is a repository of its own."""
    matches = git.run("ls-files", "-z", "--others", "--", *patterns).fields
    return [name for name in matches if not name.endswith("/")]


def _included(git: Git, source: Path) -> list[str]:
    """Return what .worktreeinclude names, in .gitignore syntax, as the Claude Code client reads it."""
    listed = source / INCLUDE_FILE
    if not listed.is_file():
        return []
    matches = git.run("ls-files", "-z", "--others", "--ignored", f"--exclude-from={listed}").fields
    return [name for name in matches if not name.endswith("/")]


def _below(name: str, folders: Sequence[str]) -> bool:
    return any(PurePosixPath(name).is_relative_to(folder) for folder in folders)


def _visible(git: Git, files: Sequence[str], folders: Sequence[str]) -> tuple[str, ...]:
    """Those that no ignore rule covers: ``git add --all`` would commit them in a worktree."""
    names = [*files, *folders]
    if not names:
        return ()
    literal = [f":(top,literal){name}" for name in names]
    shown = git.run("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--", *literal).fields
    return tuple(name for name in names if any(_covers(path, name) for path in shown))


def _covers(shown: str, name: str) -> bool:
    return PurePosixPath(name).is_relative_to(shown) or PurePosixPath(shown).is_relative_to(name)


# -- bringing ------------------------------------------------------------------------------------------------------


def remember_copies(folder: Path, worktree: Path, names: Iterable[str]) -> None:
    """Note in an agent's folder what was copied into ``worktree``, so that clean can tell what has changed since."""
    sums = {name: _checksum(worktree / name) for name in names if _is_regular(worktree / name)}
    write_atomically(folder / COPIES, json.dumps(sums, indent=1) + "\n")


def is_as_copied(folder: Path, name: str, file: Path) -> bool:
    """Return whether a file is still as spawn or set-up created it."""
    try:
        return bool(json.loads((folder / COPIES).read_text("utf-8"))[name] == _checksum(file))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_regular(file: Path) -> bool:
    try:
        return S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _checksum(file: Path) -> str:
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # no link, no waiting on a pipe
    with open(handle, "rb") as content:  # noqa: PTH123
        if not S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        return hashlib.file_digest(content, "sha256").hexdigest()


def copy_file(step: CopyFile, folder: Path) -> bool:
    """Copy into ``folder``, the worktree or the place where it is being made; False where something is there."""
    target = folder / step.name
    if os.path.lexists(target) or not step.source.is_file() or not stays_inside(target, folder):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(
        folder
    ) as temporary:  # a new folder: at any name of its own a branch may hold a link that leads out
        copy = temporary / "file"
        shutil.copy2(step.source, copy)
        copy.replace(target)
    return True


def share_folder(step: ShareFolder) -> bool:
    """Bring a folder along, whole or not at all; False where something is there. Raises DiskFull or GroundError."""
    target = step.worktree / step.name
    if os.path.lexists(target) or not stays_inside(target, step.worktree):
        return False
    try:
        with written_aside(step.worktree) as temporary:
            copy = shutil.copytree(step.source, temporary / "folder", symlinks=True, copy_function=_clone_or_copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.rename(target)
    except shutil.Error as error:  # an OSError without a number: what copytree collected, (source, target, why)
        raise as_ground_error(OSError(*_first_error(error)), target) from error
    except OSError as error:
        raise as_ground_error(error, target) from error
    return True


def _first_error(error: shutil.Error) -> tuple[int, str, str]:
    source, _, why = error.args[0][0]
    full = (number for number in (errno.ENOSPC, errno.EDQUOT) if os.strerror(number) in why)
    return next(full, errno.EIO), why, source


def _clone_or_copy(source: str, target: str) -> str:
    """A file that shares its blocks with its original until one is written (FICLONE), else a copy; no pipes."""
    if not S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - a name, as copytree gives it
        return target
    with open(source, "rb") as original, open(target, "wb") as copy:  # noqa: PTH123
        cloned = _clone(original.fileno(), copy.fileno())
    if cloned:
        shutil.copystat(source, target)
        return target
    return shutil.copy2(source, target)


def _clone(source: int, target: int) -> bool:
    try:
        from fcntl import ioctl

        ioctl(target, _FICLONE, source)
    except ImportError:
        return False
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True
