"""Removal of worktrees: each as a whole, and only when it holds no unsaved work.

A worktree is checked, renamed to ``<parent>/.orchestra-old/<name>``, checked again there, where other programs do not
find it by name, and only then unregistered and deleted; one with submodules is checked twice in its place. The removal
happens when git unregisters it: a run killed before that puts it back, one killed later finishes the deletion.

Invariant: the caller holds the orchestra lock; no git check is overridden, git unregisters a worktree whose folder has
been moved. ``NotRemovable``: work that no ref holds, a process at work inside, a lock with another reason.
"""

from __future__ import annotations

import filecmp
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import sync_filesystem
from orchestra.git import worktree_admin
from orchestra.git.folder_users import occupants
from orchestra.git.git_process import Git
from orchestra.git.repository import Repository
from orchestra.git.unsaved_work import Snapshot, find_unsaved, refuse_unpushed, take_snapshot
from orchestra.git.worktree_admin import retired
from orchestra.text import format_list

_LONGEST_PATH = 4096  # PATH_MAX, with its final NUL
_SHOWN = 3


class NotRemovable(GroundError):  # noqa: N818 - says what it is
    """A worktree that stays, and why."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Result of a removal: ``kept_files``, ignored files at their new place; ``deleted_folders``, ignored folders."""

    kept_files: tuple[Path, ...] = ()
    deleted_folders: tuple[str, ...] = ()


def remove(
    repository: Repository,
    path: Path,
    *,
    reason: str,
    keep: Path,
    saved: Snapshot | None = None,
    disposable: Callable[[str, Path], bool] = lambda _name, _file: False,
) -> Removed:
    """Remove the worktree at ``path``; a no-op when it is gone already.

    ``reason`` is the one it was locked with. ``saved`` is the snapshot that a ref holds, if its work was saved: any
    other work refuses. Ignored files for which ``disposable(name, file)`` is not true are kept in the folder
    ``keep``; ignored folders (node_modules, build) go. Raises NotRemovable, and the worktree is as it was.
    """
    settle(repository, path)
    admin = worktree_admin.admins(repository).get(path.parent.resolve() / path.name)
    if admin is None:
        if path.exists():
            raise NotRemovable(f"{path} is no worktree of {repository.home}")
        return Removed()
    if not os.path.lexists(path):  # deleted by a person; the caller has saved what git still had of it
        worktree_admin.forget(repository, admin, path)
        return Removed()
    _check(path, admin, reason, saved)
    # Submodules find their git folders by relative paths, which hold at this place only.
    stays = (admin / "modules").is_dir()
    if stays:
        removed = _set_apart(path, keep, disposable)
        _check(path, admin, reason, saved)
    if os.path.lexists(retired(path)):
        raise NotRemovable(f"{retired(path)} belongs to another repository, whose removal of it was interrupted")
    retired(path).parent.mkdir(exist_ok=True)
    path.rename(retired(path))
    try:
        if not stays:
            _check(retired(path), admin, reason, saved)
            removed = _set_apart(retired(path), keep, disposable)
    except BaseException:
        _put_back(path, admin)
        raise
    sync_filesystem(repository.common_dir)  # the saved work, and the files that are kept
    if removed.kept_files:
        sync_filesystem(keep)
    worktree_admin.forget(repository, admin, path)
    _finish(path)
    return removed


def settle(repository: Repository, path: Path) -> None:
    """Bring a removal that was killed to its end, or back to its start."""
    if not retired(path).exists():
        worktree_admin.remove_if_empty(retired(path).parent)
        return
    if not worktree_admin.belongs_to(retired(path), repository):
        return  # another repository that shares the folder of worktrees set it apart
    registered = worktree_admin.admins(repository)
    place = path.parent.resolve()
    admin = registered.get(place / path.name) or registered.get(retired(place / path.name))
    if admin is None or not worktree_admin.is_linked(retired(path), admin):
        _finish(path)  # unregistered, which happened only after all work in it was saved
    elif os.path.lexists(path):
        retired_path = retired(path)
        raise NotRemovable(
            f"the removal of {path} was interrupted; it is in {retired_path}, and something else in its place"
        )
    else:
        _put_back(path, admin)


def _put_back(path: Path, admin: Path) -> None:
    retired(path).rename(path)
    worktree_admin.point(admin, path)
    worktree_admin.remove_if_empty(retired(path).parent)


def _finish(path: Path) -> None:
    try:
        worktree_admin.delete(retired(path))
    except OSError as error:
        hint = f"its work is saved, so: sudo rm -r {shlex.quote(str(retired(path)))}"
        raise NotRemovable(
            f"{path} is removed, but {error.filename} cannot be deleted: {error.strerror}", hint=hint
        ) from error
    worktree_admin.remove_if_empty(retired(path).parent)


def locked_by_another(folder: Path, reason: str | None) -> NotRemovable:
    """Return the error for a worktree that another program, or a person, has locked."""
    hint = f"if nothing uses it: git worktree unlock {shlex.quote(str(folder))}"
    return NotRemovable(f"{folder} is locked: {reason or 'no reason given'}", hint=hint)


def inspect(folder: Path, admin: Path, reason: str) -> Snapshot:
    """Return a worktree's work, once nothing but that work prevents its removal.

    Raises NotRemovable or another GroundError: locked by another program, in use, unreadable, not ours to delete, or
    with work that no commit can hold.
    """
    lock = worktree_admin.lock_reason(admin)
    if lock not in (None, reason):
        raise locked_by_another(folder, lock)
    if not worktree_admin.is_linked(folder, admin):
        raise NotRemovable(f"{folder} is not the worktree that git has registered there")
    if inside := occupants(folder):
        raise NotRemovable(f"{folder} is in use by {inside[0]}", hint="stop it, or leave that folder")
    for inner in _look_everywhere(folder):
        _refuse_data_elsewhere(inner, folder, admin)
        refuse_unpushed(inner)
    return take_snapshot(folder)


def _check(folder: Path, admin: Path, reason: str, saved: Snapshot | None) -> None:
    snapshot = inspect(folder, admin, reason)
    if not snapshot.saved and snapshot != saved:
        raise NotRemovable(f"{folder} holds work that is not saved{_sample(folder)}", hint="commit it there")


def _look_everywhere(folder: Path) -> list[Path]:
    """Return the repositories inside ``folder``, also in ignored folders, which git does not look into.

    NotRemovable for a folder that cannot be read, a path that is too long for git, and files of another user that
    cannot be deleted: what cannot be looked at counts as work.
    """
    repositories: list[Path] = []
    unreadable: list[str] = []
    foreign: list[str] = []

    def note(error: OSError) -> None:
        unreadable.append(str(error.filename))

    for parent, folders, files in os.walk(folder, onerror=note):
        room = _LONGEST_PATH - len(os.fsencode(parent)) - 1
        unreadable += [f"{parent}/{name}" for name in (*folders, *files) if len(os.fsencode(name)) >= room]
        is_deletable = os.access(parent, os.W_OK | os.X_OK) or os.lstat(parent).st_uid == os.geteuid()
        if (folders or files) and not is_deletable:
            foreign.append(parent)
        if parent != str(folder) and (".git" in folders or ".git" in files):
            repositories.append(Path(parent))
            folders[:] = [name for name in folders if name != ".git"]
    if unreadable:
        hint = f"look at it yourself, for instance: sudo ls -la {shlex.quote(str(Path(unreadable[0]).parent))}"
        raise NotRemovable(f"{folder} holds what cannot be read: {format_list(unreadable, most=_SHOWN)}", hint=hint)
    if foreign:
        hint = f'take it over, and run the command again: sudo chown -R "$(id -un)" {shlex.quote(foreign[0])}'
        raise NotRemovable(f"{folder} holds files of another user: {format_list(foreign, most=_SHOWN)}", hint=hint)
    return repositories


def _refuse_data_elsewhere(inner: Path, folder: Path, admin: Path) -> None:
    """Raise NotRemovable for a repository whose git folder is neither in the worktree nor ours. It is not touched."""
    git_folder = Path(os.path.realpath(Git(inner).git_folder()))
    ours = (os.path.realpath(folder), os.path.realpath(admin.parent.parent))
    if git_folder.is_dir() and not any(git_folder.is_relative_to(place) for place in ours):
        raise NotRemovable(
            f"{inner} belongs to a repository in another place, {git_folder}",
            hint=f"save what you need, then: rm {shlex.quote(str(inner / '.git'))}",
        )


def _sample(folder: Path) -> str:
    unsaved = find_unsaved(folder)
    names = [*unsaved.changed, *unsaved.untracked]
    return f": {format_list(names, most=_SHOWN)}" if names else ""


def _set_apart(folder: Path, keep: Path, disposable: Callable[[str, Path], bool]) -> Removed:
    unsaved = find_unsaved(folder)
    names = [name for name in unsaved.ignored if not disposable(name, folder / name)]
    return Removed(tuple(_keep_file(folder / name, keep / name) for name in names), unsaved.ignored_folders)


def _keep_file(file: Path, target: Path) -> Path:
    """Link or copy a file to ``target``; another one that was kept there earlier stays, ours gets a number."""
    free, number = target, 1
    while os.path.lexists(free) and not _is_same(free, file):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    if not os.path.lexists(free):
        free.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(file, free)
    return free


def _is_same(first: Path, second: Path) -> bool:
    if first.is_symlink() or second.is_symlink():
        return first.is_symlink() and second.is_symlink() and first.readlink() == second.readlink()
    return first.is_file() and filecmp.cmp(first, second, shallow=False)


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        draft = target.with_name(f".{target.name}.new")
        shutil.copy2(file, draft, follow_symlinks=False)
        draft.replace(target)
