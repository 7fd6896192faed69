"""Which branches do not merge with one another, for all pairs, before anything is built.

Invariant: every pair is really merged, in one git process: a filter by paths would miss a renamed folder against a new
file in it (facts/merge.md 2.7). Refuses: ``--quiet`` (facts/merge.md 0.4), and to call a branch's instruction files a
conflict, since they never land.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import Branch
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import Merged, installed, parse_merge, read_merges
from orchestra.git.refs import CommitId

_BATCH_SINCE = (2, 39)  # merge-tree --stdin


@dataclass(frozen=True, slots=True)
class BranchConflict:
    """Two branches that do not merge as text, and where."""

    one: AgentName
    other: AgentName
    paths: tuple[str, ...]


def forecast_conflicts(git: Git, branches: Sequence[Branch]) -> tuple[BranchConflict, ...]:
    """Every pair of ``branches`` that conflicts, in their order. One process for all pairs (git 2.39 and newer)."""
    pairs = list(combinations(branches, 2))
    merges = _merge_all(git, [(one.tip, other.tip) for one, other in pairs])
    found = []
    for (one, other), merged in zip(pairs, merges, strict=True):
        hidden = {*one.kept_out, *other.kept_out}
        paths = tuple(path for path in merged.conflicted_paths if path not in hidden)
        if not merged.clean and paths:
            found.append(BranchConflict(one.agent, other.agent, paths))
    return tuple(found)


def _merge_all(git: Git, pairs: Sequence[tuple[CommitId, CommitId]]) -> list[Merged]:
    if not pairs:
        return []
    args = ("merge-tree", "--write-tree", "-z", "--messages")
    if installed() < _BATCH_SINCE:
        runs = (git.run(*args, "--allow-unrelated-histories", *pair, ok=(0, 1)) for pair in pairs)
        return [parse_merge(done.fields, clean=done.code == 0) for done in runs]
    script = "".join(f"{one} {other}\n" for one, other in pairs).encode()
    done = git.run(*args, "--allow-unrelated-histories", "--stdin", stdin=script)
    return list(read_merges(BytesIO(done.stdout)))


def conflicts_by_agent(clashes: Sequence[BranchConflict]) -> Mapping[AgentName, frozenset[AgentName]]:
    """Agent -> those whose branches conflict with its own."""
    found: dict[AgentName, set[AgentName]] = {}
    for clash in clashes:
        found.setdefault(clash.one, set()).add(clash.other)
        found.setdefault(clash.other, set()).add(clash.one)
    return {name: frozenset(others) for name, others in found.items()}
