"""Ancestry of commits. A failed git is an error, never an answer; unrelated histories have no merge base."""

from __future__ import annotations

import re
from pathlib import Path

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId


def is_ancestor(git: Git, ancestor: str, descendant: str) -> bool:
    """Return True where ``descendant`` contains or equals ``ancestor``.

    Remembered for two full commit ids, which never stop being related. A no may only mean that a clone is shallow.
    """
    key = (git.folder, ancestor, descendant)
    if ancestor == descendant or key in _ANCESTORS:
        return True
    is_contained = git.succeeds("merge-base", "--is-ancestor", ancestor, descendant)
    if is_contained and _COMMIT_ID.fullmatch(ancestor) and _COMMIT_ID.fullmatch(descendant):
        if len(_ANCESTORS) >= _MOST_ANCESTORS:
            _ANCESTORS.clear()
        _ANCESTORS.add(key)
    return is_contained


_COMMIT_ID = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
_ANCESTORS: set[tuple[Path, str, str]] = set()
_MOST_ANCESTORS = 4096


def merge_base(git: Git, first: str, second: str) -> CommitId | None:
    """The best common ancestor; None when the histories are unrelated."""
    output = git.run("merge-base", first, second, ok=(0, 1))
    return CommitId(output.text) if output.code == 0 else None


def is_rewritten(git: Git, target: str, tip: str, base: CommitId) -> bool:
    """Return True where ``target`` lacks ``base``, which the branch at ``tip`` still contains."""
    return not is_ancestor(git, base, target) and is_ancestor(git, base, tip)
