"""``orchestra blueprints``: list what ``--blueprint`` can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.blueprint_lookup import load_file, main_checkout, problem_to_json
from orchestra.cli.call import Call
from orchestra.cli.console import Cell, Tone, show_json
from orchestra.cli.program import task
from orchestra.cli.table_layout import show_table
from orchestra.errors import ExitCode

if TYPE_CHECKING:
    from orchestra.blueprint.load import Listed


@task("[BLUEPRINT]", examples=("blueprints", "blueprints mvp5 --json"))
def blueprints(call: Call) -> ExitCode:
    """List what --blueprint can name.

    The repository's own blueprints come first, then the shipped ones. A blueprint of the repository hides a shipped one
    of the same name. Outside a repository only the shipped ones are listed. A blueprint with problems is listed with
    their number; `validate` shows them.
    """
    from orchestra.blueprint.load import Listed, find_blueprint, list_blueprints

    home = main_checkout(call.repo)
    listed = list(list_blueprints(home))
    if call.blueprint is not None:
        path = find_blueprint(call.blueprint, home)
        listed = [entry for entry in listed if entry.path == path] or [
            Listed(call.blueprint, path, False, load_file(path, home))
        ]
    if call.json:
        show_json({"blueprints": [_to_json(entry) for entry in listed]})
    else:
        show_table(["name", "title", "agents", "stages", "from"], [_row(entry) for entry in listed])
    return ExitCode.DONE


def _row(listed: Listed) -> list[str | Cell]:
    origin = "shipped" if listed.shipped else str(listed.path)
    blueprint = listed.blueprint
    if blueprint is None:
        count = len(listed.problems)
        complaint = f"{count} problem{'s'[: count != 1]}, see orchestra validate"
        return [listed.name, Cell(complaint, Tone.BAD), "", "", origin]
    stages = " ".join(blueprint.stages)
    return [listed.name, blueprint.title, str(len(blueprint.agents)), stages, Cell(origin, Tone.QUIET)]


def _to_json(listed: Listed) -> dict[str, object]:
    blueprint = listed.blueprint
    return {
        "name": listed.name,
        "path": str(listed.path.resolve()),
        "shipped": listed.shipped,
        "title": blueprint.title if blueprint else None,
        "description": blueprint.description if blueprint else None,
        "agents": [agent.name for agent in blueprint.agents] if blueprint else [],
        "stages": list(blueprint.stages) if blueprint else [],
        "problems": [problem_to_json(problem) for problem in listed.problems],
    }
