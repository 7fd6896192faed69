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
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from orchestra.blueprint.catalog import shipped_blueprints
from orchestra.errors import NO_SPACE, as_ground_error
from orchestra.files import LONGEST_RECORD, read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.git.git_process import Git
from orchestra.git.unsaved_work import find_unsaved
from orchestra.workspace.paths import stays_inside, written_aside

INCLUDE_FILE = ".worktreeinclude"
COPIES = "copied.json"
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
_FOLDER = "folder"  # in the place of a checksum
_MANY = 50  # files: more than that in a folder that set-up created are hidden with the folder
_FICLONE = 0x40049409  # linux/fs.h; no other system has it


@dataclass(frozen=True, slots=True)
class Belongings:
    """What to bring along from ``source``: files and folders, relative to it; ``visible`` of them git would show."""

    source: Path
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # entries of a person's setup.copy and setup.share that match nothing
    virtual_environments: tuple[str, ...] = ()  # of setup.share: not copied, since their files name their folder


def find_belongings(fleet: Fleet) -> Belongings | None:
    """Find what ``setup.copy``, ``.worktreeinclude`` and ``setup.share`` name; None where no checkout has them.

    They are in the main checkout; of a bare repository, in the worktree that has the target, if there is one.
    """
    source: Path | None = fleet.repository.home
    if fleet.repository.bare:
        worktrees = fleet.repository.worktrees()
        source = next((worktree.path for worktree in worktrees if worktree.branch == fleet.target), None)
    if source is None or not source.is_dir():
        return None
    git, setup = Git(source), fleet.blueprint.worktrees.setup
    by_pattern = {pattern: _untracked(git, "--", f":(top,glob){pattern}") for pattern in setup.copy}
    names = {name for matches in by_pattern.values() for name in matches}
    if (source / INCLUDE_FILE).is_file():  # in .gitignore syntax, as the Claude Code client reads it
        names.update(_untracked(git, "--ignored", f"--exclude-from={source / INCLUDE_FILE}"))
    shared = tuple(name for name in setup.share if (source / name).is_dir())
    virtual = tuple(name for name in shared if (source / name / "pyvenv.cfg").is_file())
    folders = tuple(name for name in shared if name not in virtual)
    below = [PurePosixPath(folder) for folder in folders]
    files = tuple(
        name
        for name in sorted(names)
        if (source / name).is_file() and not any(PurePosixPath(name).is_relative_to(folder) for folder in below)
    )
    unmatched = (*(p for p, matches in by_pattern.items() if not matches), *(f for f in setup.share if f not in shared))
    missing = tuple(name for name in unmatched if not _is_shipped(fleet, name))
    return Belongings(source, files, folders, _visible(git, [*files, *folders]), missing, virtual)


def _is_shipped(fleet: Fleet, entry: str) -> bool:
    """Return True for an entry of a shipped blueprint: those name what a repository may have, such as ``.env``."""
    setup, origins = fleet.blueprint.worktrees.setup, fleet.blueprint.origins
    keys = [("copy", number) for number, name in enumerate(setup.copy) if name == entry]
    keys += [("share", number) for number, name in enumerate(setup.share) if name == entry]
    places = [origins.get(("worktrees", "setup", *key)) for key in keys]
    return all(place is not None and place.file.is_relative_to(shipped_blueprints()) for place in places)


def _untracked(git: Git, *options: str) -> list[str]:
    """Return files that are not tracked, ignored or not. A name with a final slash is a repository of its own."""
    return [name for name in git.run("ls-files", "-z", "--others", *options).fields if not name.endswith("/")]


def _visible(git: Git, names: Sequence[str]) -> tuple[str, ...]:
    """Return those that no ignore rule covers: ``git add --all`` would commit them in a worktree."""
    if not names:
        return ()
    literal = [f":(top,literal){name}" for name in names]
    listed = git.run("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--", *literal).fields
    shown = [PurePosixPath(path) for path in listed]
    return tuple(
        name
        for name in names
        if any(PurePosixPath(name).is_relative_to(path) or path.is_relative_to(name) for path in shown)
    )


# -- bringing ------------------------------------------------------------------------------------------------------


def untracked_since(worktree: Path, known: Collection[str]) -> list[str]:
    """Return what is untracked in a worktree and not in ``known``: files, and folders of many files with a final slash.

    A folder of a few files is listed by its files, so that an agent's own file next to them is not hidden.
    """
    files = [name for name in find_unsaved(worktree).untracked if name not in known]
    folders = (
        Git(worktree).run("ls-files", "-z", "--others", "--exclude-standard", "--directory").fields if files else ()
    )
    names = []
    for folder in folders:
        below = [name for name in files if name.startswith(folder)]
        is_whole = folder.endswith("/") and not any(name.startswith(folder) for name in known)
        names += [folder] if is_whole and len(below) > _MANY else below
    return names


def remember_copies(folder: Path, worktree: Path, names: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Note in an agent's folder what was copied into ``worktree``, so that clean can tell what has changed since."""
    sums = _read_sums(folder) | dict.fromkeys(folders, _FOLDER)
    for name in names:
        with suppress(OSError):  # gone, or no regular file
            sums[name] = _checksum(worktree / name)
    write_atomically(folder / COPIES, json.dumps(sums, indent=1, sort_keys=True) + "\n")


def is_as_copied(folder: Path, name: str, file: Path) -> bool:
    """Return whether a file is still as spawn or set-up created it."""
    try:
        return _read_sums(folder).get(name) == _checksum(file)
    except OSError:
        return False


def copied_folders(folder: Path) -> set[str]:
    """Return the folders that set-up made, each with a final slash."""
    return {name for name, checksum in _read_sums(folder).items() if checksum == _FOLDER}


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        rows = json.loads(read_regular(folder / COPIES, most=LONGEST_RECORD) or b"null")
        return {str(name): str(checksum) for name, checksum in rows.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _checksum(file: Path) -> str:
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # no link, no waiting on a pipe
    with open(handle, "rb") as content:  # noqa: PTH123
        if not S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        return hashlib.file_digest(content, "sha256").hexdigest()


def copy_file(source: Path, name: str, folder: Path) -> bool:
    """Copy ``source``/``name`` into ``folder``, a worktree in place or in the making; False where something exists."""
    target = folder / name
    if os.path.lexists(target) or not (source / name).is_file() or not stays_inside(target, folder):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # In a new folder: at any name of its own a branch may hold a link that leads out.
    with written_aside(folder) as temporary:
        copy = temporary / "file"
        shutil.copy2(source / name, copy)
        copy.replace(target)
    return True


def share_folder(source: Path, name: str, worktree: Path) -> bool:
    """Copy the folder ``source``/``name``, whole or not at all, sharing its blocks where the file system can.

    False where something exists in its place. Raises DiskFull or GroundError.
    """
    target = worktree / name
    if os.path.lexists(target) or not stays_inside(target, worktree):
        return False
    try:
        with written_aside(worktree) as temporary:
            copy = shutil.copytree(source / name, temporary / "folder", symlinks=True, copy_function=_clone_or_copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.rename(target)
    except shutil.Error as error:  # an OSError without a number: what copytree collected, (source, target, why)
        place, _, why = error.args[0][0]
        number = next((code for code in NO_SPACE if os.strerror(code) in why), errno.EIO)
        raise as_ground_error(OSError(number, why, place), target) from error
    except OSError as error:
        raise as_ground_error(error, target) from error
    return True


def _clone_or_copy(source: str, target: str) -> str:
    """A file that shares its blocks with its original until one is written (FICLONE), else a copy; no pipes."""
    if not S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - a name, as copytree gives it
        return target
    try:
        from fcntl import ioctl

        with open(source, "rb") as original, open(target, "wb") as copy:  # noqa: PTH123
            ioctl(copy.fileno(), _FICLONE, original.fileno())
        shutil.copystat(source, target)
        return target
    except ImportError:
        pass
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
    return shutil.copy2(source, target)
