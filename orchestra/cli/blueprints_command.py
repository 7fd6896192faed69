"""Blueprints as tasks: what can be named, whether it is right, and the schema that editors use. Reads files only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.cli.console import Cell, Tone, say, show_json, show_table, tell
from orchestra.cli.program import task
from orchestra.errors import BlueprintError, ExitCode, GroundError, Problem, UsageError

if TYPE_CHECKING:
    from orchestra.blueprint.load import Listed
    from orchestra.blueprint.model import Blueprint


@task(help={"blueprint": "Only this one, by name or file. Default: all that can be named."})
def blueprints(c: Context, repo: str | None = None, blueprint: str | None = None, json: bool = False) -> ExitCode:
    """List what --blueprint can name: the repository's own blueprints, then the shipped ones.

    A blueprint of the repository hides a shipped one of the same name. Outside a repository only the shipped ones
    are listed. One that has problems is listed with their number; `validate` shows them.
    """
    listed = _listed(repo, blueprint)
    if json:
        show_json({"blueprints": [_listed_json(each) for each in listed]})
    else:
        rows = [_listed_row(each) for each in listed]
        show_table(["name", "title", "agents", "stages", "from"], rows)
    return ExitCode.DONE


@task()
def validate(c: Context, repo: str | None = None, blueprint: str | None = None, json: bool = False) -> ExitCode:
    """Show every problem of a blueprint at once; runs nothing and touches nothing.

    Each problem is one `file:line:column: message`, with a hint where something near was probably meant. Exit code
    0 when there is none, 2 when there are any.
    """
    path = _wanted(repo, blueprint)
    try:
        _say_valid(_load(path, repo), json)
    except BlueprintError as error:
        if not json:
            raise
        show_json(_verdict_json(path, error.problems))
        return error.exit_code
    return ExitCode.DONE


@task(help={"write": "A file to write it to, for instance .orchestra/blueprint.schema.json. Default: standard output."})
def schema(c: Context, write: str | None = None) -> ExitCode:
    """Print or write the JSON Schema of blueprints, for editors that check and complete while one types.

    The first line of a blueprint tells the editor where it is: `# yaml-language-server: $schema=PATH`, relative to
    the blueprint's own folder (JetBrains: `# $schema: PATH`).
    """
    from orchestra.blueprint.load import shipped_data_folder

    text = (shipped_data_folder() / "schemas" / "blueprint.schema.json").read_text(encoding="utf-8")
    if write is None:
        say(text.rstrip("\n"))
        return ExitCode.DONE
    path = Path(write)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    tell(f"wrote {path}")
    return ExitCode.DONE


def _home(repo: str | None) -> Path | None:
    """The main checkout around ``--repo``; None where there is no repository and none was asked for."""
    from orchestra.git.repository import Repository

    try:
        return Repository.discover(Path(repo or ".")).home
    except GroundError:
        if repo is not None:
            raise
        return None


def _listed(repo: str | None, blueprint: str | None) -> list[Listed]:
    from orchestra.blueprint.load import Listed, find_blueprint, list_blueprints

    home = _home(repo)
    listed = list_blueprints(home)
    if blueprint is None:
        return list(listed)
    path = find_blueprint(blueprint, home)
    known = [each for each in listed if each.path == path]
    return known or [Listed(blueprint, path, False, _load(path, repo))]


def _wanted(repo: str | None, blueprint: str | None) -> Path:
    """The file to validate: the one that was named, else that of the fleet that was spawned last."""
    from orchestra.blueprint.load import find_blueprint
    from orchestra.fleet import last_blueprint
    from orchestra.git.repository import Repository

    home = _home(repo)
    if blueprint is None and home is not None:
        blueprint = last_blueprint(Repository.discover(home))
    if blueprint is None:
        hint = "orchestra validate --blueprint=NAME or a file; orchestra blueprints lists the names"
        raise UsageError("no fleet was spawned here yet, so there is no blueprint to fall back on", hint=hint)
    return find_blueprint(blueprint, home)


def _load(path: Path, repo: str | None) -> Blueprint:
    from orchestra.blueprint.load import load_blueprint

    home = _home(repo)
    return load_blueprint(path, blueprint_paths=[home / "blueprints"] if home else [])


def _say_valid(blueprint: Blueprint, json: bool) -> None:
    if json:
        show_json(_verdict_json(blueprint.source, ()))
        return
    say(f"{blueprint.source}: valid", Tone.GOOD)
    say(f"{blueprint.name}, {blueprint.title}: {len(blueprint.agents)} agents, {len(blueprint.gates)} gates")
    say(f"merge order: {', '.join(blueprint.merge_order)}")


def _listed_row(listed: Listed) -> list[str | Cell]:
    origin = "shipped" if listed.shipped else str(listed.path)
    if listed.blueprint is None:
        count = len(listed.problems)
        complaint = f"{count} problem{'s'[: count != 1]}, see orchestra validate"
        return [listed.name, Cell(complaint, Tone.BAD), "", "", origin]
    found = listed.blueprint
    return [listed.name, found.title, str(len(found.agents)), " ".join(found.stages), Cell(origin, Tone.QUIET)]


def _listed_json(listed: Listed) -> dict[str, object]:
    found = listed.blueprint
    return {
        "name": listed.name,
        "path": str(listed.path.resolve()),
        "shipped": listed.shipped,
        "title": found.title if found else None,
        "description": found.description if found else None,
        "agents": [agent.name for agent in found.agents] if found else [],
        "stages": list(found.stages) if found else [],
        "problems": [_problem_json(problem) for problem in listed.problems],
    }


def _verdict_json(path: Path, problems: tuple[Problem, ...]) -> dict[str, object]:
    return {
        "blueprint": str(path.resolve()),
        "valid": not problems,
        "problems": [_problem_json(problem) for problem in problems],
    }


def _problem_json(problem: Problem) -> dict[str, object]:
    return {
        "file": str(problem.file.resolve()),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }
