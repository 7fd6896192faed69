"""``orchestra adopt``: take in branches that orchestra did not create."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from orchestra.blueprint.model import RunGate
from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.init_command import refuse_bare, trust_own
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, UsageError
from orchestra.fleet import Fleet, default_blueprint, make_fleet
from orchestra.text import format_list

if TYPE_CHECKING:
    from orchestra.git.repository import Repository
    from orchestra.workspace.adoption import AdoptionPlan

_MAIN_NAMES = ("main", "master", "trunk")


@task(
    "BRANCH...",
    help={
        "as": "NAME: The agent's name, for one branch. Default: derived from the branch.",
        "stage": "STAGE: The stage in which the branches land. Default: none, or that of the declared agent.",
        "dry-run": "Print what would be adopted and change nothing.",
    },
    examples=("adopt feature/login fix-typo", "adopt worktree-auth --as auth --stage services"),
    exits={0: "every branch is an agent of the fleet", 1: "one of several branches cannot be adopted"},
)
def adopt(
    call: Call, branches: tuple[str, ...], as_: str | None = None, stage: str | None = None, dry_run: bool = False
) -> ExitCode:
    """Take in branches that orchestra did not create, as agents of a fleet.

    A person's branches, those of a client's own worktrees and the like are then reviewed, approved, tested and landed
    as those of other agents. An adopted branch counts as finished when its worktree, if it has one, has no uncommitted
    files. It may change everything that is not protected, and needs no AGENT_NOTES.md. No session is started for it.

    Without a blueprint in the repository, blueprints/branches.yaml is written first, with the set-up and the gates that
    the repository's files suggest.

    Branch and worktree are never changed or removed: `clean` only forgets what has landed or was discarded. To let go
    of a branch: `orchestra discard AGENT REASON`, then `orchestra clean AGENT`.
    """
    from orchestra.workspace.adoption import adopt as run
    from orchestra.workspace.adoption import plan_adoption

    fleet, written = _open_fleet(call, dry_run=dry_run)
    if dry_run:
        fleet.repository.require_writable()
    act = plan_adoption if dry_run else run
    plan = act(fleet, branches, stage=stage, name=as_)
    if len(branches) == 1 and plan.refusals:
        raise next(iter(plan.refusals.values()))
    if call.json:
        show_json(_to_json(plan, written, dry_run=dry_run))
        return ExitCode.SHORT if plan.refusals else ExitCode.DONE
    _print_plan(plan, written, dry_run=dry_run)
    names = [adoption.agent.name for adoption in plan.new] or [agent.name for agent in plan.existing]
    if names and not dry_run:
        call.print_next(f"review {names[0]}" if len(names) == 1 else "review")
    return ExitCode.SHORT if plan.refusals else ExitCode.DONE


def _open_fleet(call: Call, *, dry_run: bool) -> tuple[Fleet, tuple[str, ...]]:
    """Return the fleet, and the files that were written for it because the repository has no blueprint."""
    from orchestra.blueprint.catalog import names_in
    from orchestra.git.repository import Repository

    repository = Repository.discover(call.folder)
    if call.blueprint is not None:
        return call.load_fleet(), ()
    try:
        default_blueprint(repository)
    except UsageError:
        if names_in(repository.top / "blueprints"):
            raise
        return _draft_fleet(repository, dry_run=dry_run)
    return call.load_fleet(), ()


def _draft_fleet(repository: Repository, *, dry_run: bool) -> tuple[Fleet, tuple[str, ...]]:
    """Write a blueprint with the gates of the repository, or with ``dry_run`` only load what would be written."""
    import tempfile
    from pathlib import Path

    from orchestra.blueprint.load import load_blueprint
    from orchestra.scaffold.detect import PROGRAMS
    from orchestra.scaffold.init import branches_files, write

    refuse_bare(repository)
    git = repository.at(repository.top)
    plan = branches_files(
        repository.top,
        git.run("ls-files", "-z").fields,
        target=_find_target(repository),
        programs=[name for name in PROGRAMS if shutil.which(name)],
        is_ignored=lambda folder: git.run("check-ignore", "--quiet", folder, ok=(0, 1, 128)).code == 0,
    )
    paths = tuple(str(plan.root / file.path) for file in plan.new)
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / plan.blueprint.name
            draft.write_text(next(file.text for file in plan.new if file.path == plan.blueprint), "utf-8")
            return make_fleet(repository, load_blueprint(draft)), paths
    written = write(plan)
    trust_own(repository, plan, written)
    return make_fleet(repository, load_blueprint(plan.root / plan.blueprint)), tuple(map(str, written))


def _find_target(repository: Repository) -> str:
    """Return the remote's default branch, else the usual name of a main branch, else the current branch."""
    remote = repository.default_remote()
    default = repository.default_target(remote) if remote else None
    usual = [name for name in _MAIN_NAMES if repository.branch_tip(name) is not None]
    target = (default if default and repository.branch_tip(default) else None) or next(
        iter(usual), repository.current_branch()
    )
    if target is None:
        hint = "check out the branch on which work is to land, then adopt the others"
        raise GroundError(f"no target is known: HEAD is detached in {repository.home}", hint=hint)
    return target


def _gates_line(fleet: Fleet) -> str:
    commands = [f"{gate.name} ({gate.run})" for gate in fleet.blueprint.gates.values() if isinstance(gate, RunGate)]
    builtin = [gate.name for gate in fleet.blueprint.gates.values() if not isinstance(gate, RunGate)]
    if not commands:
        return f"no test command, so that work lands untested; built-in gates: {format_list(builtin) or 'none'}"
    return format_list([*commands, *builtin])


def _print_plan(plan: AdoptionPlan, written: tuple[str, ...], *, dry_run: bool) -> None:
    fleet = plan.fleet
    for path in written:
        print_result(f"{'would write' if dry_run else 'wrote'} {path}", Tone.GOOD)
    print_result(f"fleet {fleet.name}, landing on {fleet.target}; gates: {_gates_line(fleet)}")
    if plan.new:
        print_result("would adopt" if dry_run else "adopted", Tone.GOOD)
    for adoption in plan.new:
        print_result(f"  {adoption.line()}")
    for agent in plan.existing:
        print_note(f"{agent.branch} was adopted before, as agent {agent.name}", Tone.QUIET)
    for branch, error in plan.refusals.items():
        print_note(f"{branch}: not adopted: {error.message}", Tone.BAD)
        if error.hint:
            print_note(f"  hint: {error.hint}", Tone.QUIET)


def _to_json(plan: AdoptionPlan, written: tuple[str, ...], *, dry_run: bool) -> dict[str, object]:
    return {
        "fleet": plan.fleet.name,
        "target": plan.fleet.target,
        "dry_run": dry_run,
        "written": list(written),
        "adopted": [
            {
                "agent": adoption.agent.name,
                "branch": adoption.agent.branch,
                "stage": adoption.agent.stage,
                "base": adoption.base,
                "head": adoption.tip,
                "commits": adoption.commits,
                "worktree": str(adoption.worktree) if adoption.worktree else None,
            }
            for adoption in plan.new
        ],
        "existing": [{"agent": agent.name, "branch": agent.branch} for agent in plan.existing],
        "refused": [
            {"branch": branch, "reason": error.message, "hint": error.hint} for branch, error in plan.refusals.items()
        ],
    }
