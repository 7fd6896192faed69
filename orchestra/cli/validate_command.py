"""``orchestra validate``: show every problem of a blueprint."""

from __future__ import annotations

from orchestra.cli.blueprint_lookup import load_file, main_checkout, problem_to_json
from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import BlueprintError, ExitCode, UsageError


@task(
    "[BLUEPRINT]",
    examples=("validate blueprints/shop.yaml", "validate mvp5 --json"),
    exits={0: "no problem", 2: "the blueprint has problems"},
)
def validate(call: Call) -> ExitCode:
    """Show every problem of a blueprint at once.

    Nothing is run or changed. Each problem is one `file:line:col: message`, with a hint where a similar name exists.
    """
    from orchestra.blueprint.load import find_blueprint
    from orchestra.fleet import default_blueprint
    from orchestra.git.repository import Repository

    home = main_checkout(call.repo)
    if call.blueprint is None and home is None:
        raise UsageError("which blueprint? This folder is in no git repository", hint="orchestra validate FILE")
    path = find_blueprint(call.blueprint or default_blueprint(Repository.discover(call.folder)), home)
    try:
        loaded = load_file(path, home)
    except BlueprintError as error:
        if not call.json:
            raise
        problems = [problem_to_json(problem) for problem in error.problems]
        show_json({"blueprint": str(path.resolve()), "valid": False, "problems": problems})
        return error.exit_code
    if call.json:
        show_json({"blueprint": str(loaded.source.resolve()), "valid": True, "problems": []})
        return ExitCode.DONE
    print_result(f"{loaded.source}: valid", Tone.GOOD)
    print_result(f"{loaded.name}, {loaded.title}: {len(loaded.agents)} agents, {len(loaded.gates)} gates")
    print_result(f"merge order: {', '.join(loaded.merge_order)}")
    call.print_next(None if home is None else "plan")
    return ExitCode.DONE
