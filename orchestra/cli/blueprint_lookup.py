"""Find and load blueprints without a fleet: shared by blueprints and validate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.errors import GroundError, Problem

if TYPE_CHECKING:
    from orchestra.blueprint.model import Blueprint


def main_checkout(repo: str | None) -> Path | None:
    """Return the checkout whose blueprints count: the main one, else the current worktree.

    None outside a repository, unless one was named.
    """
    from orchestra.git.repository import Repository

    try:
        repository = Repository.discover(Path(repo or "."))
        return repository.home if (repository.home / "blueprints").is_dir() else repository.top
    except GroundError:
        if repo is not None:
            raise
        return None


def load_file(path: Path, home: Path | None) -> Blueprint:
    """Load a blueprint that may extend those of the repository at ``home``. Raises BlueprintError."""
    from orchestra.blueprint.load import load_blueprint

    return load_blueprint(path, blueprint_paths=[home / "blueprints"] if home else [])


def problem_to_json(problem: Problem) -> dict[str, object]:
    """Return one problem as the JSON documents have it."""
    return {
        "file": str(problem.file.resolve()),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }
