"""Proposals: how a branch that conflicts with the target as text could be resolved, for a person to look at.

A proposal is a commit with two parents, the agent's tip and the target: the branch with the target merged in. Every
conflict that no rule of the blueprint settles was resolved by the first method that leaves nothing open in that file.
Invariant: all or nothing; the tree is the mechanical merge but for the conflicted paths; the commit is a function of
tip, target, rules and what the methods answer, so that the same id comes out again. It fast-forwards from the agent's
branch. Refuses: anything but plain text files with both sides there, conflicts of renames and deletions, paths
that a rule forbids, and what still looks like a conflict. Nothing here writes a ref.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from orchestra.candidates.builder import Branch, CandidateBuilder
from orchestra.candidates.text_conflict import by_path, few, quote_path
from orchestra.candidates.trailers import trailer_values
from orchestra.git.merge_tree import Merged, Stage
from orchestra.git.objects import Commit, Entry, Objects, TreeId, our_ident

RESOLVED_TRAILER = "Orchestra-Resolved"
STYLES = ("merge", "diff3", "zdiff3")  # git's merge.conflictStyle

# Other conflicts that git reports (renames, deletions, submodules...) is a question about files, not about their text.
_TEXT_CONFLICT = re.compile(r"(?:Auto-merging|CONFLICT \((?:content|add/add)\): Merge conflict in) ")
_MARKER = re.compile(rb"^(?:<{7,}|>{7,}|\|{7,})(?:[ \r][^\n]*)?$", re.MULTILINE)
_BINARY_LOOK = 8000  # bytes that git looks at (xdiff-interface.c, FIRST_FEW_BYTES)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a conflicted file."""

    mode: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """Text conflicts that want resolving: path -> base, ours (the target's) and theirs; the base may be empty.

    ``attributes`` is the target's tree, whose ``.gitattributes`` rule. ``written`` gives each path's file as a merge
    leaves it, with conflict markers, in one of STYLES.
    """

    sides: Mapping[str, tuple[Side, Side, Side]]
    attributes: TreeId
    written: Callable[[str], Mapping[str, bytes]]


Method = Callable[[Question], Mapping[str, bytes]]
"""Resolves what it can: path -> the whole file, as git stores it. Must not raise for a file that it cannot resolve."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """``resolved``: conflicted path -> the method that resolved it; none where the branch as a whole merges."""

    commit: Commit
    resolved: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why there is no proposal, in one sentence for a person. ``asked``: every method was, and left something open."""

    sentence: str
    asked: bool = False


class Proposer:
    """Makes proposals for one value of the target. ``styled`` gives an Integrator that writes conflicts in a style."""

    def __init__(
        self, build: CandidateBuilder, styled: Callable[[str], CandidateBuilder], methods: Sequence[tuple[str, Method]]
    ) -> None:
        self._build, self._styled, self._methods = build, styled, methods

    def propose(self, branch: Branch, words: str) -> Proposal | Unresolved:
        """A proposal for ``branch`` on the Integrator's target. ``words``: the subject of its message."""
        target = self._build.target
        merged = self._build.whole(target, branch)
        if merged is None:
            return Unresolved("the branch shares no history with the target")
        trial = _Trial(self._build, self._styled, self._methods, branch)
        tree = self._build.resolve(merged, trial.settle)
        if tree is None:
            return Unresolved(trial.why or "a rule forbids it, or a side of the conflict is no plain file", trial.asked)
        if tree == self._build.objects.commit(target).tree:
            return Unresolved("with the conflicts resolved nothing of the branch is left")
        return Proposal(self._commit(branch, tree, trial.resolved, words), MappingProxyType(trial.resolved))

    def _commit(self, branch: Branch, tree: TreeId, resolved: Mapping[str, str], words: str) -> Commit:
        target = self._build.target
        ends = [self._build.objects.commit(end).committed_at for end in (branch.tip, target)]
        committer = our_ident(max(ends))
        body = f"{words}\n\nProposed by orchestra, for a person to look at before it lands.\n"
        return Commit(
            tree, (branch.tip, target), committer, committer, _with_resolved(body.encode("utf-8", "replace"), resolved)
        )


class _Trial:
    """One attempt to settle a merge's conflicts by the methods in turn; ``why`` says what was left open."""

    def __init__(
        self,
        build: CandidateBuilder,
        styled: Callable[[str], CandidateBuilder],
        methods: Sequence[tuple[str, Method]],
        branch: Branch,
    ) -> None:
        self._build, self._styled, self._methods, self._branch = build, styled, methods, branch
        self.resolved: dict[str, str] = {}
        self.why = ""
        self.asked = False

    def settle(self, merged: Merged, paths: tuple[str, ...]) -> Mapping[str, Entry]:
        """``conflict.Settle``: what each path becomes; fewer than ``paths`` when one is left."""
        objects = self._build.objects
        if odd := [
            message
            for message in merged.messages
            if message.startswith("CONFLICT") and not _TEXT_CONFLICT.match(message)
        ]:
            self.why = f"not a conflict of text alone: {odd[0]}"
            return {}
        sides = {path: stages for path, stages in by_path(merged).items() if path in paths}
        open_sides = {path: _sides(objects, stages) for path, stages in sides.items()}
        if binary := [path for path, of_path in open_sides.items() if any(_is_binary(side.data) for side in of_path)]:
            self.why = f"{quote_path(binary[0])} is binary"
            return {}
        settled: dict[str, Entry] = {}
        for name, method in self._methods:
            answers = method(self._question(open_sides)) if open_sides else {}
            for path, text in answers.items():
                if path in open_sides and not leaves_conflict(text, open_sides[path]):
                    settled[path] = Entry(_mode(objects, merged, path), objects.write_blob(text))
                    self.resolved[path] = name
            open_sides = {path: of_path for path, of_path in open_sides.items() if path not in settled}
        if open_sides:
            self.asked = True
            asked = " and ".join(name for name, _ in self._methods)
            leave = f"{asked} leave{'s' * (len(self._methods) == 1)}" if asked else "there is still"
            self.why = f"{leave} a conflict in {few(sorted(map(quote_path, open_sides)))}"
        return settled

    def _question(self, open_sides: Mapping[str, tuple[Side, Side, Side]]) -> Question:
        target = self._build.target

        def written(style: str) -> Mapping[str, bytes]:
            build = self._styled(style)
            merged = build.whole(target, self._branch)
            return {path: text for path in open_sides if merged and (text := _text(build.objects, merged.tree, path))}

        return Question(open_sides, self._build.objects.commit(target).tree, written)


def leaves_conflict(text: bytes, sides: Sequence[Side]) -> bool:
    """Whether a resolution holds conflict markers that none of the sides had: documentation may show some."""
    if _is_binary(text):
        return True
    present: Counter[bytes] = Counter()
    for side in sides:
        present |= _markers(side.data)
    return bool(_markers(text) - present)


def resolved_by(commit: Commit) -> Mapping[str, str]:
    """Return path -> method as a proposal's message lists them; empty for any other commit."""
    entry = {}
    for method, _, name in (value.partition(" ") for value in trailer_values(commit.message, RESOLVED_TRAILER)):
        try:
            path = json.loads(name)
        except ValueError:
            continue
        if isinstance(path, str):
            entry[path] = method
    return entry


def _with_resolved(body: bytes, resolved: Mapping[str, str]) -> bytes:
    """Names as JSON strings: they may hold quotes, newlines and bytes that are no text."""
    lines = "".join(f"{RESOLVED_TRAILER}: {method} {json.dumps(path)}\n" for path, method in sorted(resolved.items()))
    return body + (b"\n" + lines.encode("ascii") if lines else b"")


def _sides(objects: Objects, stages: Mapping[int, Stage]) -> tuple[Side, Side, Side]:
    ours, theirs = (Side(stages[n].mode, stages[n].id, objects.blob(stages[n].id)) for n in (2, 3))
    base = stages.get(1)
    empty = Side(ours.mode, "", b"")
    return (Side(base.mode, base.id, objects.blob(base.id)) if base else empty), ours, theirs


def _mode(objects: Objects, merged: Merged, path: str) -> bytes:
    """As the merge itself decided it: one side may have made the file executable."""
    entry = objects.entry_at(merged.tree, path.encode("utf-8", "surrogateescape"))
    return entry.mode if entry else b"100644"


def _text(objects: Objects, tree: TreeId, path: str) -> bytes | None:
    entry = objects.entry_at(tree, path.encode("utf-8", "surrogateescape"))
    return objects.blob(entry.id) if entry else None


def _is_binary(data: bytes) -> bool:
    return b"\0" in data[:_BINARY_LOOK]


def _markers(data: bytes) -> Counter[bytes]:
    return Counter(_MARKER.findall(data))
