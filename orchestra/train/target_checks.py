"""Check the target branch before a train starts. Reads only; each error says what to type.

Refused are a target that does not exist or has no commit, one that diverged from its remote, and one with a rebase,
merge, cherry-pick, revert or bisect under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.git import worktree_admin
from orchestra.git.refs import CommitId, branch_ref
from orchestra.git.remote import fetch, tracking_ref
from orchestra.git.repository import Repository

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


def check_target(repository: Repository, target: str, remote: str | None, *, push: bool = False) -> TargetPosition:
    """Return where a train for ``target`` starts. Fetches from ``remote``. Raises GroundError with the fix."""
    local = require_target(repository, target)
    checkouts = quiet_checkouts(repository, target)
    tip = fetch(repository.git, remote, target) if remote is not None else None
    if push and remote is not None and tip is None and repository.resolve(tracking_ref(remote, target)) is not None:
        raise GroundError(
            f"{remote} has no branch {target} any more, so nothing is pushed: it was renamed or deleted there",
            hint=f"name the new target in the blueprint; to make it there again: git push {remote} {target}",
        )
    if tip is None or tip == local or repository.is_ancestor(tip, local):
        return TargetPosition(local, local, tip, checkouts)
    if repository.is_ancestor(local, tip):
        return TargetPosition(local, tip, tip, checkouts)
    raise _diverged(repository, target, remote or "", local, tip)


def require_target(repository: Repository, target: str) -> CommitId:
    """Return the target's tip. Raises GroundError where the branch does not exist or has no commit."""
    tip = repository.resolve(branch_ref(target))
    if tip is not None:
        return tip
    if repository.current_branch() == target:
        raise GroundError(f"{target} has no commit yet", hint="make a first commit: work lands on top of it")
    raise GroundError(
        f"there is no branch {target} in {repository.home}", hint=f"git branch {target} COMMIT, or name another target"
    )


def quiet_checkouts(repository: Repository, target: str) -> tuple[Path, ...]:
    """Return the worktrees with the target checked out. Raises GroundError where a rebase or the like is under way."""
    checkouts = []
    admins = worktree_admin.admins(repository)  # read from files, so that no git runs in a worktree
    for worktree in repository.worktrees():
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
        place = folder / name
        if place.is_file():
            return place.read_text("utf-8", "replace").strip().removeprefix("refs/heads/")
    return None


def _diverged(repository: Repository, target: str, remote: str, local: CommitId, tip: CommitId) -> GroundError:
    apart = repository.divergence(local, tip)
    return GroundError(
        f"{target} and {remote}/{target} have diverged: {apart.ahead} commits only here, {apart.behind} only there",
        hint=f"bring them together first: git switch {target} && git pull --rebase {remote} {target}",
    )
