"""Load a blueprint: a file in, a valid Blueprint out, or every problem at once.

Raises BlueprintError with the problems of all files, sorted, or UsageError for a name without a file. Only reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint import schema
from orchestra.blueprint.build import build, origins
from orchestra.blueprint.catalog import named_file, names_in, near_names, shipped_blueprints, shipped_data_folder
from orchestra.blueprint.checks import check_parts
from orchestra.blueprint.compose import compose
from orchestra.blueprint.model import Blueprint, Key, Origin
from orchestra.blueprint.overlay import prune
from orchestra.blueprint.problems import Findings, distinct
from orchestra.blueprint.profiles import expand
from orchestra.blueprint.rendered_names import check_targets
from orchestra.blueprint.templates import check_templates
from orchestra.blueprint.yaml_tree import MapNode, Plain
from orchestra.errors import BlueprintError, Problem, UsageError

__all__ = [
    "Listed",
    "Resolved",
    "find_blueprint",
    "list_blueprints",
    "load_blueprint",
    "resolved",
    "shipped_data_folder",
]


def load_blueprint(path: Path, *, blueprint_paths: Sequence[Path] = ()) -> Blueprint:
    """Return the blueprint in that file. Raises BlueprintError with every problem.

    ``blueprint_paths``: folders where names of ``extends`` are looked up, after the file's own folder and before the
    shipped ones; usually the repository's ``blueprints/``.
    """
    data, root, _ = _checked(path, blueprint_paths)
    return build(data, root, path.absolute())


@dataclass(frozen=True, slots=True)
class Resolved:
    """The composed document: profiles applied, without ``extends``, ``from`` and ``with``."""

    document: Mapping[str, Plain]
    origins: Mapping[Key, Origin]  # of every value of the document
    files: tuple[Path, ...]  # all that were read, the blueprint itself first


def resolved(path: Path, *, blueprint_paths: Sequence[Path] = ()) -> Resolved:
    """Return the composed document for ``plan --resolved``. Raise BlueprintError as ``load_blueprint`` does."""
    data, root, files = _checked(path, blueprint_paths)
    document = {key: value for key, value in data.items() if key != "profiles"}
    return Resolved(document, origins(root.without("profiles")), files)


def _checked(path: Path, blueprint_paths: Sequence[Path]) -> tuple[dict[str, Plain], MapNode, tuple[Path, ...]]:
    """Return the plain values of the composed document, its tree, and the files that were read."""
    composed = compose(path, (*blueprint_paths, shipped_blueprints()))
    problems = list(composed.problems)
    if composed.root is None:
        raise BlueprintError(distinct(problems))
    root = prune(expand(composed.root, problems))
    findings = Findings(root, problems)
    data = schema.check(root, findings)
    check_parts(findings)
    check_targets(findings)
    check_templates(findings)
    if problems:
        raise BlueprintError(distinct(problems))
    return data, root, composed.files


# By name


def find_blueprint(name_or_path: str, repository_root: Path | None) -> Path:
    """Return the file that ``--blueprint NAME|PATH`` means: one of the repository's, a shipped one, or a path.

    Raises UsageError with the nearest names where there is none.
    """
    folders = blueprint_folders(repository_root)
    named = named_file(name_or_path, folders) if name_or_path.strip() else None
    path = Path(name_or_path)
    if named is None and name_or_path.strip() and os.path.lexists(path):
        named = path
    if named is None:
        same_folder = (path.parent,) if path.suffix else ()  # a name with a suffix is a path
        raise UsageError(f'no blueprint "{name_or_path}"', hint=near_names(name_or_path, (*same_folder, *folders)))
    return named


def blueprint_folders(repository_root: Path | None) -> tuple[Path, ...]:
    """Return the folders in which names are looked up, in order."""
    repository_folders = (repository_root / "blueprints",) if repository_root else ()
    return (*repository_folders, shipped_blueprints())


@dataclass(frozen=True, slots=True)
class Listed:
    """A blueprint that ``--blueprint`` can name. ``blueprint`` is None where it has ``problems``."""

    name: str
    path: Path
    shipped: bool
    blueprint: Blueprint | None
    problems: tuple[Problem, ...] = ()


def list_blueprints(repository_root: Path | None) -> tuple[Listed, ...]:
    """Return all that can be named, the repository's first; fragments are left out, a shipped name that the repository
    has too means the repository's."""
    listed: dict[str, Listed] = {}
    folders = blueprint_folders(repository_root)
    for folder in folders:
        for name in names_in(folder):
            if name not in listed:
                entry = _listed(name, folder, folders)
                if entry is not None:
                    listed[name] = entry
    return tuple(listed.values())


def _listed(name: str, folder: Path, folders: Sequence[Path]) -> Listed | None:
    path = named_file(name, [folder])
    if path is None:
        return None
    shipped = folder == shipped_blueprints()
    try:
        return Listed(name, path, shipped, load_blueprint(path, blueprint_paths=folders[:-1]))
    except BlueprintError as error:
        composed = compose(path, folders).root
        is_fragment = composed is not None and not {"agents", "name"} & prune(composed).entries.keys()
        return None if is_fragment else Listed(name, path, shipped, None, error.problems)
