"""``orchestra approve``: let agents' work land."""

from __future__ import annotations

from orchestra.cli.call import Call, split_commas
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decisions, verdict_lock
from orchestra.errors import ExitCode, UsageError


@task(
    "AGENT...",
    help={
        "commit": "COMMIT: The commit that you reviewed; refuse when the branch is at another one.",
        "proposal": "Accept the resolution that the last merge proposed for its conflict; merge lands it.",
    },
    examples=("approve api auth", "approve api@1f3a5c7"),
    exits={0: "every named agent is approved"},
)
def approve(call: Call, agents: tuple[str, ...], commit: str | None = None, proposal: bool = False) -> ExitCode:
    """Approve agents' work, as it is now.

    That is the exact commit that an agent's branch points at; a later commit makes the approval stale.
    Name the commit that you reviewed (AGENT@COMMIT or --commit) to be sure that nothing was added since.

    With --proposal, approve the proposed resolution for that commit; another proposal makes the approval stale too.
    """
    from orchestra.review import verdicts

    fleet = call.load_fleet()
    reviewed = {}
    for word in split_commas(agents):
        name, _, at = word.partition("@")
        reviewed[call.agent(fleet, name).name] = at or commit
    if commit is not None and len(reviewed) > 1:
        raise UsageError("--commit is for one agent", hint="name the commit of each: AGENT@COMMIT")
    with verdict_lock(fleet, "approve"):
        decisions = [
            verdicts.approve(fleet, agent, proposal=proposal, reviewed=reviewed[agent.name])
            for agent in fleet.blueprint.agents
            if agent.name in reviewed
        ]
    print_decisions(call, fleet, decisions)
    call.print_next("merge")
    return ExitCode.DONE
