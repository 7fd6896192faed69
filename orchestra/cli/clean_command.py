"""``orchestra clean``: remove the worktrees and branches of landed and discarded agents."""

from __future__ import annotations

from orchestra.cli.call import Call, recover_landing
from orchestra.cli.program import task
from orchestra.cli.trust_command import require_trust
from orchestra.cli.workspace_output import COMMANDS_AT_ONCE, phase_progress, print_steps
from orchestra.errors import ExitCode


@task(
    "[AGENT...]",
    help={
        "dry-run": "Print the steps and change nothing.",
        "save-all": "Also save uncommitted work of more than 50 MB or 1,000 files.",
    },
    examples=("clean --dry-run", "clean api"),
)
def clean(call: Call, agents: tuple[str, ...], dry_run: bool = False, save_all: bool = False) -> ExitCode:
    """Remove worktrees and branches that are done with.

    Those are of agents whose work has landed or was discarded. Uncommitted work in them is first saved under
    refs/orchestra/FLEET/AGENT/saved; more than 50 MB or 1,000 files only with --save-all. An agent whose removal would
    lose anything keeps its worktree, and the reason is printed.
    """
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.clean import clean as run
    from orchestra.workspace.clean import plan_clean

    fleet = call.load_fleet()
    names = call.names(fleet, agents)
    if dry_run:
        plan = plan_clean(fleet, names, save_all=save_all)
        print_steps(plan.lines(), skipped=plan.skipped, json=call.json, nothing="Nothing to do.")
        return ExitCode.DONE
    require_trust(fleet)
    recover_landing(fleet)
    with LocalEngine(COMMANDS_AT_ONCE) as engine, phase_progress("clean") as listener:
        report = run(fleet, names, engine=engine, save_all=save_all, progress=listener)
    nothing = "Nothing to clean: no agent with a worktree or branch has landed or was discarded."
    print_steps(report.steps, skipped=report.skipped, json=call.json, nothing=nothing)
    return ExitCode.DONE
