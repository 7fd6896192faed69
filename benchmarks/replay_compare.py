"""How two results of the same history differ, each path with what explains it as far as a program can tell.

Invariant: a path that nothing explains is said to be unexplained; it is a finding, not noise. A piece explains a path
only if it changes that path and is on one side alone. Refuses: to write anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay_history import Kind, Piece, Window, git, run_git
from replay_walk import Way


@dataclass(frozen=True)
class Difference:
    """A path that two trees hold differently; ``reasons`` empty: unexplained."""

    path: str
    lines: str  # "+3 -1", seen from orchestra's side
    reasons: tuple[str, ...]


class Comparison:
    """What a window's pieces changed, to explain differences with. All objects are in ``repository``."""

    def __init__(self, repository: Path, window: Window, pieces: Sequence[Piece]) -> None:
        self.repository, self.window, self.pieces = repository, window, pieces
        self.touched = {piece.name: set(self._changed(piece.base, piece.tip)) for piece in window.pieces}
        self.by_hand = {piece.name: self._by_hand(piece) for piece in window.pieces}

    def _changed(self, old: str, new: str) -> list[str]:
        return [
            path
            for path in git(self.repository, "diff", "--name-only", "--no-renames", "-z", old, new).split("\0")
            if path
        ]

    def _by_hand(self, piece: Piece) -> dict[str, str]:
        """Path -> how, for what upstream's merge commit holds otherwise than ``git merge`` would have made it."""
        if piece.kind is Kind.DIRECT:
            return {}
        done = run_git(
            self.repository, "merge-tree", "--write-tree", "-z", "--name-only", piece.onto, piece.tip, ok=(0, 1)
        )
        tree = done.stdout.split("\0")[0]
        how = "resolved a conflict by hand" if done.returncode else "changed by hand what merges clean"
        return dict.fromkeys(self._changed(tree, piece.line), how)

    def between(self, ours: Way, other: Way | None) -> list[Difference]:
        """Ours against another way's result, or (None) against upstream's own tree after the window's last merge."""
        theirs = other.commit if other else self.window.end
        rows = git(self._home(ours, other), "diff", "--numstat", "--no-renames", "-z", theirs, ours.commit).split("\0")
        found = []
        for row in filter(None, rows):
            added, removed, path = row.split("\t", 2)
            found.append(Difference(path, f"+{added} -{removed}", tuple(self._reasons(path, ours, other))))
        return found

    def _home(self, ours: Way, other: Way | None) -> Path:
        """Where both commits are."""
        if other is not None:
            git(ours.repository, "fetch", "--quiet", "--no-tags", str(other.repository), other.commit)
        return ours.repository

    def _reasons(self, path: str, ours: Way, other: Way | None) -> Iterator[str]:
        fleet = {piece.name for piece in self.pieces}
        for piece in self.window.pieces:
            touches = path in self.touched[piece.name]
            if touches and piece.name in ours.out:
                told = f"{piece.name} changes it and did not land here ({ours.out[piece.name].partition(':')[0]})"
                if other is None or piece.name not in other.out:
                    yield told
                elif self._brings(other, piece):
                    yield f"{told}, nor there, but a later branch was begun on it and brought it along"
            if touches and other is not None and piece.name in other.out and piece.name not in ours.out:
                yield f"{piece.name} changes it and did not land there: {other.out[piece.name]}"
            if touches and piece.name not in fleet and (other is None or self._brings(other, piece)):
                yield f"{piece.name} changes it and is a step of the main line that no agent has: {piece.subject}"
            if path in self.by_hand[piece.name] and (other is None or self._brings(other, piece)):
                yield f"upstream {self.by_hand[piece.name][path]} in the merge of {piece.name}"

    def _brings(self, other: Way, piece: Piece) -> bool:
        """Whether that result holds upstream's own commit: a later branch was begun on it."""
        done = run_git(other.repository, "merge-base", "--is-ancestor", piece.line, other.commit, ok=(0, 1))
        return done.returncode == 0

    def touching(self, path: str) -> list[str]:
        """Who changes it, for a person who has to explain it."""
        return [name for name, paths in self.touched.items() if path in paths]


def fates(pieces: Sequence[Piece], ways: Sequence[Way]) -> Iterator[tuple[Piece, Mapping[str, str]]]:
    """Piece -> way -> what became of it, one after the other."""
    for piece in pieces:
        yield piece, {way.name: way.out.get(piece.name, "landed" if piece.name in way.landed else "?") for way in ways}
