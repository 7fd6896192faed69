"""Files: atomic and durable writes, ends of logs, and access to folders that an agent can change.

An agent may put a symlink, a pipe, a device or an endless file at any path of its worktree. ``read_regular`` and
``write_below`` follow no link at any level below the folder they are given, and open regular files only.
"""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
LONGEST_READ = 1 << 20


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Replace ``path`` so that a reader, or a kill, sees the old or the new content and nothing between.

    ``mode`` is subject to the umask. The folders above are created. Only for folders that no agent writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_folder(path.parent) as folder:
        _replace(folder, path.name, content, mode, sync=False)


def write_durably(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Write like ``write_atomically``; when this returns, the content also survives a power cut."""
    created = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_folder(path.parent) as folder:
        _replace(folder, path.name, content, mode, sync=True)
    for parent in created:
        sync_folder(parent.parent)


def write_below(root: Path, relative: str | PurePath, content: str | bytes, *, mode: int = 0o666) -> None:
    """Replace the file ``relative`` below ``root``, whose files an agent can change; create missing folders.

    A link at the place itself is replaced, not followed. Raises OSError where a folder on the way is a link.
    """
    *parents, name = PurePath(relative).parts
    with _open_below(root, parents, create=True) as folder:
        _replace(folder, name, content, mode, sync=False)


def create_below(root: Path, relative: str | PurePath, content: str) -> bool:
    """Create the file ``relative`` below ``root``, complete or not at all; return False where something exists there.

    Follows no link. Raises OSError where a folder on the way is a link or a file.
    """
    *parents, name = PurePath(relative).parts
    with _open_below(root, parents, create=True) as folder:
        temporary = _temporary(name)
        _replace(folder, temporary, content, 0o666, sync=False)
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary, dir_fd=folder)
    return True


def read_regular(path: Path, *, below: Path | None = None, most: int = LONGEST_READ) -> bytes | None:
    """Return at most ``most`` bytes of a regular file; None where there is none, or a link, pipe or device.

    With ``below`` the folders between it and ``path`` are not followed through links either.
    """
    *parents, name = path.relative_to(below).parts if below else [path.name]
    try:
        with _open_below(below or path.parent, parents) as folder:
            handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            with open(handle, "rb", closefd=False) as file:
                return file.read(most)
        finally:
            os.close(handle)
    except (OSError, ValueError):
        return None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for a link, a pipe or a device, without blocking."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")


def read_tail(path: Path, most: int = 1 << 16) -> bytes:
    """Return the last ``most`` bytes of a regular file; nothing where it cannot be read."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most)
    except OSError:
        return b""


def sync_filesystem(path: Path) -> None:
    """Make everything written so far to the file system of ``path`` survive a power cut, by whichever process.

    Agents' git does not sync what it writes, so that the objects of a branch may exist in memory only. A few
    milliseconds where little is unwritten (docs/figures.md). ORCHESTRA_NO_SYNC skips it, for tests.
    """
    if os.environ.get("ORCHESTRA_NO_SYNC"):
        return
    if sys.platform != "linux":
        os.sync()
        return
    with _open_folder(path) as handle:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def sync_folder(folder: Path) -> None:
    """Make creations, renames and removals in ``folder`` survive a power cut."""
    with _open_folder(folder) as handle:
        os.fsync(handle)


@contextmanager
def _open_folder(path: str | Path, dir_fd: int | None = None, flags: int = 0) -> Iterator[int]:
    handle = os.open(path, _FOLDER | flags, dir_fd=dir_fd)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _open_below(root: Path, parents: list[str], *, create: bool = False) -> Iterator[int]:
    """Open the folder ``parents`` below ``root`` one level at a time, so that no link on the way is followed."""
    if ".." in parents:
        raise ValueError(f"{'/'.join(parents)} leaves {root}")
    handle = os.open(root, _FOLDER)
    try:
        for name in parents:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            deeper = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = deeper
        yield handle
    finally:
        os.close(handle)


def _temporary(name: str) -> str:
    return f".{name[:200]}.{os.getpid()}-{secrets.token_hex(6)}"


def _remove_leftovers(folder: int, name: str) -> None:
    """Delete the temporary files of ``name`` whose writer was killed."""
    pattern = re.compile(re.escape(f".{name[:200]}.") + r"(\d+)-[0-9a-f]{12}")
    for entry in os.listdir(folder):
        if match := pattern.fullmatch(entry):
            try:
                os.kill(int(match[1]), 0)
            except (ProcessLookupError, OverflowError):
                with suppress(OSError):
                    os.unlink(entry, dir_fd=folder)
            except OSError:  # it runs, as another user
                continue


def _replace(folder: int, name: str, content: str | bytes, mode: int, *, sync: bool) -> None:
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    temporary = _temporary(name)
    _remove_leftovers(folder, name)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, mode, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(handle)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if sync:
        os.fsync(folder)
