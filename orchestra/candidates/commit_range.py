"""A branch's own commits, seen from what they are to land on.

Invariant: asked of git's history alone, so that the same question has the same answer after a crash. Two questions:
what a branch did since its recorded base, whatever the target made of it since (``Spans.since_base``), and what merging
it would bring along (``Spans.on``), which depends on what the target holds already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.git.ancestry import is_ancestor, merge_base
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId


@dataclass(frozen=True, slots=True)
class Span:
    """Commits of a branch, oldest first. ``fork``: where they leave what is known; None: unrelated histories."""

    commits: tuple[CommitId, ...]
    has_merges: bool
    fork: CommitId | None
    rewritten: bool = False  # the target does not hold the recorded base, though the branch does


class Spans:
    """The spans of branches as seen from one value of the target, each asked for once."""

    def __init__(self, git: Git, target: CommitId) -> None:
        self._git, self._target = git, target
        self._since: dict[tuple[CommitId, CommitId], Span] = {}
        self._on: dict[tuple[CommitId, CommitId], Span] = {}

    def since_base(self, base: CommitId, tip: CommitId) -> Span:
        """What the branch did on top of ``base`` and the target."""
        key = (base, tip)
        if key not in self._since:
            rows = self._rows(tip, self._target, base)
            is_in_target = is_ancestor(self._git, base, self._target)
            rewritten = not is_in_target and is_ancestor(self._git, base, tip)
            fork = base if rewritten else self._fork(rows if is_in_target else [], self._target, tip)
            self._since[key] = Span(_commits(rows), _has_merges(rows), fork, rewritten)
        return self._since[key]

    def on(self, onto: CommitId, tip: CommitId) -> Span:
        """What ``git merge`` of ``tip`` would bring into ``onto``, which is the target or a candidate on it."""
        key = (onto, tip)
        if key not in self._on:
            rows = self._rows(tip, onto)
            self._on[key] = Span(_commits(rows), _has_merges(rows), self._fork(rows, onto, tip))
        return self._on[key]

    def _fork(self, rows: list[list[str]], onto: CommitId, tip: CommitId) -> CommitId | None:
        """Return where ``tip`` leaves ``onto``. Without merges that is one place, so git need not be asked."""
        straight = bool(rows) and all(len(row) == 2 for row in rows)  # noqa: PLR2004 - itself and its parent
        return CommitId(rows[0][1]) if straight else merge_base(self._git, onto, tip)

    def applied(self, onto: CommitId, tip: CommitId) -> frozenset[CommitId]:
        """Return the commits of ``tip`` whose very patch ``onto`` has in a commit of its own."""
        marked = self._git.run("rev-list", "--cherry-mark", "--right-only", "--no-merges", f"{onto}...{tip}", "--")
        return frozenset(CommitId(line[1:]) for line in marked.lines if line.startswith("="))

    def _rows(self, tip: CommitId, *without: CommitId) -> list[list[str]]:
        """Each commit of ``tip`` that none of ``without`` holds, with its parents; oldest first."""
        order = ("rev-list", "--reverse", "--topo-order", "--parents")
        return [row.split(" ") for row in self._git.run(*order, tip, "--not", *without, "--").lines]


def _commits(rows: Sequence[Sequence[str]]) -> tuple[CommitId, ...]:
    return tuple(CommitId(row[0]) for row in rows)


def _has_merges(rows: Sequence[Sequence[str]]) -> bool:
    return any(len(row) > 2 for row in rows)  # noqa: PLR2004 - itself and two parents or more
