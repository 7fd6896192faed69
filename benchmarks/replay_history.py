"""Read from a repository's main line what was merged into it, as pieces that agents could have made.

Invariant: reads only, and guesses nothing: a piece's base is where git says that its branch left the main line.
Refuses: octopus merges, and branches that share no history with the main line.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

_PULL = re.compile(r"Merge pull request #(\d+)|\(#(\d+)\)\s*$|Merge PR #?(\d+)")


def git(folder: Path, *words: str, ok: Sequence[int] = (0,)) -> str:
    """Run git there; what it said, without the last line's end. Raises SystemExit where its exit code is not ``ok``."""
    return run_git(folder, *words, ok=ok).stdout.rstrip("\n")


def run_git(folder: Path, *words: str, ok: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """As ``git``, with the exit code."""
    argv = ["git", "-c", "gc.auto=0", "-c", "core.quotePath=false", *words]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, errors="surrogateescape", check=False)
    if done.returncode not in ok:
        raise SystemExit(f"git {' '.join(words)} in {folder}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Kind(StrEnum):
    PULL = "pull"  # the merge commit of a pull request
    MERGE = "merge"  # another merge, such as of a stable branch
    DIRECT = "direct"  # a commit made on the main line itself


@dataclass(frozen=True)
class Piece:
    """One step of the main line: ``line`` the commit on it, ``onto`` its first parent, ``tip`` what was merged.

    ``base`` is where ``tip`` left the main line (``onto`` itself, for a direct commit).
    """

    name: str
    kind: Kind
    line: str
    onto: str
    tip: str
    base: str
    subject: str
    day: str


class Line:
    """A main line, oldest commit first."""

    def __init__(self, repository: Path, tip: str = "HEAD") -> None:
        self.repository = repository
        shape = "--format=%H%x00%P%x00%cs%x00%s"
        rows = git(repository, "log", "--first-parent", "--reverse", shape, tip).split("\n")
        self.rows = [row.split("\0") for row in rows]
        self.place = {row[0]: number for number, row in enumerate(self.rows)}

    def pieces(self, first: int, last: int) -> Iterator[Piece]:
        """The steps from place ``first`` to ``last``, both included; what cannot be an agent's branch is left out."""
        seen: set[str] = set()
        for number in range(first, last + 1):
            piece = self.piece(number)
            if piece is None:
                continue
            if piece.name in seen:  # a pull request that was merged twice
                piece = Piece(**{**piece.__dict__, "name": f"{piece.name}-{piece.line[:6]}"})
            seen.add(piece.name)
            yield piece

    def piece(self, number: int) -> Piece | None:
        line, parents, day, subject = self.rows[number]
        own = parents.split()
        if len(own) == 1:
            return Piece(f"direct-{line[:8]}", Kind.DIRECT, line, own[0], line, own[0], subject, day)
        if len(own) != 2:
            return None
        bases = git(self.repository, "merge-base", *own, ok=(0, 1)).split()
        if not bases:
            return None
        found = _PULL.search(subject)
        name = f"pr-{next(filter(None, found.groups()))}" if found else f"merge-{line[:8]}"
        kind = Kind.PULL if found else Kind.MERGE
        return Piece(name, kind, line, own[0], own[1], bases[0], subject, day)

    def is_pull(self, number: int) -> bool:
        return len(self.rows[number][1].split()) == 2 and _PULL.search(self.rows[number][3]) is not None

    @cached_property
    def pulls(self) -> tuple[int, ...]:
        """The places of the merge commits of pull requests."""
        return tuple(number for number in range(1, len(self.rows)) if self.is_pull(number))


@dataclass(frozen=True)
class Window:
    """Consecutive pull requests, with the steps between them. The fleet starts at ``start``, upstream ended at ``end``.

    ``stacked`` counts those that were begun on top of another piece of the window, so on more than ``start``.
    """

    pieces: tuple[Piece, ...]
    start: str
    end: str
    stacked: int

    @property
    def pulls(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.kind is Kind.PULL)

    @property
    def others(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.kind is not Kind.PULL)

    def __str__(self) -> str:
        first, last = self.pulls[0], self.pulls[-1]
        return (
            f"{first.line[:10]} .. {last.line[:10]}  {first.day} .. {last.day}  {len(self.pulls)} pull requests, "
            f"{self.stacked} of them begun on others of the window, {len(self.others)} other steps between"
        )


def window(line: Line, first: str, count: int) -> Window:
    """The ``count`` consecutive pull requests of which the first was merged by the commit ``first``."""
    full = git(line.repository, "rev-parse", "--verify", f"{first}^{{commit}}")
    if full not in line.place or not line.is_pull(line.place[full]):
        raise SystemExit(f"{first} is not the merge commit of a pull request on the main line")
    places = line.pulls[line.pulls.index(line.place[full]) :][:count]
    if len(places) < count:
        raise SystemExit(f"only {len(places)} pull requests were merged from {first} on")
    pieces = tuple(line.pieces(places[0], places[-1]))
    start = pieces[0].onto
    ancestors = set(git(line.repository, "rev-list", start).split())
    stacked = sum(piece.kind is Kind.PULL and piece.base not in ancestors for piece in pieces)
    return Window(pieces, start, pieces[-1].line, stacked)


def windows(line: Line, count: int, since: str) -> Iterator[Window]:
    """Every window of that many pull requests merged since a day (``2019-01-31``), none overlapping another."""
    chosen = [place for place in line.pulls if line.rows[place][2] >= since]
    for number in range(0, len(chosen) - count + 1, count):
        yield window(line, line.rows[chosen[number]][0], count)
