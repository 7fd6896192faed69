"""Plan and write the files of ``init``: a first blueprint, editor settings, and ``tasks.py`` for Invoke.

Writing creates missing files and changes no existing file, even one that appears at the same moment.
"""

from __future__ import annotations

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
from orchestra.files import create_below, read_regular
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
        advice = None if _WAY_IN in _read(root, TASKS) else f'for `inv` verbs, add "{_WAY_IN} ns"'
        return ExistingFile(file.path, advice)
    if file.path == EDITOR:
        advice = None if "!append" in _read(root, EDITOR) else f"so that VS Code accepts !append, add {_TAG}"
        return ExistingFile(file.path, advice)
    if file.path == SCHEMA and _read(root, SCHEMA) != file.text:
        return ExistingFile(file.path, f"`orchestra json-schema --write {SCHEMA}` updates it")
    return ExistingFile(file.path)


def _read(root: Path, path: PurePosixPath) -> str:
    return (read_regular(root / path, below=root) or b"").decode("utf-8", "replace")


def write(plan: InitPlan) -> tuple[Path, ...]:
    """Create the files of ``plan``, each complete or not at all; return their paths.

    A file that appeared after the plan stays unchanged. No symbolic link is followed. Raises GroundError, DiskFull.
    """
    created = []
    for file in plan.new:
        path = plan.root / file.path
        try:
            if create_below(plan.root, file.path, file.text):
                created.append(path)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(path) from error
            for folder in (plan.root / parent for parent in reversed(file.path.parents)):
                if folder.is_symlink() and folder != plan.root:
                    message = f"{folder} is a symbolic link, and init writes through none"
                    raise GroundError(message, hint=f"replace it by a folder, or create {path} by hand") from None
                if folder.exists() and not folder.is_dir():
                    raise GroundError(f"{folder} is not a folder, so {path} cannot be created") from None
            raise GroundError(f"cannot create {path}: {error.strerror}") from error
    return tuple(created)
