"""``orchestra review``: one agent's work, for a verdict."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    "AGENT",
    help={"proposal": "Show how its conflict with the target could be resolved, instead of its own work."},
    examples=("review api", "review api --proposal"),
)
def review(call: Call, agent: str, proposal: bool = False) -> ExitCode:
    """Show one agent's work for a verdict.

    Notes, commits, changes, gate results and findings.

    The diff is against the merge base with today's target: the agent's own work, without the files that orchestra
    rendered for it. With --proposal: the resolution that the last merge proposed for its conflict with the target.
    """
    fleet = call.load_fleet()
    declared = call.agent(fleet, agent)
    if proposal:
        from orchestra.cli import proposal_screen
        from orchestra.review import proposal_review

        proposed = proposal_review.review_proposal(fleet, declared)
        if call.json:
            show_json(proposal_review.to_json(proposed))
        else:
            proposal_screen.show(fleet, proposed)
            call.print_next(f"approve {declared.name} --proposal")
        return ExitCode.DONE
    from orchestra.cli import review_screen
    from orchestra.review.agent_review import review_agent

    examination = review_agent(fleet, declared)
    if call.json:
        show_json(review_screen.to_json(examination))
    else:
        review_screen.show(fleet, examination)
        call.print_next(review_screen.next_words(examination))
    return ExitCode.DONE
