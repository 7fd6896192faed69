"""Uncommitted work is work: when a session is stopped or falls, what it left is kept under a ref (law 1).

Invariant: saving changes neither the worktree nor its index, so it may be done at any time and twice. Refuses to let
a failure to save stop the stopping; the caller is told.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import MovedError

Save = Callable[[FleetName, AgentName, Path, str], str | None]
"""``save(fleet, agent, worktree, why)``: the ref that now holds the uncommitted work, None when there is none."""


_ATTEMPTS = 5


def save_work(fleet: FleetName, agent: AgentName, worktree: Path, why: str) -> str | None:
    """Keep what is uncommitted as refs/orchestra/FLEET/AGENT/saved/N; the one that has it already, if there is one.

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
        kept = saved_as(git, fleet, agent, snapshot)
        if kept is not None:
            return kept
        kept = next_saved(git, fleet, agent)
        try:
            keep_snapshot(worktree, snapshot, kept, f"orchestra: uncommitted work of {agent}: {why}")
        except MovedError:
            # The supervisor saves what a session left that fell, stop what one left that it ended: maybe both at once.
            if attempt == _ATTEMPTS:
                raise
        else:
            return kept
    return None
