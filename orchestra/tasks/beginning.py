"""The first steps in a repository, as tasks: init, doctor. Shows; decides nothing."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from orchestra.errors import ExitCode
from orchestra.tasks.console import Tone, say, show_json, tell
from orchestra.tasks.program import task


@task(help={"name": "The blueprint's name. Default: the project's."})
def init(c: Context, name: str | None = None, repo: str | None = None, json: bool = False) -> ExitCode:
    """Detect the stack and write a first blueprint, its schema for editors, and a tasks.py; change nothing that exists.

    Test, lint and set-up commands, protected files, stages and scopes are proposed from the files and the history of
    the repository. The blueprint validates and plans as it is; the agents' assignments are yours to write.
    """
    from orchestra.plan.survey import read_history
    from orchestra.repository.gateway import Repository
    from orchestra.workspace.init import init_files, write

    repository = Repository.discover(Path(repo or "."))
    tracked = repository.git.run("ls-files", "-z").fields
    tip = repository.resolve("HEAD")
    history = read_history(repository.git, tip, most_commits=_COMMITS).changes if tip else ()
    plan = init_files(repository.home, tracked, history=history, name=name)
    written = write(plan)
    if json:
        kept = [{"path": str(each.path), "advice": each.advice} for each in plan.kept]
        show_json({"blueprint": str(plan.blueprint), "written": [str(path) for path in written], "kept": kept})
        return ExitCode.DONE
    for path in written:
        say(f"wrote {path}", Tone.GOOD)
    for each in plan.kept:
        say(f"kept {each.path}" + (f": {each.advice}" if each.advice else ""), Tone.QUIET)
    tell(f"next: write what each agent is to do in {plan.blueprint}, then")
    tell(f"  orchestra plan --blueprint={plan.blueprint.stem}")
    return ExitCode.DONE


_COMMITS = 500
