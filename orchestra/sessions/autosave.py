"""Save the uncommitted work of a session that was stopped or has failed, under a ref.

Saving changes neither the worktree nor its index, so it may be done at any time and twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import MovedError

Save = Callable[[FleetName, AgentName, Path, str], str | None]
"""``save(fleet, agent, worktree, reason)``: the ref that now holds the uncommitted work, None when there is none."""
_ATTEMPTS = 5


def save_work(fleet: FleetName, agent: AgentName, worktree: Path, reason: str) -> str | None:
    """Save uncommitted work as refs/orchestra/FLEET/AGENT/saved/N; an existing ref with the same content is returned.

    Raises GroundError, GitError, DiskFull, MovedError.
    """
    from orchestra.git.git_process import Git
    from orchestra.git.unsaved_work import keep_snapshot, next_saved, saved_as, take_snapshot

    if not (worktree / ".git").exists():
        return None
    git = Git(worktree)
    snapshot = take_snapshot(worktree)
    if snapshot.saved:
        return None
    for attempt in range(1, _ATTEMPTS + 1):
        ref = saved_as(git, fleet, agent, snapshot)
        if ref is not None:
            return ref
        ref = next_saved(git, fleet, agent)
        try:
            keep_snapshot(worktree, snapshot, ref, f"orchestra: uncommitted work of {agent}: {reason}")
        except MovedError:
            # Stop and the supervisor may save the same work at the same time.
            if attempt == _ATTEMPTS:
                raise
        else:
            return ref
    return None
