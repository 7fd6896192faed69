"""Worktrees made so that each appears as a whole, or not at all.

A worktree is registered and filled in ``<parent>/.orchestra-new/<name>`` and renamed to its place: the rename is the
one moment at which it appears. What a killed run left there was never in use; the next run removes it.

Registration is serial: parallel ``git worktree add`` races on git's own files. Every worktree is
locked with a reason that names its purpose, so that no prune takes it.

Invariant: the caller holds the orchestra lock. Refuses: a path that exists, a path registered for something else.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import GroundError, as_ground_error
from orchestra.files import sync_folder
from orchestra.git import worktree_admin
from orchestra.git.fast_checkout import EmptyWorktree, check_out_all
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.git.worktree_admin import staged

_ABSOLUTE = {"worktree.useRelativePaths": "false"}  # a link counted from the temporary folder would be wrong after it


@dataclass(frozen=True, slots=True)
class Place:
    """A worktree to make at ``path`` (absolute, absent), holding ``commit``.

    ``branch`` is an existing short branch at that commit, None for a detached HEAD; ``reason`` is why it is locked.
    """

    path: Path
    commit: CommitId
    branch: str | None
    reason: str


def _nothing(*_: object) -> None:
    return None


def add_empty(repository: Repository, place: Place) -> None:
    """Register a worktree that has no files and no index yet: the caller fills it. Errors as of ``add_all``.

    Only this needs the lock; a checkout takes long, and the places of several may be filled at once.
    """
    try:
        _clear_leftovers(repository, [place])
        empty = _register(repository, place)
        # Git copies these from the main checkout. A slot holds the whole candidate, also where that checkout is sparse.
        (empty.admin / "config.worktree").unlink(missing_ok=True)
        (empty.admin / "info" / "sparse-checkout").unlink(missing_ok=True)
        _appear(empty, place)
    except OSError as error:
        raise as_ground_error(error, place.path) from error
    finally:
        worktree_admin.remove_if_empty(staged(place.path).parent)


def add_all(
    repository: Repository,
    places: Sequence[Place],
    *,
    registered: Callable[[Mapping[Path, str]], None] = _nothing,
    furnish: Callable[[Place, Path], None] = _nothing,
    placed: Callable[[Place], None] = _nothing,
) -> None:
    """Make worktrees, each of which appears whole at its path.

    ``registered`` is called once, before any appears, with the name that git gave each (``<common>/worktrees/<name>``).
    ``furnish`` puts more files into the temporary folder; ``placed`` is called when a worktree has appeared. Raises
    DiskFull, GitError or GroundError; then what has appeared stays and the rest is taken back.
    """
    waiting: dict[EmptyWorktree, Place] = {}
    try:
        _clear_leftovers(repository, places)
        for place in places:
            waiting[_register(repository, place)] = place
        for empty in waiting:  # git syncs neither HEAD nor the reason of the lock, by which a worktree is known
            sync_folder(empty.admin)
        registered({place.path: empty.admin.name for empty, place in waiting.items()})
        with contextlib.closing(check_out_all(list(waiting))) as whole:
            for empty in whole:
                furnish(waiting[empty], empty.folder)
                _appear(empty, waiting[empty])
                placed(waiting.pop(empty))
    except OSError as error:
        raise as_ground_error(error, places[0].path) from error
    finally:
        for empty, place in waiting.items():
            with contextlib.suppress(OSError, GroundError):  # the next run clears it; the first error is the news
                _take_back(repository, empty.admin, staged(place.path))
        for folder in {staged(place.path).parent for place in places}:
            worktree_admin.remove_if_empty(folder)


def _register(repository: Repository, place: Place) -> EmptyWorktree:
    folder = staged(place.path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    target = [str(folder), place.branch] if place.branch else ["--detach", str(folder), place.commit]
    options = ("--quiet", "--no-checkout", "--lock", "--reason", place.reason)
    repository.git.with_config(_ABSOLUTE).run("worktree", "add", *options, *target)
    return EmptyWorktree(folder, worktree_admin.admin_of(folder), place.commit)


def _appear(empty: EmptyWorktree, place: Place) -> None:
    place.path.parent.mkdir(parents=True, exist_ok=True)
    worktree_admin.point(empty.admin, place.path)
    empty.folder.rename(place.path)


def _clear_leftovers(repository: Repository, places: Sequence[Place]) -> None:
    """Take back what a killed run left for these places: it was never seen at its path, so it holds no work."""
    admins = worktree_admin.admins(repository)
    for place in places:
        folder = staged(place.path)
        for path in (folder, place.path):
            admin = admins.get(path.parent.resolve() / path.name)
            if admin is not None and (path == folder or not worktree_admin.is_linked(path, admin)):
                _refuse_foreign(place, worktree_admin.lock_reason(admin))
                _take_back(repository, admin, folder)
        if not worktree_admin.belongs_to(folder, repository):
            raise GroundError(
                f"{folder} is being made by another repository that shares {place.path.parent}",
                hint="wait for its spawn to end, or set worktrees.root to another folder",
            )
        worktree_admin.delete(folder)
    worktree_admin.forget_half_registered(repository, {place.reason for place in places})


def _refuse_foreign(place: Place, reason: str | None) -> None:
    """None: unlocked by a taking back that was killed."""
    if reason not in (None, place.reason):
        path = shlex.quote(str(place.path))
        hint = (
            "if its disk is not mounted, mount it; if the folder is gone for good and its staged changes are not "
            f"needed: git worktree unlock {path} && git worktree remove {path}"
        )
        raise GroundError(
            f"git has a worktree registered at {place.path}, whose folder is missing: {reason or 'locked'}", hint=hint
        )


def _take_back(repository: Repository, admin: Path, folder: Path) -> None:
    """Have git forget a registration and delete ``folder``, where its unused files are."""
    worktree_admin.delete(folder)
    worktree_admin.forget(repository, admin, folder)
