"""Rank landed changes by what they have in common with a branch: files and names. Decides only what is tested first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.train.eviction_report import LandedChange

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_OPTIONS = (
    "-p",
    "-U0",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-renames",
    "--src-prefix=",
    "--dst-prefix=",
)
_MOST_CHARACTERS = 4_000_000  # of the patches that are compared
_COMMON = 4  # a word in more than one of so many changes says nothing


@dataclass(slots=True)
class _Patch:
    """What some commits change: files, words on removed and on added lines, and words of the functions around them."""

    files: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    around: set[str] = field(default_factory=set)

    @property
    def words(self) -> set[str]:
        return self.removed | self.added | self.around


def rank_suspects(git: Git, fork: CommitId, tip: CommitId, history: Sequence[LandedChange]) -> tuple[LandedChange, ...]:
    """Return the changes that share a file or a name with ``fork``..``tip``, the likeliest cause of a failure first.

    First those where one side uses a name that the other side removes, then those with files in common, then those
    with words in common that few changes have.
    """
    if not history:
        return ()
    branch = _Patch()
    _add_lines(branch, git.text("diff-tree", "-r", *_OPTIONS, fork, tip, "--"))
    patches = [_Patch() for _ in history]
    places = {commit: place for place, change in enumerate(history) for commit in change.commits}
    walk = ("log", "--first-parent", "--diff-merges=first-parent", "--format=%x01%H", *_OPTIONS)
    text = git.text(*walk, f"{history[0].onto}..{history[-1].commit}", "--")[:_MOST_CHARACTERS]
    for entry in filter(None, text.split("\x01")):
        commit, _, lines = entry.partition("\n")
        if (place := places.get(CommitId(commit))) is not None:
            _add_lines(patches[place], lines)
    touched_by = Counter(word for patch in patches for word in patch.words)
    rare = {word for word, count in touched_by.items() if count <= max(1, len(history) // _COMMON)}
    ranks = []
    for place, patch in enumerate(patches):
        gone = (patch.removed - patch.added) & branch.added | (branch.removed - branch.added) & patch.added
        shared = patch.words & branch.added | branch.words & patch.added
        ranks.append((len(gone), len(patch.files & branch.files), len(shared & rare), place))
    return tuple(history[place] for *common, place in sorted(ranks, reverse=True) if any(common))


def _add_lines(patch: _Patch, text: str) -> None:
    for line in text.splitlines():
        if line.startswith(("--- ", "+++ ")):
            patch.files.add(line[4:])
        elif line.startswith("@@"):
            patch.around.update(_WORD.findall(line.rpartition("@@")[2]))
        elif line.startswith("-"):
            patch.removed.update(_WORD.findall(line))
        elif line.startswith("+"):
            patch.added.update(_WORD.findall(line))
    patch.files.discard("/dev/null")
