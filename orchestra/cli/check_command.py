"""``orchestra check``: run the set-up and the gates once on the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_note, print_result, progress, show_json
from orchestra.cli.program import task
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.text import format_duration

if TYPE_CHECKING:
    from orchestra.train.target_gates import TargetCheck


@task(
    "[BLUEPRINT]",
    examples=("check", "check mvp5"),
    exits={0: "the set-up and every gate passed", 1: "one of them failed"},
)
def check(call: Call) -> ExitCode:
    """Run the set-up and every gate once on the target.

    They run on the target as it is, in a gate slot, and are timed. What fails here would fail for every agent: nothing
    can land before it passes. `plan` shows when the target last passed.
    """
    from orchestra.train.target_gates import check_target_gates

    fleet = call.load_fleet()
    require_trust(fleet)
    with progress("check") as step:
        result = check_target_gates(fleet, announce=step)
    if call.json:
        show_json(check_to_json(fleet, result))
    else:
        print_check(fleet, result)
        call.print_next("plan" if result.passed else None)
    return ExitCode.DONE if result.passed else ExitCode.SHORT


def print_check(fleet: Fleet, result: TargetCheck) -> None:
    """Print how the set-up and each gate ended, and the first error of what failed."""
    from orchestra.engine.job import Outcome

    print_result(f"{result.target} at {result.commit[:10]}, in {result.slot}")
    if result.setup_kept and fleet.blueprint.worktrees.setup.run:
        print_result("  setup   kept from an earlier run: nothing that it depends on has changed", Tone.QUIET)
    width = max(map(len, ("setup", *(run.name for run in result.runs))))
    for run in result.runs:
        passed = run.outcome is Outcome.PASSED
        text = f"  {run.name:<{width}}  {run.outcome:<9}  {format_duration(run.seconds):>7}  {run.command}"
        print_result(text, Tone.GOOD if passed else Tone.BAD)
        if not passed:
            print_result(f"      {run.reason or 'no output'}", Tone.BAD)
            print_result(f"      log: {run.log}")
    if result.skipped:
        print_result(f"  not run, because the set-up failed: {', '.join(result.skipped)}", Tone.WAITING)
    if not result.passed:
        print_note(
            f"Nothing can land on {result.target} while this fails: fix it, commit, and run orchestra check again."
        )


def check_to_json(fleet: Fleet, result: TargetCheck) -> dict[str, object]:
    """Return the check as ``check --json`` prints it."""
    runs = [
        {
            "name": run.name,
            "command": run.command,
            "outcome": run.outcome,
            "seconds": round(run.seconds, 3),
            "log": str(run.log),
            "reason": run.reason,
        }
        for run in result.runs
    ]
    return {
        "fleet": fleet.name,
        "target": {"branch": result.target, "commit": result.commit},
        "passed": result.passed,
        "slot": str(result.slot),
        "setup_kept": result.setup_kept,
        "runs": runs,
        "skipped": list(result.skipped),
    }
