"""``orchestra doctor``: check this machine and repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError, UsageError

if TYPE_CHECKING:
    from orchestra.doctor import Finding


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
        show_json(findings_to_json(checks))
        return code
    print_findings(checks if all else [check for check in checks if check.level is not Level.OK])
    passed = sum(check.level is Level.OK for check in checks)
    print_result(f"{passed} of {len(checks)} checks passed" + ("" if all else " (--all shows them)"))
    return code


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings, each with its fix."""
    tones = {"fail": Tone.BAD, "warn": Tone.WAITING, "ok": Tone.GOOD, "note": Tone.QUIET}
    for finding in findings:
        print_result(f"{finding.level:4}  {finding.subject}: {finding.message}", tones[finding.level.value])
        if finding.fix:
            print_result(f"      {finding.fix}")


def findings_to_json(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    """Return findings as ``doctor --json`` prints them."""
    return [{"level": f.level.value, "subject": f.subject, "message": f.message, "fix": f.fix} for f in findings]
