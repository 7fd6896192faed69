"""``orchestra discard``: take an agent's work out of the fleet."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import ExitCode


@task(positional=["agent"], help={"reason": "Why the work is not wanted; it is recorded."})
def discard(
    c: Context, agent: str, reason: str = "", repo: str | None = None, blueprint: str | None = None
) -> ExitCode:
    """Take an agent's work out of the fleet. A ref keeps its commits; the output says how to bring them back."""
    from orchestra.review import verdicts

    fleet = load_fleet(repo, blueprint)
    with verdict_lock(fleet, "discard"):
        print_decision(verdicts.discard(fleet, fleet.require_agent(agent), reason))
    return ExitCode.DONE
