"""Which commit is below which, as git's history has it.

Invariant: a failed git is an error, never an answer. Refuses: to guess where histories are unrelated; that is None.
"""

from __future__ import annotations

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId


def is_ancestor(git: Git, ancestor: str, descendant: str) -> bool:
    """Whether ``descendant`` holds ``ancestor``, or is it."""
    return git.succeeds("merge-base", "--is-ancestor", ancestor, descendant)


def merge_base(git: Git, first: str, second: str) -> CommitId | None:
    """The best common ancestor; None when the histories are unrelated."""
    output = git.run("merge-base", first, second, ok=(0, 1))
    return CommitId(output.text) if output.code == 0 else None


def is_rewritten(git: Git, target: str, tip: str, base: CommitId) -> bool:
    """Whether ``target`` does not hold ``base``, on which the branch at ``tip`` still is."""
    return not is_ancestor(git, base, target) and is_ancestor(git, base, tip)
