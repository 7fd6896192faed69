"""``orchestra doctor``: check this machine and repository."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, UsageError


@task(help={"all": "Show the checks that passed too."})
def doctor(
    c: Context, all: bool = False, repo: str | None = None, blueprint: str | None = None, json: bool = False
) -> ExitCode:
    """Check this machine and repository, and print a fix for each problem.

    Exit code 3 when something that the blueprint declares will not work here. Keys and logins are looked for, never
    read.
    """
    from orchestra.doctor import Level, examine

    try:
        fleet = load_fleet(repo, blueprint)
    except (GroundError, UsageError) as error:
        if blueprint is not None:
            raise
        print_note(f"Checking the machine only: {error.message.splitlines()[0]}")
        fleet = None
    checks = examine(fleet)
    code = ExitCode.WRONG_GROUND if any(check.level is Level.FAIL for check in checks) else ExitCode.DONE
    if json:
        show_json([{"level": c.level, "subject": c.subject, "message": c.message, "fix": c.fix} for c in checks])
        return code
    tones = {Level.FAIL: Tone.BAD, Level.WARN: Tone.WAITING, Level.OK: Tone.GOOD, Level.NOTE: Tone.QUIET}
    for check in checks:
        if all or check.level is not Level.OK:
            print_result(f"{check.level:4}  {check.subject}: {check.message}", tones[check.level])
            if check.fix:
                print_result(f"      {check.fix}")
    passed = sum(check.level is Level.OK for check in checks)
    print_result(f"{passed} of {len(checks)} checks passed" + ("" if all else " (--all shows them)"))
    return code
