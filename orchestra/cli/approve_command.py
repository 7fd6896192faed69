"""``orchestra approve``: let an agent's work land."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import ExitCode


@task(
    positional=["agent"],
    help={"proposal": "Accept the resolution that the last merge proposed for its conflict; merge lands it."},
)
def approve(
    c: Context, agent: str, proposal: bool = False, repo: str | None = None, blueprint: str | None = None
) -> ExitCode:
    """Approve the exact commit that an agent's branch points at; a later commit makes the approval stale.

    With --proposal, approve the proposed resolution for that commit; another proposal makes the approval stale too.
    """
    from orchestra.review import verdicts

    fleet = load_fleet(repo, blueprint)
    with verdict_lock(fleet, "approve"):
        print_decision(verdicts.approve(fleet, fleet.require_agent(agent), proposal=proposal))
    return ExitCode.DONE
