"""Read manifests for the finders. Reading never raises: a manifest that does not parse counts as empty."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import cast

from orchestra.blueprint.scope import BadPattern, check_pattern
from orchestra.files import read_regular

_LARGEST = 1_000_000
"""Bytes; a manifest that is larger is not read."""

Table = Mapping[str, object]
_NOTHING: Table = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Command:
    """A gate that the repository can already run: ``gate`` is tests, lint or types, ``source`` names where it is
    declared."""

    gate: str
    run: str
    source: str
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Part:
    """One stack in one folder. ``protected`` are patterns, ``regenerate`` maps a lock file to the command that
    regenerates it."""

    language: str  # "Python"
    tool: str  # "uv"
    suffixes: tuple[str, ...]  # of its source files
    setup: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    makes: tuple[str, ...] = ()  # folders that the set-up makes, which git should ignore
    protected: tuple[str, ...] = ()
    regenerate: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    pack: str | None = None  # the standards pack for services of this language
    port: int | None = None  # where the ports of the agents' development servers begin

    def __str__(self) -> str:
        return self.language if self.tool == self.language else f"{self.language} ({self.tool})"


class StackFolder:
    """One folder of a repository, by its tracked files. ``folder`` is "" for the root, else ``web/``."""

    def __init__(self, root: Path, tracked: Collection[str], folder: str = "", *, has_uv: bool = False) -> None:
        self.root = root
        self.folder = folder
        self.tracked = tracked
        self.has_uv = has_uv

    def at(self, folder: str) -> StackFolder:
        """Return another folder of the same repository."""
        return StackFolder(self.root, self.tracked, folder, has_uv=self.has_uv)

    @cached_property
    def names(self) -> frozenset[str]:
        """The files directly in this folder."""
        start = len(self.folder)
        return frozenset(
            path[start:] for path in self.tracked if path.startswith(self.folder) and "/" not in path[start:]
        )

    def first(self, *names: str) -> str | None:
        """Return the first of these that is here."""
        return next((name for name in names if name in self.names), None)

    def below(self, ending: str) -> bool:
        """Return True where a file anywhere below has this ending."""
        return any(path.endswith(ending) and path.startswith(self.folder) for path in self.tracked)

    def text(self, name: str) -> str:
        """Return the content of a tracked file; "" where it is no regular file of this repository."""
        if name not in self.names:
            return ""
        content = read_regular(self.root / self.folder / name, below=self.root, most=_LARGEST + 1) or b""
        return "" if len(content) > _LARGEST else content.decode("utf-8", "replace")

    def json(self, name: str) -> Table:
        try:
            return table(json.loads(self.text(name)))
        except (ValueError, RecursionError):
            return _NOTHING

    def toml(self, name: str) -> Table:
        try:
            return table(tomllib.loads(self.text(name)))
        except (ValueError, RecursionError):
            return _NOTHING

    def targets(self) -> frozenset[str]:
        """Return the targets of this folder's Makefile that can be asked for by name."""
        text = self.text(self.first("GNUmakefile", "makefile", "Makefile") or "")
        lines = re.findall(r"^([A-Za-z0-9][A-Za-z0-9_. -]*?)\s*::?(?!=)", text, re.MULTILINE)
        return frozenset(target for line in lines for target in line.split())

    def pattern(self, name: str) -> str:
        """Return a name of this folder, or a pattern below it, as a pattern from the root."""
        return f"{escape(self.folder)}{name}"

    def here(self, command: str) -> str:
        """Return the command for a shell in the root folder."""
        return f"cd {shlex.quote(self.folder.rstrip('/'))} && {command}" if self.folder else command


def escape(path: str) -> str:
    """Return the path as a pattern that matches it and nothing else."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)


def can_be_named(path: str) -> bool:
    """Return True where a pattern can spell the path: no control characters, no blank at an end, UTF-8."""
    try:
        check_pattern(escape(path))
        path.encode()
    except (BadPattern, UnicodeEncodeError):
        return False
    return True


def table(value: object, *path: str) -> Table:
    """Return the map at ``path`` below ``value``; empty where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return cast("Table", value) if isinstance(value, Mapping) else _NOTHING


def strings(value: object) -> tuple[str, ...]:
    """Return the strings of a list; nothing where it is none."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
