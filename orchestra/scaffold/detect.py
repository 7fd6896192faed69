"""Detect a repository's stacks, the commands that set it up and test it, and the paths to protect.

Reads files below the root and runs nothing; the caller passes the tracked files.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import BadPattern, Matcher
from orchestra.scaffold.stacks import compiled, java, node, python
from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder, can_be_named, table

_FINDERS: Final[Sequence[Callable[[StackFolder], Part | None]]] = (
    node.find,
    python.find,
    compiled.find_go,
    compiled.find_rust,
    java.find,
)
_GATES: Final = ("lint", "types", "tests")
"""The kinds of gates, in the order in which they run: the fastest first."""
_ALWAYS_PROTECTED: Final = (
    ".github/** .gitlab-ci.yml .gitlab/** .circleci/** .travis.yml azure-pipelines.yml Jenkinsfile .buildkite/** "
    ".pre-commit-config.yaml .gitmodules .gitattributes .editorconfig .env* .claude/** CODEOWNERS Makefile GNUmakefile "
    "justfile vendor/** third_party/** third-party/**"
).split()
_ENVIRONMENT_FILES: Final = (".env", ".env.local", ".env.development", ".env.development.local", ".env.test", ".envrc")
_NOT_PRODUCT: Final = frozenset("docs doc website site examples example samples demo fixtures test tests e2e".split())
_NOT_WALKED: Final = frozenset("node_modules venv .venv target build dist vendor __pycache__".split())
_NO_NAMES: Final = frozenset("root monorepo workspace project app repo repository archive".split())
_MOST_PARTS: Final = 4
_MOST_FILES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Stack:
    """The detected stacks. ``parts`` has the main stack first; ``gates`` are in the order in which they should run."""

    name: str  # of the project, a slug
    parts: tuple[Part, ...]
    setup: tuple[str, ...]
    gates: Mapping[str, Command]
    protected: tuple[str, ...]  # patterns, each matches a tracked file
    regenerate: Mapping[str, str]  # lock file -> command that regenerates it
    copy: tuple[str, ...]  # untracked files that a fresh worktree lacks
    suffixes: frozenset[str]  # of source files

    @property
    def packs(self) -> tuple[str, ...]:
        """The standards packs that fit services of these stacks."""
        return tuple(dict.fromkeys(part.pack for part in self.parts if part.pack))

    @property
    def port(self) -> int | None:
        """The first port for the agents' development servers; None for stacks that rarely serve."""
        return next((part.port for part in self.parts if part.port), None)


def detect(root: Path, tracked: Collection[str] | None = None) -> Stack:
    """Detect the stacks of the repository at ``root``. ``tracked``: paths with ``/``; None: every file on disk,
    bounded."""
    files = frozenset(_on_disk(root) if tracked is None else tracked)
    parts = _parts(root, files)
    return Stack(
        name=_name(root, files, parts),
        parts=parts,
        setup=tuple(dict.fromkeys(command for part in parts for command in part.setup)),
        gates=_gates(parts),
        protected=_present([*_ALWAYS_PROTECTED, *(pattern for part in parts for pattern in part.protected)], files),
        regenerate={lock: run for part in parts for lock, run in part.regenerate.items()},
        copy=tuple(name for name in _ENVIRONMENT_FILES if name not in files and (root / name).is_file()),
        suffixes=frozenset(suffix for part in parts for suffix in part.suffixes),
    )


def slug(text: str) -> str:
    """Return a name that a fleet or an agent may have, made of ``text``; "" where nothing of it can be used."""
    cleaned = (
        re.sub(r"[^a-z0-9]+", "-", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", text).lower()).strip("-")[:40].strip("-")
    )
    return f"n{cleaned}" if cleaned.isdigit() else cleaned


def _on_disk(root: Path) -> Iterator[str]:
    count = 0
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in _NOT_WALKED and name != ".git")
        for name in files:
            count += 1
            if count > _MOST_FILES:
                return
            yield Path(folder, name).relative_to(root).as_posix()


def _name(root: Path, files: frozenset[str], parts: Sequence[Part]) -> str:
    """Return the project's name as the manifest of its main stack has it, else that of the folder."""
    ground = StackFolder(root, files)
    declared: Mapping[str, tuple[object, ...]] = {
        "JavaScript": (ground.json("package.json").get("name"),),
        "TypeScript": (ground.json("package.json").get("name"),),
        "Rust": (table(ground.toml("Cargo.toml"), "package").get("name"),),
        "Python": tuple(
            table(ground.toml("pyproject.toml"), *keys).get("name") for keys in (("project",), ("tool", "poetry"))
        ),
    }
    for name in (*declared.get(parts[0].language if parts else "", ()), root.resolve().name):
        candidate = slug(name.rpartition("/")[2]) if isinstance(name, str) else ""
        if candidate and candidate not in _NO_NAMES:
            return candidate
    return "fleet"


# Stacks


def _parts(root: Path, files: frozenset[str]) -> tuple[Part, ...]:
    """Return the stacks at the root, then those of folders below it in other languages; the one with most files
    first."""
    root_parts = [part for find in _FINDERS if (part := find(StackFolder(root, files))) is not None]
    languages = {part.suffixes for part in root_parts}
    below = [part for part in _below(root, files) if part.suffixes not in languages]
    counts = Counter(Path(path).suffix for path in files)
    ranked = sorted([*root_parts, *below], key=lambda part: -_files(part, counts))
    useful = [part for part in ranked if part.commands or (not part.setup and part.tool != "Make")]
    useful = useful or ranked[:1]
    make = compiled.find_make(StackFolder(root, files))
    if make is not None:
        useful = _with_make(useful, make, counts)
    return tuple(useful[:_MOST_PARTS])


def _below(root: Path, files: frozenset[str]) -> Iterator[Part]:
    for folder in sorted(filter(can_be_named, {path.partition("/")[0] for path in files if "/" in path})):
        if folder.startswith(".") or folder.lower() in _NOT_PRODUCT or folder.lower() in _NOT_WALKED:
            continue
        ground = StackFolder(root, files, f"{folder}/")
        yield from (part for find in _FINDERS if (part := find(ground)) is not None)


def _with_make(parts: list[Part], make: Part, counts: Mapping[str, int]) -> list[Part]:
    """Put Make first where most code is in C; elsewhere it adds the gates that no tool chain has."""
    if make.commands and _files(make, counts) > sum(_files(part, counts) for part in parts):
        return [make, *parts]
    gates = {command.gate for part in parts for command in part.commands}
    commands = tuple(command for command in make.commands if command.gate not in gates)
    return [*parts, replace(make, commands=commands, suffixes=())] if commands else parts


def _files(part: Part, counts: Mapping[str, int]) -> int:
    return sum(counts.get(suffix, 0) for suffix in part.suffixes)


def _gates(parts: Sequence[Part]) -> dict[str, Command]:
    """Return one gate for each command: ``tests`` for the main stack, ``tests-go`` for a further one."""
    named: dict[str, Command] = {}
    for kind in _GATES:
        for part in parts:
            for command in part.commands:
                if command.gate == kind:
                    named[_free(kind, part, named)] = command
    return named


def _free(kind: str, part: Part, taken: Collection[str]) -> str:
    names = (kind, f"{kind}-{slug(part.language.lower())}", *(f"{kind}-{number}" for number in range(2, 100)))
    return next(name for name in names if name not in taken)


def _present(patterns: Sequence[str], files: Collection[str]) -> tuple[str, ...]:
    """Return the patterns that match a tracked file, each once."""
    return tuple(pattern for pattern in dict.fromkeys(patterns) if _matches_any(pattern, files))


def _matches_any(pattern: str, files: Collection[str]) -> bool:
    try:
        matcher = Matcher(Scope((pattern,)))
    except BadPattern:  # a folder whose name no pattern can spell
        return False
    return any(matcher.matches(path) for path in files)
