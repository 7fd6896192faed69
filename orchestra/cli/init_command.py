"""``orchestra init``: write a first blueprint, or a shipped fleet with its starter."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, ask, is_terminal, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, UsageError
from orchestra.text import format_count

if TYPE_CHECKING:
    from orchestra.git.repository import Repository
    from orchestra.scaffold.init import InitPlan

_MOST_COMMITS = 500


@task(
    help={
        "name": "NAME: The blueprint's name. Default: the project's.",
        "from": "FLEET: Copy a shipped fleet to blueprints/, with the project that it builds on, and commit both.",
        "dir": "FOLDER: Make this folder and a git repository in it first; with --from.",
        "yes": "Commit without asking; with --from.",
        "invoke": "Write a tasks.py too, for `inv VERB` with Invoke.",
    },
    examples=("init", "init --from=mvp5 --dir=shop"),
    shared=("repo", "json"),
)
def init(
    call: Call,
    name: str | None = None,
    from_: str | None = None,
    dir: str | None = None,
    yes: bool = False,
    invoke: bool = False,
) -> ExitCode:
    """Write a first blueprint for this repository.

    The stack is detected. A schema for editors is written too; nothing that exists is changed.

    Test, lint and set-up commands, protected files and scopes are proposed from the files and the history of the
    repository. The blueprint validates and plans as it is; write the agents' assignments into it.

    With --from, a new product starts from a shipped fleet (`orchestra blueprints` lists them): its blueprint and a
    small project whose gates pass are shown, written, and committed after a yes.
    """
    from orchestra.git.refs import resolve
    from orchestra.git.repository import Repository
    from orchestra.plan.repository_scan import read_history
    from orchestra.scaffold.init import init_files, write

    if from_ is None and (dir is not None or yes):
        raise call.wrong_line(f"--{'dir' if dir is not None else 'yes'} needs --from=FLEET")
    if from_ is not None:
        return _init_from(from_, dir, call.repo, yes=yes, invoke=invoke, json=call.json)
    repository = Repository.discover(call.folder)
    _refuse_bare(repository)
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
    _trust_own(repository, plan, written)
    _show(plan, written, commit=None, json=call.json)
    print_note(f"Describe each agent's task in {plan.blueprint}, and commit what init wrote.")
    call.print_next(f"check {plan.blueprint.stem}")
    return ExitCode.DONE


def _init_from(fleet: str, folder: str | None, repo: str | None, *, yes: bool, invoke: bool, json: bool) -> ExitCode:
    """Show the fleet and its starter, and write and commit them after a yes."""
    from orchestra.git.repository import Repository
    from orchestra.scaffold.init import write
    from orchestra.scaffold.starter import commit_files, create_repository, fleet_files, require_committable

    root = Path(folder or repo or ".")
    fleet_files(root, [], fleet)  # refuses an unknown fleet before a folder is made
    if folder is not None or (root.is_dir() and not any(root.iterdir())):
        create_repository(root)
    repository = Repository.discover(root)
    _refuse_bare(repository)
    git = repository.at(repository.top)
    branch = require_committable(git)
    plan = fleet_files(repository.top, git.run("ls-files", "-z").fields, fleet, invoke=invoke)
    name = branch.removeprefix("refs/heads/")
    if not plan.new:
        print_note(f"{plan.blueprint} and what it requires exist already; nothing was written")
    for file in () if yes else plan.new:
        print_note(f"  {file.path} ({format_count(len(file.text.splitlines()), 'line')})")
    if plan.new and not yes:
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise UsageError("nothing was written: init asks before it commits", hint="add --yes to commit these files")
        if ask(f"Write these files and commit them to {name}?", ("yes", "no")) != "yes":
            print_note("Nothing was written.")
            return ExitCode.SHORT
    written = write(plan)
    _trust_own(repository, plan, written)
    commit = None
    if written:
        paths = [file.path for file in plan.new if repository.top / file.path in written]
        commit = commit_files(repository, branch, paths, f"Start from the fleet {plan.blueprint.stem}")
    _show(plan, written, commit=commit, json=json)
    if commit:
        print_note(f"committed {format_count(len(written), 'file')} to {name} as {commit[:10]}")
    if not json:
        place = "" if repository.top == Path.cwd() else f"cd {shlex.quote(str(repository.top))} && "
        print_result(f"next: {place}orchestra check {plan.blueprint.stem}")
    return ExitCode.DONE


def _refuse_bare(repository: Repository) -> None:
    if repository.top == repository.home and repository.bare:
        hint = f"clone it, and run `orchestra init` in the clone: git clone {shlex.quote(str(repository.home))} FOLDER"
        raise GroundError(f"{repository.home} is a bare repository, and init writes files into a checkout", hint=hint)


def _trust_own(repository: Repository, plan: InitPlan, written: tuple[Path, ...]) -> None:
    """Trust the blueprint that init wrote for this person."""
    from orchestra.blueprint.load import load_blueprint
    from orchestra.errors import OrchestraError
    from orchestra.fleet import make_fleet
    from orchestra.workspace.trust import trust

    path = repository.top / plan.blueprint
    if path in written:
        with suppress(OrchestraError, OSError):
            trust(make_fleet(repository, load_blueprint(path, blueprint_paths=[path.parent])))


def _show(plan: InitPlan, written: tuple[Path, ...], *, commit: str | None, json: bool) -> None:
    if json:
        unchanged = [{"path": str(file.path), "advice": file.advice} for file in plan.existing]
        document = {"blueprint": str(plan.blueprint), "written": [str(path) for path in written]}
        show_json({**document, "unchanged": unchanged, "commit": commit})
        return
    for path in written:
        print_result(f"wrote {path}", Tone.GOOD)
    for file in plan.existing:
        print_result(f"kept {file.path}" + (f": {file.advice}" if file.advice else ""), Tone.QUIET)
