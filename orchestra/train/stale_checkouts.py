"""Update the checkouts of the target when it moves; retry later those that could not be updated.

Another git process may take a checkout's ``index.lock`` between our check and the move of the target. The target has
moved then, and the checkout still shows the old commit, as if its removal had been staged. The commit that it shows
is recorded, and each command that changes something tries again first.

A record is deleted when the files match the branch, or when the checkout is on another branch or its folder is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.git.checkout import follow
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository, Worktree
from orchestra.train.landing_journal import stale_checkouts_path


@dataclass(frozen=True, slots=True)
class StaleCheckout:
    """A checkout of ``branch`` whose files and index are those of the commit ``shows``."""

    branch: str
    shows: CommitId


def read_stale_checkouts(state_folder: Path) -> Mapping[str, StaleCheckout]:
    """Return the checkouts that could not be updated, by path. A damaged file counts as empty."""
    try:
        rows: Mapping[str, Mapping[str, str]] = json.loads(stale_checkouts_path(state_folder).read_text("utf-8"))
        return {path: StaleCheckout(str(row["branch"]), CommitId(str(row["shows"]))) for path, row in rows.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def update_checkouts(
    repository: Repository, target: str, old: CommitId, new: CommitId, *, resume: bool = False
) -> Iterable[str]:
    """Update the checkouts of the target from ``old`` to ``new``; yield sentences about those that are left alone.

    A checkout that has moved on since belongs to its user. ``resume``: an earlier call may have been interrupted.
    """
    stale = read_stale_checkouts(repository.state_folder)
    for worktree in repository.worktrees():
        if worktree.branch == target and worktree.head == new and worktree.path.is_dir():
            note = stale.get(str(worktree.path))
            yield from _follow(repository, worktree, note.shows if note else old, new, resume=resume or bool(note))


def update_stale_checkouts(repository: Repository) -> Iterable[str]:
    """Update the checkouts that an earlier landing could not, to where their branch is now."""
    stale = read_stale_checkouts(repository.state_folder)
    if not stale:  # the file is damaged; without this, every command would look again
        stale_checkouts_path(repository.state_folder).unlink(missing_ok=True)
        return
    by_path = {str(worktree.path): worktree for worktree in repository.worktrees()}
    for path, note in stale.items():
        worktree = by_path.get(path)
        head = worktree.head if worktree and worktree.path.is_dir() and worktree.branch == note.branch else None
        # The commit that it shows may be gone after a rewrite and a gc.
        if worktree is None or head is None or not _contains(repository, head, note.shows):
            _record(repository, path, None)
        else:
            remarks = list(_follow(repository, worktree, note.shows, head, resume=True))
            yield from remarks or [f"updated {path} to {head[:10]}"]


def _contains(repository: Repository, head: CommitId, commit: CommitId) -> bool:
    return repository.resolve(commit) is not None and repository.is_ancestor(commit, head)


def _follow(repository: Repository, worktree: Worktree, old: CommitId, new: CommitId, *, resume: bool) -> Iterable[str]:
    path = worktree.path
    try:
        skipped = follow(path, old, new, resume=resume)
    except GroundError as error:
        _record(repository, str(path), StaleCheckout(worktree.branch or "", old))
        fix = f"the next orchestra command tries again; git -C {path} status shows its state"
        yield f"{path} still shows {old[:10]}: {error} ({fix})"
        return
    _record(repository, str(path), None)
    if skipped:
        yield f"{path}: {', '.join(skipped)} have changes of your own and were left as they are"


def _record(repository: Repository, path: str, note: StaleCheckout | None) -> None:
    """Record that the checkout at ``path`` is stale, or with None that it is not."""
    stale = dict(read_stale_checkouts(repository.state_folder))
    if stale.get(path) == note:
        return
    stale.pop(path, None)
    if note is not None:
        stale[path] = note
    file = stale_checkouts_path(repository.state_folder)
    if stale:
        write_atomically(file, json.dumps({name: asdict(row) for name, row in stale.items()}) + "\n")
    else:
        file.unlink(missing_ok=True)
