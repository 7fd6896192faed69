"""Compose one document of a file and all that it extends; each value keeps the file that set it.

Maps merge deep, lists replace unless tagged ``!append``, null deletes, ``x-`` keys are dropped. A name does not mean
the file it stands in, so that a repository's ``mvp5`` can extend the shipped one. Every file is read
once, at most 32 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestra.blueprint.catalog import named_file, near_names
from orchestra.blueprint.overlay import Layers
from orchestra.blueprint.problems import problem
from orchestra.blueprint.strict_yaml import load_tree
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Scalar, kind, map_inside
from orchestra.errors import Problem

VERSION: Final = "1"
_MAX_FILES: Final = 32
_PATH_STARTS: Final = ("./", "../", "/")


@dataclass(frozen=True, slots=True)
class Composed:
    """``root`` is None where a file could not be read, so that nothing sensible can be said about the whole. What was
    set to null and what is tagged ``!append`` is still in it: agents are laid over their profiles later."""

    root: MapNode | None
    files: tuple[Path, ...]  # in the order read, the blueprint itself first
    problems: tuple[Problem, ...]


def compose(file: Path, folders: Sequence[Path]) -> Composed:
    """Return the document of ``file`` laid over what it extends; names are looked up next to each file, then in
    ``folders``."""
    composer = _Composer(tuple(folders))
    root = composer.composed(file, ())
    return Composed(None if composer.broken else root, tuple(composer.files), tuple(composer.problems))


class _Composer:
    """Reads each file once. ``broken``: at least one file has no usable content."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders
        self.files: list[Path] = []
        self.problems: list[Problem] = []
        self.layers = Layers(self.problems)
        self.broken = False
        self._done: dict[Path, MapNode | None] = {}

    def composed(self, file: Path, chain: tuple[Path, ...]) -> MapNode | None:
        identity = file.resolve()
        if identity not in self._done:
            self._done[identity] = self._compose(file, (*chain, identity))
        return self._done[identity]

    def _compose(self, file: Path, chain: tuple[Path, ...]) -> MapNode | None:
        tree = load_tree(file)
        self.files.append(file)
        self.problems.extend(tree.problems)
        if tree.root is None:
            self.broken = True
            return None
        root = _without_extensions(tree.root)
        version = root.get("version")
        if isinstance(version, Scalar) and not version.is_null and version.text != VERSION:
            message = f"version {version.text}: this orchestra reads version {VERSION}"
            self.problems.append(problem(version.origin, message))
        below: MapNode | None = None
        extends = root.get("extends")
        if extends is None or (isinstance(extends, Scalar) and extends.is_null):
            return root.without("extends")
        for item in extends.items if isinstance(extends, ListNode) else (extends,):
            if isinstance(item, Scalar) and item.text.strip():
                base = self._base(item, file, chain)
                below = self.layers.maps(below, base) if base is not None else below
            else:
                message = f"extends: must be a name or a list of names, not {kind(item)}"
                self.problems.append(problem(item.origin, message, "write: extends: [standards/typescript-service]"))
        return self.layers.maps(below, root.without("extends"))

    def _base(self, entry: Scalar, file: Path, chain: tuple[Path, ...]) -> MapNode | None:
        folders = (file.parent,) if entry.text.startswith(_PATH_STARTS) else (file.parent, *self.folders)
        base_file = named_file(entry.text, folders, but=file) or named_file(entry.text, folders)
        if base_file is None:
            self._fail(entry, f'extends "{entry.text}": no such blueprint', near_names(entry.text, folders))
            return None
        if base_file.resolve() in chain:
            loop = [file.name for file in chain[chain.index(base_file.resolve()) :]]
            names = f": {' -> '.join((*loop, loop[0]))}" if len(loop) > 1 else ""
            self._fail(entry, f"extends itself{names}", "remove this entry")
            return None
        if len(self.files) >= _MAX_FILES:
            self._fail(entry, f"extends more than {_MAX_FILES} files", None)
            return None
        return self.composed(base_file, chain)

    def _fail(self, entry: Scalar, message: str, hint: str | None) -> None:
        self.broken = True
        self.problems.append(problem(entry.origin, message, hint))


def _without_extensions(node: MapNode) -> MapNode:
    """Return the map without ``x-`` keys, at any depth: they are the author's own, and may hold anything."""
    entries = ((key, entry) for key, entry in node.entries.items() if not key.startswith("x-"))
    return MapNode(
        {key: Entry(entry.key, map_inside(entry.node, _without_extensions)) for key, entry in entries}, node.origin
    )
