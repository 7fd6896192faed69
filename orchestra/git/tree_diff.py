"""What changes between two trees, path by path, with nothing guessed.

Invariant: names come from ``-z`` output; renames are an extra that only ``renames`` computes, since plain changes of
paths are facts and renames are guesses. Refuses: text diffs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestra.git.git_process import Git
from orchestra.git.objects import Objects, TreeId
from orchestra.git.refs import CommitId

EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_ABSENT = "000000"


_FOLDER_MODE = "040000"


@dataclass(frozen=True, slots=True)
class Side:
    """What a path holds: mode as git prints it (``100644``) and object id."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path's change; a side is None where the path is absent."""

    old: Side | None
    new: Side | None


def changes(git: Git, old: str, new: str, objects: Objects | None = None) -> Mapping[str, Change]:
    """Path -> change from ``old`` to ``new``, folders descended into, renames not looked for.

    ``old`` and ``new`` are full object names of commits or trees, so the answer never changes and is cached.
    ``objects``: compare two commits through its open process, instead of starting one.
    """
    if old == new:
        return {}
    key = (git.folder, old, new)
    delta = _KNOWN.get(key)
    if delta is None and objects is not None:
        delta = _compare_trees(objects, objects.commit(old).tree, objects.commit(new).tree)
        note_changes(git, old, new, delta)
    if delta is None:
        output = git.run(
            "diff-tree",
            "-r",
            "-z",
            "--no-renames",
            "--full-index",
            "--ignore-submodules=none",
            "--end-of-options",
            old,
            new,
            "--",
        )
        by_path = {}
        for facts, path in zip(output.fields[::2], output.fields[1::2], strict=True):
            old_mode, new_mode, old_id, new_id, _ = facts.removeprefix(":").split(" ")
            by_path[path] = Change(_side(old_mode, old_id), _side(new_mode, new_id))
        note_changes(git, old, new, by_path)
        return by_path
    return delta


def _compare_trees(objects: Objects, old: TreeId, new: TreeId) -> dict[str, Change]:
    """Compare two trees entry by entry; only folders that differ are read."""
    delta: dict[str, Change] = {}
    to_compare: list[tuple[bytes, TreeId | None, TreeId | None]] = [(b"", old, new)]
    while to_compare:
        prefix, old_tree, new_tree = to_compare.pop()
        entries = [objects.tree(tree) if tree else {} for tree in (old_tree, new_tree)]
        for name in dict.fromkeys((*entries[0], *entries[1])):
            folders: list[TreeId | None] = [None, None]
            files: list[Side | None] = [None, None]
            for number, entry in enumerate((entries[0].get(name), entries[1].get(name))):
                mode = _canonical_mode(entry.mode) if entry else None
                if entry and mode == _FOLDER_MODE:
                    folders[number] = TreeId(entry.id)
                elif entry and mode:
                    files[number] = Side(mode, entry.id)
            if folders[0] != folders[1]:
                to_compare.append((prefix + name + b"/", folders[0], folders[1]))
            if files[0] != files[1]:
                delta[os.fsdecode(prefix + name)] = Change(files[0], files[1])
    return dict(sorted(delta.items()))


def _canonical_mode(mode: bytes) -> str:
    """Return a mode as git compares it (cache.h, canon_mode): of permissions only the owner's execute bit counts."""
    bits = int(mode, 8)
    if stat.S_ISREG(bits):
        return "100755" if bits & stat.S_IXUSR else "100644"
    return "120000" if stat.S_ISLNK(bits) else _FOLDER_MODE if stat.S_ISDIR(bits) else "160000"


def note_changes(git: Git, old: str, new: str, delta: Mapping[str, Change]) -> None:
    """Remember what ``changes`` would return, for a caller that compared many commits at once."""
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    _KNOWN[git.folder, old, new] = MappingProxyType(dict(delta))


def tree_of(git: Git, commit: CommitId) -> TreeId:
    """The tree of a commit, by its full name; remembered, since it never changes."""
    key = (git.folder, commit)
    tree = _TREES.get(key)
    if tree is None:
        tree = TreeId(git.text("rev-parse", "--verify", f"{commit}^{{tree}}"))
        if len(_TREES) >= _MOST_KNOWN:  # slots are filled in threads: nothing is read back after this
            _TREES.clear()
        _TREES[key] = tree
    return tree


def note_tree(git: Git, commit: CommitId, tree: TreeId) -> None:
    """Remember the tree of a commit that the caller has just built, so that ``tree_of`` asks no git."""
    _TREES[git.folder, commit] = tree


_TREES: dict[tuple[Path, str], TreeId] = {}
_KNOWN: dict[tuple[Path, str, str], Mapping[str, Change]] = {}
_RENAMED: dict[tuple[Path, str, str, tuple[str, ...]], Mapping[str, str]] = {}
_MOST_KNOWN = 512


def renames(git: Git, old: str, new: str, paths: Iterable[str] = ()) -> Mapping[str, str]:
    """Path in ``old`` -> path in ``new`` for what git takes for renamed (half of the lines alike, or more).

    ``paths``: look only at these, as if nothing else had changed; none means all.
    """
    literal = tuple(f":(top,literal){path}" for path in paths)
    key = (git.folder, old, new, literal)
    if key not in _RENAMED:
        options = ("-r", "-z", "--ignore-submodules=none", "-M50%", "-l0", "--diff-filter=R", "--name-status")
        fields = git.run("diff-tree", *options, "--end-of-options", old, new, "--", *literal).fields
        if len(_RENAMED) >= _MOST_KNOWN:
            _RENAMED.clear()
        _RENAMED[key] = {fields[at + 1]: fields[at + 2] for at in range(0, len(fields) - 2, 3)}
    return _RENAMED[key]


def _side(mode: str, blob: str) -> Side | None:
    return None if mode == _ABSENT else Side(mode, blob)
