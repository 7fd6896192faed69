"""Conflicts between branches, for all pairs, before anything is built.

Every pair is really merged, in one git process: a comparison of paths would miss a renamed folder against a new file in
it. ``git merge-tree --quiet`` is not used: it reports conflicts of a rename with a deletion as clean (git 2.50). A
branch's instruction files never land, so they do not conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import Branch
from orchestra.errors import GitError
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import Merged, installed, parse_merge, read_merges
from orchestra.git.refs import CommitId

_BATCH_SINCE = (2, 39)  # merge-tree --stdin
# An agent may have started a history of its own: that is one more conflict, and no reason to report none of the others.
_MERGE = ("merge-tree", "--write-tree", "-z", "--messages", "--allow-unrelated-histories")


@dataclass(frozen=True, slots=True)
class BranchConflict:
    """Two branches that do not merge as text, and the paths."""

    first: AgentName
    second: AgentName
    paths: tuple[str, ...]


def forecast_conflicts(git: Git, branches: Sequence[Branch]) -> tuple[BranchConflict, ...]:
    """Return every pair of ``branches`` that conflicts, in their order. A pair that git cannot merge is left out."""
    pairs = list(combinations(branches, 2))
    merges = merge_pairs(git, [(first.tip, second.tip) for first, second in pairs])
    conflicts = []
    for (first, second), merged in zip(pairs, merges, strict=True):
        kept_out = {*first.kept_out, *second.kept_out}
        paths = tuple(path for path in merged.conflicted_paths if path not in kept_out) if merged else ()
        if paths:
            conflicts.append(BranchConflict(first.agent, second.agent, paths))
    return tuple(conflicts)


def merge_pairs(git: Git, pairs: Sequence[tuple[CommitId, CommitId]], *, style: str = "merge") -> list[Merged | None]:
    """Merge each pair of commits as ``git merge`` would; None for a pair that git cannot merge.

    ``style``: how conflicts are written (merge.conflictStyle). One process merges all pairs (git 2.39 and newer). A
    malformed tree ends it (git 2.39 aborts at a name with a slash), so that its pairs are then found by halving.
    """
    if not pairs:
        return []
    styled = git.with_config({"merge.conflictStyle": style})
    try:
        if installed() >= _BATCH_SINCE:
            script = "".join(f"{first} {second}\n" for first, second in pairs).encode()
            return list(read_merges(BytesIO(styled.run(*_MERGE, "--stdin", stdin=script).stdout)))
        if len(pairs) == 1:
            output = styled.run(*_MERGE, *pairs[0], ok=(0, 1))
            return [parse_merge(output.fields, clean=output.code == 0)]
    except GitError:
        if len(pairs) == 1:
            return [None]
    middle = len(pairs) // 2
    return [*merge_pairs(git, pairs[:middle], style=style), *merge_pairs(git, pairs[middle:], style=style)]


def conflicts_by_agent(conflicts: Sequence[BranchConflict]) -> Mapping[AgentName, frozenset[AgentName]]:
    """Return agent -> those whose branches conflict with its own."""
    opponents: dict[AgentName, set[AgentName]] = {}
    for conflict in conflicts:
        opponents.setdefault(conflict.first, set()).add(conflict.second)
        opponents.setdefault(conflict.second, set()).add(conflict.first)
    return {name: frozenset(names) for name, names in opponents.items()}
