"""Detect a repository's stacks, the commands that set it up and test it, and the paths to protect.

Reads files below the root and runs nothing; the caller passes the tracked files.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import BadPattern, Matcher
from orchestra.scaffold.declared_setup import read_declared_setup
from orchestra.scaffold.stacks import compiled, java, node, python
from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder, can_be_named, table

_FINDERS: Final[Sequence[Callable[[StackFolder], Part | None]]] = (
    node.find,
    python.find,
    compiled.find_go,
    compiled.find_rust,
    java.find,
)
PROGRAMS: Final = ("uv", "mise", "direnv")
"""Programs whose presence on PATH changes a draft."""
_GATES: Final = ("lint", "types", "tests")
"""The kinds of gates, in the order in which they run: the fastest first."""
_ALWAYS_PROTECTED: Final = (
    ".github/** .gitlab-ci.yml .gitlab/** .circleci/** .travis.yml azure-pipelines.yml Jenkinsfile .buildkite/** "
    ".pre-commit-config.yaml .gitmodules .gitattributes .editorconfig .env* .claude/** CODEOWNERS Makefile GNUmakefile "
    "justfile vendor/** third_party/** third-party/**"
).split()
_ENVIRONMENT_FILES: Final = (".env", ".env.local", ".env.development", ".env.development.local", ".env.test", ".envrc")
_NOT_PRODUCT: Final = frozenset("docs doc website site examples example samples demo fixtures test tests e2e".split())
_NOT_WALKED: Final = frozenset("node_modules venv target build dist vendor".split())
_NO_NAMES: Final = frozenset("root monorepo workspace project app repo repository archive".split())
_MOST_PARTS: Final = 4
_SERVES: Final = re.compile(r"([^/]+/)?(Dockerfile|(docker-)?compose[.\w-]*\.ya?ml|Procfile|fly\.toml|\.env[.\w-]*)")


@dataclass(frozen=True, slots=True)
class Stack:
    """The detected stacks. ``parts`` has the main stack first; ``gates`` are in the order in which they should run."""

    name: str  # of the project, a slug
    parts: tuple[Part, ...]
    setup: tuple[str, ...]
    setup_sources: Mapping[str, str]  # set-up command or file to copy -> the file of another tool that declares it
    unread_setup: tuple[str, ...]  # files of other tools with a set-up that is more than plain commands
    gates: Mapping[str, Command]
    protected: tuple[str, ...]  # patterns, each matches a tracked file
    regenerate: Mapping[str, str]  # lock file -> command that regenerates it
    copy: tuple[str, ...]  # untracked files that a fresh worktree lacks
    suffixes: frozenset[str]  # of source files
    port: int | None = None  # where the ports of the agents' servers begin; None where nothing says that it serves

    @property
    def packs(self) -> tuple[str, ...]:
        """The standards packs that fit services of these stacks."""
        return tuple(dict.fromkeys(part.pack for part in self.parts if part.pack))


def detect(
    root: Path,
    tracked: Collection[str],
    *,
    programs: Collection[str] = (),
    is_ignored: Callable[[str], bool] = lambda _: True,
) -> Stack:
    """Detect the stacks of the repository at ``root``. ``tracked``: paths with ``/``.

    ``programs``: those of ``PROGRAMS`` that are on PATH: uv makes environments instead of venv and pip, mise and direnv
    are set up where the repository uses them. ``is_ignored``: what git says of a folder.
    """
    files = frozenset(tracked)
    ground = StackFolder(root, files, has_uv="uv" in programs)
    parts = _parts(ground)
    declared = read_declared_setup(ground, programs)
    setup = [*declared.commands]
    if not setup:
        # A folder that the set-up makes and git does not ignore would count as the agent's uncommitted work.
        unignored = dict.fromkeys(folder for part in parts for folder in part.makes if not is_ignored(folder))
        setup = [
            *(command for part in parts for command in part.setup),
            *(f"mkdir -p {shlex.quote(folder)} && echo '*' >{shlex.quote(folder)}.gitignore" for folder in unignored),
        ]
    patterns = [*_ALWAYS_PROTECTED, *(pattern for part in parts for pattern in part.protected)]
    protected = []
    for pattern in dict.fromkeys(patterns):
        with suppress(BadPattern):  # a folder whose name no pattern can spell
            if any(map(Matcher(Scope((pattern,))).matches, files)):
                protected.append(pattern)
    # A library needs no port; what is deployed, or reads .env files, usually does.
    is_service = any(map(_SERVES.fullmatch, files)) or any((root / name).is_file() for name in _ENVIRONMENT_FILES)
    return Stack(
        name=_name(ground, parts),
        parts=parts,
        setup=tuple(dict.fromkeys((*declared.tools, *setup))),
        setup_sources={**declared.tools, **declared.commands, **declared.copy},
        unread_setup=declared.unread,
        gates=_gates(parts),
        protected=tuple(protected),
        regenerate={lock: run for part in parts for lock, run in part.regenerate.items()},
        copy=tuple(
            name for name in (*_ENVIRONMENT_FILES, *declared.copy) if name not in files and (root / name).is_file()
        ),
        suffixes=frozenset(suffix for part in parts for suffix in part.suffixes),
        port=next((part.port for part in parts if part.port), None) if is_service else None,
    )


def slug(text: str) -> str:
    """Return a name that a fleet or an agent may have, made of ``text``; "" where nothing of it can be used."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", text).lower()
    cleaned = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:40].strip("-")
    return f"n{cleaned}" if cleaned.isdigit() else cleaned


def _name(ground: StackFolder, parts: Sequence[Part]) -> str:
    """Return the project's name as the manifest of its main stack has it, else that of the folder."""
    project = ground.toml("pyproject.toml")
    package = ground.json("package.json").get("name")
    declared: Mapping[str, tuple[object, ...]] = {
        "JavaScript": (package,),
        "TypeScript": (package,),
        "Rust": (table(ground.toml("Cargo.toml"), "package").get("name"),),
        "Python": (table(project, "project").get("name"), table(project, "tool", "poetry").get("name")),
    }
    for name in (*declared.get(parts[0].language if parts else "", ()), ground.root.resolve().name):
        candidate = slug(name.rpartition("/")[2]) if isinstance(name, str) else ""
        if candidate and candidate not in _NO_NAMES:
            return candidate
    return "fleet"


def _parts(ground: StackFolder) -> tuple[Part, ...]:
    """Return the stacks at the root, then those of folders below it in other languages; the one with most files
    first."""
    root_parts = [part for find in _FINDERS if (part := find(ground)) is not None]
    languages = {part.suffixes for part in root_parts}
    tops = sorted(filter(can_be_named, {path.partition("/")[0] for path in ground.tracked if "/" in path}))
    tops = [top for top in tops if not top.startswith(".") and top.lower() not in _NOT_PRODUCT | _NOT_WALKED]
    below = [part for top in tops for find in _FINDERS if (part := find(ground.at(f"{top}/"))) is not None]
    counts = Counter(Path(path).suffix for path in ground.tracked)

    def files(parts: Iterable[Part]) -> int:
        return sum(counts.get(suffix, 0) for part in parts for suffix in part.suffixes)

    other_languages = [part for part in below if part.suffixes not in languages]
    ranked = sorted([*root_parts, *other_languages], key=lambda part: -files([part]))
    useful = [part for part in ranked if part.commands or (not part.setup and part.tool != "Make")] or ranked[:1]
    make = compiled.find_make(ground)
    if make is not None and make.commands and files([make]) > files(useful):
        useful = [make, *useful]  # most code is in C
    elif make is not None:
        # Elsewhere Make adds the gates that no tool chain has.
        gates = {command.gate for part in useful for command in part.commands}
        commands = tuple(command for command in make.commands if command.gate not in gates)
        useful += [replace(make, commands=commands, suffixes=())] if commands else []
    return tuple(useful[:_MOST_PARTS])


def _gates(parts: Sequence[Part]) -> dict[str, Command]:
    """Return one gate for each command: ``tests`` for the main stack, ``tests-go`` for a further one."""
    named: dict[str, Command] = {}
    for kind in _GATES:
        for part in parts:
            for command in part.commands:
                if command.gate == kind:
                    numbered = (f"{kind}-{number}" for number in range(2, 100))
                    names = (kind, f"{kind}-{slug(part.language.lower())}", *numbered)
                    named[next(name for name in names if name not in named)] = command
    return named
