"""Record what a set-up made in a gate slot, and find what a job changed there afterwards.

The manifest has a row for each untracked file and folder: kind and mode, size, times, inode. A job cannot write a file,
replace it or change its mode without a new time of change (ctime), which no program can set. A hard link made elsewhere
sets that time, too (pnpm and uv link files from a store), so a file with several links also has a digest.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestra.blueprint.scope import Matcher
from orchestra.files import open_regular

Row = tuple[int, int, int, int, int, str]
"""Mode, size, time of modification, time of change, inode, digest; of a folder only the mode."""

_CLOCK_TICK_NS = 20_000_000  # file systems take times from a clock that ticks every 10 ms or more often
_LONGEST_PATH = 3000  # bytes; the system opens 4095, with the slot's own path


def record_files(root: Path, names: Iterable[str], keep: Matcher | None) -> dict[str, Row]:
    """Return path -> row of everything at and below ``names``, but for what ``keep`` matches.

    Returns once the clock of the file system has moved on, so that every later change has a later time.
    """
    rows: dict[str, Row] = {}
    pending = [name.removesuffix("/") for name in names]
    while pending:
        path = pending.pop()
        if keep is None or not keep.matches(path):
            with suppress(FileNotFoundError):
                status = os.lstat(f"{root}/{path}")
                rows[path] = _row(f"{root}/{path}", status)
                pending.extend(_children(root, path) if stat.S_ISDIR(status.st_mode) else ())
    age_ns = time.time_ns() - max((row[3] for row in rows.values()), default=0)
    if 0 <= age_ns < _CLOCK_TICK_NS:
        time.sleep((_CLOCK_TICK_NS - age_ns) / 1e9)
    return rows


def reset_files(root: Path, names: Iterable[str], recorded: Mapping[str, Row], keep: Matcher | None) -> list[str]:
    """Delete what is at and below ``names`` and neither recorded nor kept; return what is recorded and changed or gone.

    What ``keep`` matches stays as it is, with the folders that hold it.
    """
    changed: list[str] = []
    new_folders: list[Path] = []
    unseen = set(recorded)
    pending = [name.removesuffix("/") for name in names]
    while pending:
        path = pending.pop()
        if keep is not None and keep.matches(path):
            continue
        place = f"{root}/{path}"
        status = os.lstat(place)
        is_folder = stat.S_ISDIR(status.st_mode)
        row = recorded.get(path)
        try:
            if row is None and (not is_folder or keep is None or len(os.fsencode(path)) > _LONGEST_PATH):
                delete_tree(Path(place))
                continue
            if row is None:
                _make_accessible(Path(place))
                new_folders.append(Path(place))
            else:
                unseen.discard(path)
                if not _is_same(row, place, status):
                    changed.append(path)
                    continue
            pending.extend(_children(root, path) if is_folder else ())
        except PermissionError:  # a job wrote into a folder that the set-up made read-only
            changed.append(path)
    for folder in reversed(new_folders):  # the deepest first; one that is not empty holds something to keep
        with suppress(OSError):
            folder.rmdir()
    return sorted({*changed, *unseen})


def _children(root: Path, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in os.listdir(f"{root}/{folder}")]  # noqa: PTH208


def _row(place: str, status: os.stat_result) -> Row:
    if stat.S_ISDIR(status.st_mode):  # its times change with its entries, which have rows of their own
        return (status.st_mode, 0, 0, 0, 0, "")
    digest = _digest(place) if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 else ""
    return (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, digest)


def _is_same(row: Row, place: str, status: os.stat_result) -> bool:
    mode, size, modified_ns, changed_ns, inode, digest = row
    if stat.S_ISDIR(mode) or mode != status.st_mode:
        return mode == status.st_mode
    if (size, modified_ns, inode) != (status.st_size, status.st_mtime_ns, status.st_ino):
        return False
    return changed_ns == status.st_ctime_ns or (digest != "" and digest == _digest(place))


def _digest(place: str) -> str:
    try:
        with open_regular(place) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError:
        return ""


def delete_tree(top: Path) -> None:
    """Delete what a job left, also where it took away our permission, and however deep its folders are.

    The folders inside a folder are moved to the top and emptied there, so that no path becomes longer than the system
    opens.
    """
    if not stat.S_ISDIR(top.lstat().st_mode):
        top.unlink()
        return
    prefix, pending, moved = secrets.token_hex(8), [top], 0
    while pending:
        folder = pending.pop()
        _make_accessible(folder)
        for entry in list(folder.iterdir()):
            if not stat.S_ISDIR(entry.lstat().st_mode):
                entry.unlink()
                continue
            if folder != top:
                _make_accessible(entry)  # moving a folder writes to it
                moved += 1
                entry = entry.rename(top / f"{prefix}-{moved}")  # noqa: PLW2901
            pending.append(entry)
        if folder != top:
            folder.rmdir()
    top.rmdir()


def _make_accessible(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        folder.chmod(0o700)
