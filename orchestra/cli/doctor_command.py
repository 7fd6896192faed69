"""``orchestra doctor``: check this machine and repository."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, UsageError


@task(
    help={"all": "Show the checks that passed too."},
    examples=("doctor", "doctor --all"),
    exits={0: "nothing prevents the work", 3: "something that the blueprint declares will not work here"},
)
def doctor(call: Call, all: bool = False) -> ExitCode:
    """Check this machine and repository.

    A fix is printed for each problem.

    Keys and logins are looked for, never read.
    """
    from orchestra.doctor import Level, examine

    try:
        fleet = call.load_fleet()
    except (GroundError, UsageError) as error:
        if call.blueprint is not None:
            raise
        print_note(f"Checking the machine only: {error.message.splitlines()[0]}")
        fleet = None
    checks = examine(fleet)
    code = ExitCode.WRONG_GROUND if any(check.level is Level.FAIL for check in checks) else ExitCode.DONE
    if call.json:
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
