"""Ancestry of commits. A failed git is an error, never an answer; unrelated histories have no merge base."""

from __future__ import annotations

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId


def is_ancestor(git: Git, ancestor: str, descendant: str) -> bool:
    """Return True where ``descendant`` contains or equals ``ancestor``."""
    return ancestor == descendant or git.succeeds("merge-base", "--is-ancestor", ancestor, descendant)


def merge_base(git: Git, first: str, second: str) -> CommitId | None:
    """The best common ancestor; None when the histories are unrelated."""
    output = git.run("merge-base", first, second, ok=(0, 1))
    return CommitId(output.text) if output.code == 0 else None


def is_rewritten(git: Git, target: str, tip: str, base: CommitId) -> bool:
    """Return True where ``target`` lacks ``base``, which the branch at ``tip`` still contains."""
    return not is_ancestor(git, base, target) and is_ancestor(git, base, tip)
