"""The hostile situations by group: what an agent's side, a machine and other programs can do to a fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.adversary.commits import commits
from tests.adversary.configuration import configuration
from tests.adversary.play import Situation
from tests.adversary.refs import refs
from tests.adversary.repository import repository
from tests.adversary.stored import stored, times
from tests.adversary.worktree_files import worktree_files
from tests.adversary.worktrees import worktrees

GROUPS: dict[str, Callable[[], Iterator[Situation]]] = {
    "files": worktree_files,
    "configuration": configuration,
    "refs": refs,
    "commits": commits,
    "worktrees": worktrees,
    "repository": repository,
    "stored": stored,
    "times": times,
}
