"""The target branch: checks before a train starts, and its checkouts when it moves. Each error says what to type.

Refused are a target that does not exist or has no commit, one that diverged from its remote, and one with a rebase,
merge, cherry-pick, revert or bisect under way.

Another git process may take a checkout's ``index.lock`` between our check and the move of the target. The target has
moved then, and the checkout still shows the old commit, as if its removal had been staged. The commit that it shows
is recorded, and each command that changes something tries again first. A record is deleted when the files match the
branch, or when the checkout is on another branch or its folder is missing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import FleetSnapshot
from orchestra.git import worktree_admin
from orchestra.git.checkout import follow
from orchestra.git.refs import CommitId
from orchestra.git.remote import fetch
from orchestra.git.repository import Repository, Worktree
from orchestra.train.landing_journal import stale_checkouts_path

# File or folder in a checkout's git folder -> the operation under way, and the commands that end it.
_UNDER_WAY = {
    "rebase-merge": ("a rebase", "git rebase --continue, or git rebase --abort"),
    "rebase-apply": ("a rebase or git am", "git rebase --continue, or git rebase --abort (git am --abort)"),
    "MERGE_HEAD": ("a merge", "git commit, or git merge --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick", "git cherry-pick --continue, or git cherry-pick --abort"),
    "REVERT_HEAD": ("a revert", "git revert --continue, or git revert --abort"),
    "BISECT_LOG": ("a bisect", "git bisect reset"),
}


@dataclass(frozen=True, slots=True)
class TargetPosition:
    """Where a train starts. ``local`` is the target's branch here; ``start`` what candidates are built on.

    They differ where the remote is ahead. ``remote_tip`` is None without a remote, or where it lacks the branch.
    ``checkouts`` are the worktrees that have the target checked out.
    """

    local: CommitId
    start: CommitId
    remote_tip: CommitId | None
    checkouts: tuple[Path, ...]


def check_target(snapshot: FleetSnapshot, *, push: bool = False) -> TargetPosition:
    """Return where a train starts. Fetches from the fleet's remote. Raises GroundError with the fix."""
    fleet, repository, local = snapshot.fleet, snapshot.fleet.repository, snapshot.target_tip
    target, remote = fleet.target, fleet.remote
    if local is None and repository.current_branch() == target:
        raise GroundError(f"{target} has no commit yet", hint="make a first commit: work lands on top of it")
    if local is None:
        fix = f"git branch {target} COMMIT, or name another target"
        raise GroundError(f"there is no branch {target} in {repository.home}", hint=fix)
    checkouts = quiet_checkouts(repository, target, snapshot.worktrees)
    tip = fetch(repository.git, remote, target) if remote is not None else None
    if push and tip is None and snapshot.remote_target_tip is not None:
        raise GroundError(
            f"{remote} has no branch {target} any more, so nothing is pushed: it was renamed or deleted there",
            hint=f"name the new target in the blueprint; to make it there again: git push {remote} {target}",
        )
    if tip is None or tip == local or repository.is_ancestor(tip, local):
        return TargetPosition(local, local, tip, checkouts)
    if repository.is_ancestor(local, tip):
        return TargetPosition(local, tip, tip, checkouts)
    apart = repository.divergence(local, tip)
    raise GroundError(
        f"{target} and {remote}/{target} have diverged: {apart.ahead} commits only here, {apart.behind} only there",
        hint=f"bring them together first: git switch {target} && git pull --no-rebase {remote} {target}",
    )


def quiet_checkouts(repository: Repository, target: str, worktrees: Iterable[Worktree]) -> tuple[Path, ...]:
    """Return ``worktrees`` with the target checked out. Raises GroundError where a rebase or the like is under way."""
    checkouts = []
    admins = worktree_admin.admins(repository)  # read from files, so that no git runs in a worktree
    for worktree in worktrees:
        if worktree.bare and not repository.bare:  # left by a test suite that ran as a gate, since the start
            home = repository.home
            hint = f"git -C {shlex.quote(str(home))} config core.bare false"
            raise GroundError(f"{home} is a checkout, but its repository says core.bare=true", hint=hint)
        if worktree.bare or not worktree.path.is_dir():
            continue
        folder = admins.get(worktree.path.resolve(), repository.common_dir)
        for name, (operation, fix) in _UNDER_WAY.items():
            if (folder / name).exists() and target in (worktree.branch, _detached_from(folder)):
                message = f"{target} is in the middle of {operation} in {worktree.path}"
                raise GroundError(message, hint=f"in that folder: {fix}")
        if worktree.branch == target:
            checkouts.append(worktree.path)
    return tuple(checkouts)


def _detached_from(folder: Path) -> str | None:
    """Return the branch to which a rebase or bisect, which detach HEAD, will return."""
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        content = read_regular(folder / name)
        if content is not None:
            return content.decode("utf-8", "replace").strip().removeprefix("refs/heads/")
    return None


@dataclass(frozen=True, slots=True)
class StaleCheckout:
    """A checkout of ``branch`` whose files and index are those of the commit ``shows``."""

    branch: str
    shows: CommitId


def read_stale_checkouts(state_folder: Path) -> Mapping[str, StaleCheckout]:
    """Return the checkouts that could not be updated, by path. A damaged file counts as empty."""
    try:
        rows: Mapping[str, Mapping[str, str]] = json.loads(read_regular(stale_checkouts_path(state_folder)) or b"null")
        return {path: StaleCheckout(str(row["branch"]), CommitId(str(row["shows"]))) for path, row in rows.items()}
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
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
        known = head is not None and repository.resolve(note.shows) is not None
        if worktree is None or head is None or not known or not repository.is_ancestor(note.shows, head):
            _record(repository, path, None)
        else:
            remarks = list(_follow(repository, worktree, note.shows, head, resume=True))
            yield from remarks or [f"updated {path} to {head[:10]}"]


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
