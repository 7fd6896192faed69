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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
LONGEST_READ, LONGEST_RECORD = 1 << 20, 64 << 20  # bytes of an agent's file, and of a record of our own


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666, durable: bool = False) -> None:
    """Replace ``path`` so that a reader, or a kill, sees the old or the new content and nothing between.

    The folders above are created. Only for folders that no agent writes. ``mode`` is subject to the umask.
    ``durable``: when this returns, the content also survives a power cut.
    """
    with _naming(path):
        created = [parent for parent in path.parents if not parent.exists()] if durable else []
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_below(path.parent) as folder:
            _replace(folder, path.name, content, mode, durable=durable)
        for parent in created:
            with _open_below(parent.parent) as folder:
                os.fsync(folder)


def write_below(
    root: Path, relative: str | PurePath, content: str | bytes, *, mode: int = 0o666, only_new: bool = False
) -> bool:
    """Replace the file ``relative`` below ``root``, whose files an agent can change; create missing folders.

    A link at the place itself is replaced, not followed. Raises OSError where a folder on the way is a link or a file.
    With ``only_new``, what exists at the place stays, and the result is False.
    """
    *parents, name = PurePath(relative).parts
    with _naming(root / relative), _open_below(root, parents, create=True) as folder:
        return _replace(folder, name, content, mode, only_new=only_new)


def read_regular(path: Path, *, below: Path | None = None, most: int = LONGEST_READ) -> bytes | None:
    """Return at most ``most`` bytes of a regular file, reached from ``below`` without links; None for anything else."""
    *parents, name = path.relative_to(below).parts if below else [path.name]
    try:
        with _open_below(below or path.parent, parents) as folder, open_regular(name, folder) as file:
            return file.read(most)
    except (OSError, ValueError):
        return None


def open_regular(path: Path | str, folder: int | None = None) -> BinaryIO:
    """Open a regular file, below the open ``folder``. Raises OSError for a link, a pipe or a device; never blocks."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK, dir_fd=folder)
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
    if sys.platform != "linux":
        os.sync()
    elif not os.environ.get("ORCHESTRA_NO_SYNC"):
        with _open_below(path) as handle:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def sync_folder(path: Path) -> None:
    """Make the regular files of a folder and their names survive a power cut, and write nothing else out.

    ORCHESTRA_NO_SYNC skips it, for tests.
    """
    if os.environ.get("ORCHESTRA_NO_SYNC"):
        return
    for file in path.iterdir():
        if stat.S_ISREG(file.lstat().st_mode):
            with open_regular(file) as opened:
                os.fsync(opened.fileno())
    with _open_below(path) as folder:
        os.fsync(folder)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error name the file that cannot be written, not a temporary name without its folder."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def _open_below(root: Path, parents: Sequence[str] = (), *, create: bool = False) -> Iterator[int]:
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


def _replace(
    folder: int, name: str, content: str | bytes, mode: int, *, durable: bool = False, only_new: bool = False
) -> bool:
    """Write the file under a temporary name and move it to ``name``; return False where ``only_new`` forbids that."""
    # Remove the temporary files of killed writers.
    leftover = re.compile(re.escape(f".{name[:200]}.") + r"(\d+)-[0-9a-f]{12}")
    for match in filter(None, map(leftover.fullmatch, os.listdir(folder))):
        try:
            os.kill(int(match[1]), 0)
        except (ProcessLookupError, OverflowError):
            with suppress(OSError):
                os.unlink(match.string, dir_fd=folder)
        except OSError:  # it runs, as another user
            continue
    temporary = f".{name[:200]}.{os.getpid()}-{secrets.token_hex(6)}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, mode, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(handle)
        if only_new:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.unlink(temporary, dir_fd=folder)
        else:
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        if only_new and isinstance(error, FileExistsError):
            return False
        raise
    if durable:
        os.fsync(folder)
    return True
