"""``orchestra init``: write a first blueprint, or a shipped fleet with its starter."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestra.blueprint.git_names import fleet_name_problem
from orchestra.cli.call import Call
from orchestra.cli.console import (
    Tone,
    ask,
    diff_cells,
    is_terminal,
    print_note,
    print_result,
    progress,
    show_json,
)
from orchestra.cli.pager import show_page
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, Shortfall, UsageError
from orchestra.text import format_count, format_list

if TYPE_CHECKING:
    from orchestra.git.repository import Repository
    from orchestra.scaffold.goal import GoalGround
    from orchestra.scaffold.init import InitPlan

_MOST_COMMITS = 500
_MOST_USD = 5.0
"""Cost limit of one conversation with the client about a goal."""


@task(
    help={
        "name": "NAME: The blueprint's name. Default: the project's.",
        "goal": "TEXT: Ask the Claude Code client, read-only, for agents, scopes and tasks that reach this goal.",
        "from": "FLEET: Copy a shipped fleet to blueprints/, with the project that it builds on, and commit both.",
        "dir": "FOLDER: Make this folder and a git repository in it first; with --from.",
        "plugin": "Add /orchestra:plan, :status, :review and :triage to your own Claude Code sessions here.",
        "yes": "Write without asking; with --goal, --from and --plugin.",
        "invoke": "Write a tasks.py too, for `inv VERB` with Invoke.",
    },
    examples=(
        "init",
        "init --goal='Add rate limits to the API'",
        "init --from=mvp5 --dir=shop",
        "init --plugin",
    ),
    shared=("repo", "json"),
)
def init(
    call: Call,
    name: str | None = None,
    goal: str | None = None,
    from_: str | None = None,
    dir: str | None = None,
    plugin: bool = False,
    yes: bool = False,
    invoke: bool = False,
) -> ExitCode:
    """Write a first blueprint for this repository.

    Test, lint and set-up commands, protected files and scopes are proposed from the files and the history of the
    repository. The blueprint validates and plans as it is; write the agents' assignments into it. A schema for editors
    is written too; nothing that exists is changed.

    With --goal, the installed Claude Code client proposes agents, scopes and tasks. It can read files here, and neither
    write nor run anything; commands come from what was detected. A proposal with errors is sent back, at most twice.
    The blueprint is shown, and written after a yes. A conversation costs at most about $5; what it cost is printed.

    With --from, a new product starts from a shipped fleet (`orchestra blueprints` lists them): its blueprint and a
    small project whose gates pass are shown, written, and committed after a yes.

    With --plugin, the client installs a plugin for your own sessions here. It starts nothing and gives no verdict.
    """
    from orchestra.git.repository import Repository

    if goal is not None and (from_ is not None or dir is not None):
        raise call.wrong_line(f"--goal and --{'dir' if from_ is None else 'from'} exclude each other")
    if plugin and (goal is not None or from_ is not None or name is not None or invoke):
        raise call.wrong_line("--plugin writes no blueprint", hint="orchestra init --plugin")
    if from_ is None and (dir is not None or (yes and goal is None and not plugin)):
        raise call.wrong_line(
            "--dir needs --from=FLEET" if dir else "--yes needs --goal=TEXT, --from=FLEET or --plugin"
        )
    if from_ is not None:
        return _init_from(from_, dir, call.repo, yes=yes, invoke=invoke, json=call.json)
    repository = Repository.discover(call.folder)
    if plugin:
        return _install_plugin(repository.top, yes=yes, json=call.json)
    return _draft(call, repository, goal=goal, name=name, yes=yes, invoke=invoke)


def _draft(
    call: Call, repository: Repository, *, goal: str | None, name: str | None, yes: bool, invoke: bool
) -> ExitCode:
    """Draft a blueprint from what the repository holds, or for a goal."""
    from orchestra.git.refs import resolve
    from orchestra.plan.repository_scan import read_history
    from orchestra.scaffold.detect import PROGRAMS
    from orchestra.scaffold.init import init_files, write

    refuse_bare(repository)
    git = repository.at(repository.top)
    tracked = git.run("ls-files", "-z").fields
    tip = resolve(git, "HEAD")
    history = read_history(repository.git, tip, most_commits=_MOST_COMMITS).changes if tip else ()
    programs = [name for name in PROGRAMS if shutil.which(name)]

    def is_ignored(folder: str) -> bool:
        return git.run("check-ignore", "--quiet", folder, ok=(0, 1, 128)).code == 0

    if goal is not None:
        from orchestra.scaffold.goal import read_ground

        ground = read_ground(repository, tracked, history, programs=programs, is_ignored=is_ignored)
        return _init_for_goal(call, ground, goal, name=name, yes=yes, invoke=invoke)
    plan = init_files(
        repository.top, tracked, history=history, name=name, invoke=invoke, programs=programs, is_ignored=is_ignored
    )
    written = write(plan)
    trust_own(repository, plan, written)
    _show(plan, written, commit=None, json=call.json)
    print_note(f"Describe each agent's task in {plan.blueprint}, and commit what init wrote.")
    call.print_next(f"check {plan.blueprint.stem}")
    return ExitCode.DONE


def _init_for_goal(call: Call, ground: GoalGround, goal: str, *, name: str | None, yes: bool, invoke: bool) -> ExitCode:
    """Ask the client for agents, show the blueprint, and write it after a yes."""
    from orchestra.scaffold.goal import MOST_ROUNDS, SCHEMA, draft_for_goal
    from orchestra.scaffold.init import foreign_setup, plan_files, write
    from orchestra.sessions.runners.claude_question import ClientQuestion

    repository, is_asked = ground.repository, not yes
    if not goal.strip():
        raise UsageError("--goal is empty", hint="say in a sentence or two what should be true afterwards")
    if is_asked and not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError("nothing was asked: init shows the proposal before it writes", hint="add --yes to write it")
    if name is not None and (fault := fleet_name_problem(name)):
        raise UsageError(f'the name "{name}" {fault}', hint="for instance --name=rate-limits")
    if name is not None and (repository.top / "blueprints" / f"{name}.yaml").exists():
        raise UsageError(f"blueprints/{name}.yaml exists, and init changes no file", hint="choose another --name")
    logs = repository.state_folder / "goals"

    # Ask, with corrections.
    with progress("init") as step:
        step("asking the client, which reads the repository first")
        question = ClientQuestion(repository.top, logs, SCHEMA, most_usd=_MOST_USD, announce=step)
        draft = draft_for_goal(ground, goal, question.ask, name=name, announce=step)
    cost_usd, tokens = question.usage.cost_usd, question.usage.input_tokens + question.usage.output_tokens
    cost = "cost: not reported" if cost_usd is None else f"cost: ${cost_usd:.2f}"
    print_note(f"{cost} for {format_count(draft.rounds, 'proposal')}, {tokens:,} tokens. Logs: {logs}")
    if draft.errors:
        draft_file = logs / f"{draft.name or 'draft'}.yaml"
        draft_file.write_text(draft.text, "utf-8")
        listed = "\n".join(f"  {error}" for error in draft.errors)
        message = f"after {MOST_ROUNDS} proposals the draft still has errors, so it was not written:\n{listed}"
        raise Shortfall(message, hint=f"narrow the goal and run init again, or correct the draft by hand: {draft_file}")

    # Show it, and write it after a yes.
    path = PurePosixPath("blueprints") / f"{draft.name}.yaml"
    foreign = foreign_setup(ground.stack)
    plan = plan_files(repository.top, path, {}, draft.text, invoke=invoke, foreign_setup=foreign)
    if not call.json:
        show_page(diff_cells(_diff_of_new(str(plan.blueprint), draft.text)))
    if is_asked and ask(f"Write {plan.blueprint}?", ("yes", "no")) != "yes":
        print_note("Nothing was written.")
        return ExitCode.SHORT
    written = write(plan)
    trust_own(repository, plan, written)
    _show(plan, written, commit=None, json=call.json, cost_usd=cost_usd)
    print_note(f"Read the tasks in {plan.blueprint}, and commit what init wrote.")
    call.print_next(f"check {plan.blueprint.stem}")
    return ExitCode.DONE


def _diff_of_new(path: str, text: str) -> str:
    lines = text.splitlines()
    return "\n".join(["--- /dev/null", f"+++ b/{path}", f"@@ -0,0 +1,{len(lines)} @@", *(f"+{line}" for line in lines)])


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
    refuse_bare(repository)
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
    trust_own(repository, plan, written)
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


def _install_plugin(folder: Path, *, yes: bool, json: bool) -> ExitCode:
    """Show the client's commands that install the plugin, and run them after a yes."""
    from orchestra.scaffold.session_plugin import PLUGIN, install_plugin, plugin_commands, session_commands
    from orchestra.sessions.runners.claude_question import require_client

    require_client()
    if not yes:
        for command in plugin_commands():
            print_note(f"  {shlex.join(command)}")
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise UsageError("nothing was installed: init asks first", hint="add --yes to run these commands")
        if ask("Run these commands?", ("yes", "no")) != "yes":
            print_note("Nothing was installed.")
            return ExitCode.SHORT
    install_plugin(folder)
    if json:
        show_json({"plugin": PLUGIN, "commands": session_commands()})
    else:
        print_result(f"installed {PLUGIN} for you in {folder}", Tone.GOOD)
        print_result(f"In a new session: {', '.join(session_commands())}")
    return ExitCode.DONE


def refuse_bare(repository: Repository) -> None:
    if repository.top == repository.home and repository.bare:
        hint = f"clone it, and run `orchestra init` in the clone: git clone {shlex.quote(str(repository.home))} FOLDER"
        raise GroundError(f"{repository.home} is a bare repository, and init writes files into a checkout", hint=hint)


def trust_own(repository: Repository, plan: InitPlan, written: tuple[Path, ...]) -> None:
    """Trust the blueprint that init wrote for this person, unless it took commands from another tool's file."""
    from orchestra.blueprint.load import load_blueprint
    from orchestra.errors import OrchestraError
    from orchestra.fleet import make_fleet
    from orchestra.workspace.trust import trust

    path = repository.top / plan.blueprint
    if path in written and not plan.foreign_setup:
        with suppress(OrchestraError, OSError):
            trust(make_fleet(repository, load_blueprint(path, blueprint_paths=[path.parent])))


def _show(
    plan: InitPlan, written: tuple[Path, ...], *, commit: str | None, json: bool, cost_usd: float | None = None
) -> None:
    if json:
        unchanged = [{"path": str(file.path), "advice": file.advice} for file in plan.existing]
        document = {"blueprint": str(plan.blueprint), "written": [str(path) for path in written]}
        show_json({**document, "unchanged": unchanged, "commit": commit, "cost_usd": cost_usd})
        return
    for path in written:
        print_result(f"wrote {path}", Tone.GOOD)
    if plan.foreign_setup and written:
        print_note(f"Set-up commands come from {format_list(plan.foreign_setup)}: you are asked before they run.")
    for file in plan.existing:
        print_result(f"kept {file.path}" + (f": {file.advice}" if file.advice else ""), Tone.QUIET)
