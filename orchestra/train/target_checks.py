"""Whether the ground bears a train: what is refused, in words that say what to type, before anything is changed.

Invariant: reads only. Refuses: a target that does not exist or was never committed to, one that diverged from its
remote, one that somebody is in the middle of rebasing, merging or bisecting, and instruction files of orchestra's that
the repository itself tracks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.git import worktree_admin
from orchestra.git.refs import CommitId, branch_ref
from orchestra.git.remote import fetch
from orchestra.git.repository import Repository, Worktree

# File or folder in a checkout's git folder -> what is going on there, and the commands that end it.
_UNDER_WAY = {
    "rebase-merge": ("a rebase", "git rebase --continue, or git rebase --abort"),
    "rebase-apply": ("a rebase or git am", "git rebase --continue, or git rebase --abort (git am --abort)"),
    "MERGE_HEAD": ("a merge", "git commit, or git merge --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick", "git cherry-pick --continue, or git cherry-pick --abort"),
    "REVERT_HEAD": ("a revert", "git revert --continue, or git revert --abort"),
    "BISECT_LOG": ("a bisect", "git bisect reset"),
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a train starts from. ``local`` is the target's branch here; ``start`` what candidates are built on.

    They differ where the remote is ahead. ``remote_tip`` is None without a remote, or where it lacks the branch.
    ``checkouts`` are the worktrees that have the target checked out.
    """

    local: CommitId
    start: CommitId
    remote_tip: CommitId | None
    checkouts: tuple[Path, ...]


def survey(repository: Repository, target: str, remote: str | None) -> Ground:
    """Where a train for ``target`` starts. Fetches from ``remote``. Raises GroundError with the mend."""
    local = require_target(repository, target)
    checkouts = quiet_checkouts(repository, target)
    tip = fetch(repository.git, remote, target) if remote is not None else None
    if tip is None or tip == local or repository.is_ancestor(tip, local):
        return Ground(local, local, tip, checkouts)
    if repository.is_ancestor(local, tip):
        return Ground(local, tip, tip, checkouts)
    raise _diverged(repository, target, remote or "", local, tip)


def require_target(repository: Repository, target: str) -> CommitId:
    """The target's tip. Raises GroundError where there is no such branch, or no commit on it yet."""
    tip = repository.resolve(branch_ref(target))
    if tip is not None:
        return tip
    if repository.current_branch() == target:
        raise GroundError(f"{target} has no commit yet", hint="make a first commit: work lands on top of it")
    raise GroundError(
        f"there is no branch {target} in {repository.home}", hint=f"git branch {target} COMMIT, or name another target"
    )


def quiet_checkouts(repository: Repository, target: str) -> tuple[Path, ...]:
    """The worktrees with the target checked out, none of them in the middle of something. Raises GroundError."""
    found = []
    admins = worktree_admin.admins(repository)  # by the notes in there, so that no git runs in anybody's worktree
    for worktree in repository.worktrees():
        if worktree.bare or not worktree.path.is_dir():
            continue
        what = _under_way(worktree, admins.get(worktree.path.resolve(), repository.common_dir), target)
        if what is not None:
            told, mend = what
            raise GroundError(f"{target} is in the middle of {told} in {worktree.path}", hint=f"in that folder: {mend}")
        if worktree.branch == target:
            found.append(worktree.path)
    return tuple(found)


def _under_way(worktree: Worktree, folder: Path, target: str) -> tuple[str, str] | None:
    """What is going on with the target in this worktree, and how it is ended; None when nothing is."""
    for name, told in _UNDER_WAY.items():
        if (folder / name).exists() and target in (worktree.branch, _detached_from(folder)):
            return told
    return None


def _detached_from(folder: Path) -> str | None:
    """The branch that a rebase or bisect, which detach HEAD, will come back to."""
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
