"""``orchestra discard``: take agents' work out of the fleet."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decisions, verdict_lock
from orchestra.errors import ExitCode


@task(
    "AGENT [REASON]",
    help={"reason": "Why the work is not wanted; it is recorded."},
    examples=("discard api 'replaced by auth'", "clean"),
)
def discard(call: Call, agent: str, reason: str = "") -> ExitCode:
    """Take an agent's work out of the fleet.

    A ref keeps its commits; the output says how to bring them back.
    """
    from orchestra.review import verdicts
    from orchestra.review.verdict_giver import require_person

    fleet = call.load_fleet()
    declared = call.agent(fleet, agent)
    require_person(fleet, call.line)
    with verdict_lock(fleet, "discard"):
        decision = verdicts.discard(fleet, declared, reason)
    print_decisions(call, fleet, [decision])
    call.print_next(f"clean {declared.name}")
    return ExitCode.DONE
