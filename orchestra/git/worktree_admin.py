"""The admin folders of linked worktrees: ``<common dir>/worktrees/<name>``, as gitrepository-layout(5) documents it.

Invariant: of these folders only ``gitdir``, the note of where the worktree is, is ever written, and whole folders are
removed by git itself; the one exception is a folder that a killed ``git worktree add`` left before git could
see it. The callers, ``worktrees`` and ``worktree_removal``, do the checking and hold the orchestra lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from orchestra.files import read_regular
from orchestra.git.repository import Repository, Worktree

NEW, OLD = ".orchestra-new", ".orchestra-old"


def staged(path: Path) -> Path:
    """Return the path of a worktree while it is being made."""
    return path.parent / NEW / path.name


def retired(path: Path) -> Path:
    """Return the path of a worktree while it is being removed."""
    return path.parent / OLD / path.name


def entry(repository: Repository, path: Path) -> Worktree | None:
    """Return the worktree registered at ``path``, whether or not the folder exists; None where there is none."""
    real = os.path.realpath(path)
    return next((worktree for worktree in repository.worktrees() if os.path.realpath(worktree.path) == real), None)


def admin_of(worktree: Path) -> Path:
    """The admin folder of a linked worktree, as its ``.git`` file says. Raises OSError where there is no such file."""
    link = read_regular(worktree / ".git")  # an agent may have put a pipe or a device there
    if link is None or b"\0" in link:
        raise OSError(errno.EINVAL, "not the link of a worktree", str(worktree / ".git"))
    return Path(os.path.normpath(worktree / os.fsdecode(link).removeprefix("gitdir: ").removesuffix("\n")))


def admins(repository: Repository) -> dict[Path, Path]:
    """Return the registered path of each linked worktree, symlinks resolved -> its admin folder."""
    by_path: dict[Path, Path] = {}
    for admin in sorted((repository.common_dir / "worktrees").glob("*")):
        with contextlib.suppress(OSError):
            text = _require_text(admin / "gitdir").removesuffix("\n")
            by_path[Path(os.path.realpath(admin / text)).parent] = admin
    return by_path


def place_of(common_dir: Path, reason: str, branch: str, *, likely: str) -> Path | None:
    """Return where the worktree that is locked with ``reason`` is registered; None where there is none.

    One that a person unlocked is recognised by its branch. ``likely`` is the admin folder's probable name.
    """
    admins = common_dir / "worktrees"
    if lock_reason(admins / likely) == reason:
        return _registered_path(admins / likely)
    for admin in sorted(admins.glob("*")):
        lock = lock_reason(admin)
        if lock == reason or (lock is None and head_of(admin) == f"ref: refs/heads/{branch}"):
            return _registered_path(admin)
    return None


def checkout_of(common_dir: Path, branch: str, main: Path | None) -> Path | None:
    """Return where ``branch`` is checked out, also in worktrees that orchestra did not make; None where it is nowhere.

    ``main`` is the main checkout, if there is one.
    """
    head = f"ref: refs/heads/{branch}"
    if main is not None and head_of(common_dir) == head:
        return main
    for admin in sorted((common_dir / "worktrees").glob("*")):
        if head_of(admin) == head and (path := _registered_path(admin)) is not None:
            return path
    return None


def reason_at(common_dir: Path, path: Path) -> str | None:
    """Return the reason with which the worktree registered at ``path`` is locked; None where there is none."""
    for admin in (common_dir / "worktrees").glob("*"):
        reason = lock_reason(admin)
        if reason is not None and _registered_path(admin) == path:
            return reason
    return None


def _registered_path(admin: Path) -> Path | None:
    """Return the place of a worktree, also while it is being made or removed and is in a folder next to it."""
    try:
        text = _require_text(admin / "gitdir").removesuffix("\n")
    except OSError:
        return None
    path = Path(os.path.normpath(admin / text)).parent
    return path.parent.parent / path.name if path.parent.name in (NEW, OLD) else path


def head_of(admin: Path) -> str | None:
    """Return the content of HEAD: ``ref: refs/heads/NAME`` or a commit id; None where it cannot be read."""
    try:
        return _require_text(admin / "HEAD").strip()
    except OSError:
        return None


def is_linked(worktree: Path, admin: Path) -> bool:
    """Return True where the folder ``worktree`` exists and names ``admin`` as its admin folder."""
    try:
        return os.path.realpath(admin_of(worktree)) == os.path.realpath(admin)
    except OSError:
        return False


def lock_reason(admin: Path) -> str | None:
    """Return the reason for which the worktree is locked; None when it is not."""
    try:
        return _require_text(admin / "locked").strip()
    except OSError:
        return None


def _require_text(file: Path) -> str:
    """Return the text of a small file of git's. Raises OSError for anything but a text in a file; never waits."""
    content = read_regular(file)
    if content is None or b"\0" in content:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    return content.decode("utf-8", "surrogateescape")


def point(admin: Path, worktree: Path) -> None:
    """Register ``admin`` at another path."""
    draft = admin / "gitdir.orchestra"
    draft.write_text(f"{worktree}/.git\n", "utf-8", "surrogateescape")
    draft.replace(admin / "gitdir")


def forget(repository: Repository, admin: Path, missing: Path) -> None:
    """Have git remove a registration whose folder ``missing`` does not exist, so that it has nothing to delete."""
    if not admin.exists():
        return
    point(admin, missing)
    if lock_reason(admin) is not None:
        repository.git.run("worktree", "unlock", str(missing))
    repository.git.run("worktree", "remove", str(missing))


def forget_half_registered(repository: Repository, reasons: set[str]) -> None:
    """Remove what a ``git worktree add`` left before it wrote where the worktree is: git cannot see these.

    The first thing that git writes into a new folder is the lock, with our reason. After a power cut all files may be
    empty: then nothing says what the folder was for, and nothing is in it.
    """
    for folder in (repository.common_dir / "worktrees").glob("*"):
        is_emptied = _is_empty_file(folder / "gitdir") and _is_empty_file(folder / "HEAD")
        is_killed = not (folder / "gitdir").exists() and lock_reason(folder) in reasons
        if is_killed or (is_emptied and not (folder / "index").exists()):
            shutil.rmtree(folder)


def without_commit(common_dir: Path) -> list[Path]:
    """Return the admin folders whose HEAD is all zeros, as ``git worktree add`` writes it before the branch."""
    folders = sorted((common_dir / "worktrees").glob("*"))
    return [folder for folder in folders if (head := head_of(folder)) and not head.strip("0")]


def _is_empty_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and path.lstat().st_size == 0
    except OSError:
        return False


def delete(folder: Path) -> None:
    """Delete a worktree that only orchestra uses, ``.git`` last, which says whose it is.

    A git that outlived its killed parent may still write there.
    """
    for attempt in range(_ATTEMPTS):
        try:
            for inside in [path for path in _entries(folder) if path.name != ".git"]:
                if inside.is_dir() and not inside.is_symlink():
                    shutil.rmtree(inside, onerror=_make_writable)
                else:
                    _unlink(inside)
            shutil.rmtree(folder, onerror=_make_writable)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or attempt == _ATTEMPTS - 1:
                raise


_ATTEMPTS = 5


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except PermissionError:
        folder.chmod(0o700)
        return list(folder.iterdir())


def _unlink(file: Path) -> None:
    try:
        file.unlink()
    except PermissionError:
        file.parent.chmod(0o700)
        file.unlink()


def belongs_to(folder: Path, repository: Repository) -> bool:
    """Return True where ``folder``, set apart or not yet in place, is a worktree of ``repository``, or empty."""
    try:
        is_emptied = _is_empty_file(folder / ".git") and folder.parent.name == NEW  # by a power cut, before it was used
        return is_emptied or admin_of(folder).parent.resolve() == (repository.common_dir / "worktrees").resolve()
    except OSError:
        if not folder.is_dir() or folder.is_symlink():
            return not os.path.lexists(folder)
        return next(folder.iterdir(), None) is None


def _make_writable(act: Callable[..., object], path: str, _: object) -> None:
    """Make read-only folders (a Go module cache consists of them) writable and go on."""
    error = sys.exc_info()[1]
    if error is not None and not isinstance(error, PermissionError):
        raise error
    Path(path).parent.chmod(0o700)
    if act is not os.unlink:
        Path(path).chmod(0o700)
    if act in (os.unlink, os.rmdir):
        act(path)
    else:
        shutil.rmtree(path, onerror=_make_writable)


def remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
