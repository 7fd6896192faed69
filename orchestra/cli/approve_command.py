"""``orchestra approve``: let an agent's work land."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import ExitCode


@task(
    positional=["agent"],
    help={
        "agent": "Its name or number; AGENT@COMMIT approves only while its branch is at that commit.",
        "commit": "The commit that you reviewed; refuse when the branch is at another one.",
        "proposal": "Accept the resolution that the last merge proposed for its conflict; merge lands it.",
    },
)
def approve(
    c: Context,
    agent: str,
    commit: str | None = None,
    proposal: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """Approve the exact commit that an agent's branch points at; a later commit makes the approval stale.

    Name the commit that you reviewed (AGENT@COMMIT or --commit) to be sure that nothing was added since.

    With --proposal, approve the proposed resolution for that commit; another proposal makes the approval stale too.
    """
    from orchestra.review import verdicts

    fleet = load_fleet(repo, blueprint)
    name, _, reviewed = agent.partition("@")
    declared = fleet.require_agent(name)
    with verdict_lock(fleet, "approve"):
        decision = verdicts.approve(fleet, declared, proposal=proposal, reviewed=commit or reviewed or None)
        print_decision(decision)
    return ExitCode.DONE
