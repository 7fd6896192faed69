"""Plan and write the files of ``init``: a first blueprint, editor settings, and ``tasks.py`` for Invoke.

Writing creates missing files and changes no existing file, even one that appears at the same moment.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.errors import DiskFull, GroundError
from orchestra.scaffold.areas import Area, propose_areas
from orchestra.scaffold.detect import Stack, detect
from orchestra.scaffold.draft import draft_blueprint

SCHEMA: Final = PurePosixPath(".orchestra/blueprint.schema.json")
EDITOR: Final = PurePosixPath(".vscode/settings.json")
TASKS: Final = PurePosixPath("tasks.py")
_TASKS_TEXT: Final = '''\
"""Invoke tasks of this repository. ``inv --list`` shows them; add your own below."""

from orchestra.cli import ns

__all__ = ["ns"]
'''
_TAG: Final = '"yaml.customTags": ["!append sequence"]'
_EDITOR_TEXT: Final = f"{{\n  {_TAG}\n}}\n"
"""Without it the language server for YAML calls ``!append`` an error, and no modeline can say otherwise."""
_WAY_IN: Final = "from orchestra.cli import"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to create, relative to the root."""

    path: PurePosixPath
    text: str


@dataclass(frozen=True, slots=True)
class ExistingFile:
    """A file that exists and stays unchanged; ``advice`` is what a person may want to change in it."""

    path: PurePosixPath
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class InitPlan:
    """The files that ``write`` creates, and what they are derived from."""

    root: Path
    stack: Stack
    areas: tuple[Area, ...]
    blueprint: PurePosixPath
    new: tuple[NewFile, ...]
    existing: tuple[ExistingFile, ...]


def init_files(
    root: Path, tracked: Collection[str], *, history: Iterable[Collection[str]] = (), name: str | None = None
) -> InitPlan:
    """Plan the files that ``init`` writes for the repository at ``root``. Reads files, writes nothing.

    ``tracked``: the paths of the tip's tree, with ``/``. ``history``: the paths that each commit changed, in any order;
    a few hundred commits are enough. ``name``: of the blueprint, a slug; None: the project's.
    """
    stack = detect(root, tracked)
    guarded = Matcher(Scope(stack.protected))
    protected = {path for path in tracked if guarded.matches(path)}
    areas = propose_areas(tracked, stack.suffixes, protected=protected, history=history)
    blueprint = PurePosixPath("blueprints") / f"{name or stack.name}.yaml"
    text = draft_blueprint(stack, areas, tracked, name=name)
    schema = (shipped_data_folder() / "schemas" / SCHEMA.name).read_text("utf-8")
    texts = {blueprint: text, SCHEMA: schema, EDITOR: _EDITOR_TEXT, TASKS: _TASKS_TEXT}
    files = [NewFile(path, text) for path, text in texts.items()]
    new = tuple(file for file in files if not _is_taken(root, file.path))
    existing = tuple(_kept(root, file) for file in files if _is_taken(root, file.path))
    return InitPlan(root, stack, areas, blueprint, new, existing)


def _is_taken(root: Path, path: PurePosixPath) -> bool:
    """Return a dangling link counts, and so does a package ``tasks/``, which Invoke would load in its place."""
    return os.path.lexists(root / path) or (path == TASKS and (root / "tasks" / "__init__.py").is_file())


def _kept(root: Path, file: NewFile) -> ExistingFile:
    if file.path == TASKS:
        advice = None if _WAY_IN in _read(root / TASKS) else f'for `inv` verbs, add "{_WAY_IN} ns"'
        return ExistingFile(file.path, advice)
    if file.path == EDITOR:
        advice = None if "!append" in _read(root / EDITOR) else f"so that VS Code accepts !append, add {_TAG}"
        return ExistingFile(file.path, advice)
    if file.path == SCHEMA and _read(root / SCHEMA) != file.text:
        return ExistingFile(file.path, f"`orchestra json-schema --write {SCHEMA}` updates it")
    return ExistingFile(file.path)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def write(plan: InitPlan) -> tuple[Path, ...]:
    """Create the files of ``plan``, each complete or not at all; return their paths.

    A file that appeared after the plan stays unchanged. Raises GroundError, DiskFull.
    """
    return tuple(path for file in plan.new if (path := _make(plan.root / file.path, file.text)) is not None)


def _make(path: Path, text: str) -> Path | None:
    """Write a temporary file and link it into place; return None where a file exists."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, "utf-8")
        _place(temporary, path, text)
    except FileExistsError:
        if path.parent.is_dir():
            return None
        raise GroundError(f"{path.parent} exists and is not a folder") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(path) from error
        raise GroundError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


def _place(temporary: Path, path: Path, text: str) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
