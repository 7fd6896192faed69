"""Plan and write the files of ``init``: a first blueprint, settings for editors, and on request ``tasks.py``.

Writing creates missing files and changes no existing file, even one that appears at the same moment.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from orchestra.blueprint.catalog import names_in, shipped_blueprints, shipped_data_folder
from orchestra.blueprint.git_names import fleet_name_problem
from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.errors import DiskFull, GroundError, UsageError
from orchestra.files import read_regular, write_below
from orchestra.scaffold.areas import propose_areas, unowned_files
from orchestra.scaffold.detect import Stack, detect, slug
from orchestra.scaffold.draft import draft_blueprint, draft_branches_blueprint

SCHEMA: Final = PurePosixPath(".orchestra/blueprint.schema.json")
EDITOR: Final = PurePosixPath(".vscode/settings.json")
BRANCHES_FLEET: Final = "branches"
TASKS: Final = PurePosixPath("tasks.py")
_TASKS_FILES: Final = (TASKS, PurePosixPath("tasks/__init__.py"))
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
    """The files that ``write`` creates."""

    root: Path
    blueprint: PurePosixPath
    new: tuple[NewFile, ...]
    existing: tuple[ExistingFile, ...]
    foreign_setup: tuple[str, ...] = ()  # files of other tools whose set-up commands the blueprint took


def init_files(
    root: Path,
    tracked: Collection[str],
    *,
    history: Iterable[Collection[str]] = (),
    name: str | None = None,
    invoke: bool = False,
    programs: Collection[str] = (),
    is_ignored: Callable[[str], bool] = lambda _: True,
) -> InitPlan:
    """Plan the files of a first blueprint for the repository at ``root``. Reads files, writes nothing.

    ``tracked``: the paths of the tip's tree, with ``/``. ``history``: the paths that each commit changed, in any order;
    a few hundred commits are enough. ``name``: of the blueprint, a slug; None: the project's. ``invoke``: write a
    tasks.py too. Raises GroundError where there is nothing to divide.
    """
    stack = detect(root, tracked, programs=programs, is_ignored=is_ignored)
    areas = propose_areas(tracked, stack.suffixes, history=history)
    if not areas:
        fleets = [name for name in names_in(shipped_blueprints()) if "/" not in name]
        raise GroundError(
            f"{root} has no source code that could be divided among agents",
            hint=f"start from a shipped fleet: `orchestra init --from=NAME`, NAME one of {', '.join(fleets)}. "
            "It writes the fleet and the project that it builds on; `orchestra blueprints` describes them",
        )
    name = stack.name if name is None else name
    if fault := fleet_name_problem(name):
        raise UsageError(f'the name "{name}" {fault}', hint=f"for instance --name={slug(name) or stack.name}-fleet")
    unowned = unowned_files(areas, tracked, Matcher(Scope(stack.protected)))
    text = draft_blueprint(stack, areas, tracked, name=name, unowned=unowned)
    path = PurePosixPath("blueprints") / f"{name}.yaml"
    return plan_files(root, path, {}, text, invoke=invoke, foreign_setup=foreign_setup(stack))


def branches_files(
    root: Path,
    tracked: Collection[str],
    *,
    target: str,
    programs: Collection[str] = (),
    is_ignored: Callable[[str], bool] = lambda _: True,
) -> InitPlan:
    """Plan the blueprint of a fleet that consists of adopted branches: the gates that the stack has, and no agent.

    The arguments are those of ``init_files``.
    """
    stack = detect(root, tracked, programs=programs, is_ignored=is_ignored)
    text = draft_branches_blueprint(stack, tracked, name=BRANCHES_FLEET, target=target)
    path = PurePosixPath("blueprints") / f"{BRANCHES_FLEET}.yaml"
    return plan_files(root, path, {}, text, foreign_setup=foreign_setup(stack))


def foreign_setup(stack: Stack) -> tuple[str, ...]:
    """Return the files of other tools whose commands are in the draft's set-up."""
    return tuple(sorted({stack.setup_sources[command] for command in stack.setup if command in stack.setup_sources}))


def plan_files(
    root: Path,
    blueprint: PurePosixPath,
    more_files: Mapping[PurePosixPath, str],
    text: str,
    *,
    invoke: bool = False,
    foreign_setup: tuple[str, ...] = (),
) -> InitPlan:
    """Plan ``blueprint`` with this ``text``, the settings that editors need for it, and ``more_files``."""
    schema = (shipped_data_folder() / "schemas" / SCHEMA.name).read_text("utf-8")
    texts = {blueprint: text, SCHEMA: schema, EDITOR: _EDITOR_TEXT, **more_files}
    has_tasks = any(os.path.lexists(root / path) for path in _TASKS_FILES)
    if invoke or (has_tasks and "invoke" in "".join(_read(root, path) for path in _TASKS_FILES)):
        texts[TASKS] = _TASKS_TEXT
    new, existing = [], []
    for path, content in texts.items():
        # A dangling link counts, and so does a package tasks/, which Invoke would load in place of tasks.py.
        if not os.path.lexists(root / path) and not (path == TASKS and has_tasks):
            new.append(NewFile(path, content))
            continue
        advice = None
        if path == TASKS and _WAY_IN not in _read(root, TASKS):
            advice = f'for `inv` verbs, add "{_WAY_IN} ns"'
        elif path == EDITOR and "!append" not in _read(root, EDITOR):
            advice = f"so that VS Code accepts !append, add {_TAG}"
        elif path == SCHEMA and _read(root, SCHEMA) != content:
            advice = f"`orchestra json-schema --write {SCHEMA}` updates it"
        existing.append(ExistingFile(path, advice))
    return InitPlan(root, blueprint, tuple(new), tuple(existing), foreign_setup)


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
            if write_below(plan.root, file.path, file.text, only_new=True):
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
