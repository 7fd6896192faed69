"""``orchestra approve``: let agents' work land."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.call import Call, split_commas
from orchestra.cli.console import Tone, print_note
from orchestra.cli.program import task
from orchestra.cli.verdict_recording import print_decisions, verdict_lock
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.text import format_list

if TYPE_CHECKING:
    from orchestra.review.approval import ApprovalRequest

_MOST_NAMES = 8


@task(
    "[AGENT...]",
    help={
        "commit": "COMMIT: The commit that you reviewed; refuse when the branch is at another one.",
        "proposal": "Accept the resolution that the last merge proposed for its conflict; merge lands it.",
        "stage": "STAGE: Approve the finished agents of a stage.",
        "green": "Approve what is finished and passed its gates in a rehearsal of exactly these commits.",
    },
    examples=("approve api auth", "approve api@1f3a5c7", "approve --stage services", "approve --green"),
    exits={0: "every named or selected agent is approved", 1: "one of several named agents cannot be approved"},
)
def approve(
    call: Call,
    agents: tuple[str, ...],
    commit: str | None = None,
    proposal: bool = False,
    stage: str | None = None,
    green: bool = False,
) -> ExitCode:
    """Approve agents' work, as it is now.

    That is the exact commit that an agent's branch points at; a later commit makes the approval stale.
    Name the commit that you reviewed (AGENT@COMMIT or --commit) to be sure that nothing was added since.
    What a built-in gate will refuse is said at once.

    --stage and --green select agents, of the named ones if there are any, and name those that they skip.

    With --proposal, approve the proposed resolution for that commit; another proposal makes the approval stale too.
    """
    from orchestra.review.approval import ApprovalRequest, Refusal, approve_all
    from orchestra.review.verdict_giver import require_person

    fleet = call.load_fleet()
    require_person(fleet, call.line)
    reviewed = {}
    for word in split_commas(agents):
        name, _, at = word.partition("@")
        reviewed[call.agent(fleet, name).name] = at or commit
    if commit is not None and len(reviewed) != 1:
        raise call.wrong_line("--commit is for one agent", hint="name the commit of each: AGENT@COMMIT")
    if proposal and (green or stage):
        raise call.wrong_line("--proposal is for named agents", hint="orchestra approve AGENT... --proposal")
    if not (reviewed or green or stage):
        raise call.wrong_line("approve needs agents", hint="orchestra approve AGENT..., --stage STAGE or --green")
    if stage is not None and stage not in fleet.blueprint.stages:
        stages = ", ".join(fleet.blueprint.stages) or "none"
        raise call.wrong_line(f"no stage {stage!r} in fleet {fleet.name}", hint=f"the stages are: {stages}")
    chosen = [agent for agent in fleet.blueprint.agents if agent.name in reviewed or not reviewed]
    chosen = [agent for agent in chosen if stage is None or agent.stage == stage]
    with verdict_lock(fleet, "approve"):
        requests = [ApprovalRequest(agent, reviewed.get(agent.name), proposal) for agent in chosen]
        if green or stage is not None:
            requests = _selected(fleet, requests, green=green)
        answers = approve_all(fleet, requests)
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    if len(requests) == 1 and refusals:
        raise refusals[0].error
    for refusal in refusals:
        print_note(f"{refusal.agent}: not approved: {refusal.error.message}", Tone.BAD)
        if refusal.error.hint:
            print_note(f"  hint: {refusal.error.hint}", Tone.QUIET)
    decisions = [answer for answer in answers if not isinstance(answer, Refusal)]
    print_decisions(call, fleet, decisions)
    if decisions:
        is_futile = all(decision.is_refused for decision in decisions)
        call.print_next(f"review {decisions[0].agent}" if is_futile else "merge")
    else:
        print_note("No agent is approved by this call.", Tone.WAITING)
    return ExitCode.SHORT if refusals else ExitCode.DONE


def _selected(fleet: Fleet, requests: list[ApprovalRequest], *, green: bool) -> list[ApprovalRequest]:
    """Return those of ``requests`` that ``--stage`` and ``--green`` stand for; print which are skipped."""
    from orchestra.cli.train_output import read_unfinished
    from orchestra.review.approval import select_approvals
    from orchestra.review.branch_status import read_branch_statuses

    statuses = read_branch_statuses(fleet, [request.agent for request in requests], trees=False)
    selected, skipped = select_approvals(fleet, statuses, read_unfinished(fleet), green=green)
    for reason in dict.fromkeys(skipped.values()):
        names = format_list([name for name in skipped if skipped[name] == reason], most=_MOST_NAMES)
        print_note(f"skipped {names}: {reason}", Tone.QUIET)
    # A commit that was named counts for more than the one that was looked at.
    named = {request.agent.name: request for request in requests if request.reviewed}
    return [named.get(request.agent.name, request) for request in selected]
