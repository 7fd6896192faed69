"""``orchestra init``: write a first blueprint."""

from __future__ import annotations

import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError

if TYPE_CHECKING:
    from orchestra.git.repository import Repository

_MOST_COMMITS = 500


def _trust_own(repository: Repository, blueprint: Path) -> None:
    """Trust what init wrote for this person."""
    from orchestra.blueprint.load import load_blueprint
    from orchestra.errors import OrchestraError
    from orchestra.fleet import make_fleet
    from orchestra.workspace.trust import trust

    with suppress(OrchestraError, OSError):
        trust(make_fleet(repository, load_blueprint(blueprint, blueprint_paths=[repository.top / "blueprints"])))


@task(
    help={
        "name": "The blueprint's name. Default: the project's.",
        "invoke": "Write a tasks.py too, for `inv VERB` with Invoke.",
    }
)
def init(
    c: Context, name: str | None = None, invoke: bool = False, repo: str | None = None, json: bool = False
) -> ExitCode:
    """Detect the stack and write a first blueprint and its schema for editors; change nothing that exists.

    Test, lint and set-up commands, protected files and scopes are proposed from the files and the history of the
    repository. The blueprint validates and plans as it is; write the agents' assignments into it.
    """
    from orchestra.git.refs import resolve
    from orchestra.git.repository import Repository
    from orchestra.plan.repository_scan import read_history
    from orchestra.scaffold.init import init_files, write

    repository = Repository.discover(Path(repo or "."))
    if repository.top == repository.home and repository.bare:
        hint = f"clone it, and run `orchestra init` in the clone: git clone {shlex.quote(str(repository.home))} FOLDER"
        raise GroundError(f"{repository.home} is a bare repository, and init writes files into a checkout", hint=hint)
    git = repository.at(repository.top)
    tracked = git.run("ls-files", "-z").fields
    tip = resolve(git, "HEAD")
    history = read_history(repository.git, tip, most_commits=_MOST_COMMITS).changes if tip else ()
    plan = init_files(
        repository.top,
        tracked,
        history=history,
        name=name,
        invoke=invoke,
        has_uv=shutil.which("uv") is not None,
        is_ignored=lambda folder: git.run("check-ignore", "--quiet", folder, ok=(0, 1, 128)).code == 0,
    )
    written = write(plan)
    if repository.top / plan.blueprint in [repository.top / path for path in written]:
        _trust_own(repository, repository.top / plan.blueprint)
    if json:
        unchanged = [{"path": str(file.path), "advice": file.advice} for file in plan.existing]
        show_json(
            {"blueprint": str(plan.blueprint), "written": [str(path) for path in written], "unchanged": unchanged}
        )
        return ExitCode.DONE
    for path in written:
        print_result(f"wrote {path}", Tone.GOOD)
    for file in plan.existing:
        print_result(f"kept {file.path}" + (f": {file.advice}" if file.advice else ""), Tone.QUIET)
    print_note(f"Next: describe each agent's task in {plan.blueprint}, then run")
    print_note(f"  orchestra plan --blueprint={plan.blueprint.stem}")
    return ExitCode.DONE
