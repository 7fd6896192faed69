"""``orchestra validate``: show every problem of a blueprint."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.blueprint_lookup import load_file, main_checkout, problem_to_json
from orchestra.cli.console import Tone, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import BlueprintError, ExitCode, UsageError


@task()
def validate(c: Context, repo: str | None = None, blueprint: str | None = None, json: bool = False) -> ExitCode:
    """Show every problem of a blueprint at once; run and change nothing.

    Each problem is one `file:line:col: message`, with a hint where a similar name exists. Exit code 0 without
    problems, 2 with any.
    """
    from orchestra.blueprint.load import find_blueprint
    from orchestra.fleet import last_blueprint
    from orchestra.git.repository import Repository

    home = main_checkout(repo)
    name = blueprint or (last_blueprint(Repository.discover(home)) if home is not None else None)
    if name is None:
        hint = "orchestra validate --blueprint=NAME or a file; orchestra blueprints lists the names"
        raise UsageError("no fleet was spawned in this repository yet, so --blueprint is needed", hint=hint)
    path = find_blueprint(name, home)
    try:
        loaded = load_file(path, home)
    except BlueprintError as error:
        if not json:
            raise
        problems = [problem_to_json(problem) for problem in error.problems]
        show_json({"blueprint": str(path.resolve()), "valid": False, "problems": problems})
        return error.exit_code
    if json:
        show_json({"blueprint": str(loaded.source.resolve()), "valid": True, "problems": []})
        return ExitCode.DONE
    print_result(f"{loaded.source}: valid", Tone.GOOD)
    print_result(f"{loaded.name}, {loaded.title}: {len(loaded.agents)} agents, {len(loaded.gates)} gates")
    print_result(f"merge order: {', '.join(loaded.merge_order)}")
    return ExitCode.DONE
