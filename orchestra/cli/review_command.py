"""``orchestra review``: one agent's work, for a verdict."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.console import show_json
from orchestra.cli.context import load_fleet
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    positional=["agent"],
    help={"proposal": "Show how its conflict with the target could be resolved, instead of its own work."},
)
def review(
    c: Context,
    agent: str,
    proposal: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Show one agent's work for a verdict: notes, commits, changes, gate results, findings.

    The diff is against the merge base with today's target: the agent's own work, without the files that orchestra
    rendered for it. With --proposal: the resolution that the last merge proposed for its conflict with the target.
    """
    fleet = load_fleet(repo, blueprint)
    declared = fleet.require_agent(agent)
    if proposal:
        from orchestra.cli import proposal_screen
        from orchestra.review import proposal_review

        proposed = proposal_review.review_proposal(fleet, declared)
        if json:
            show_json(proposal_review.to_json(proposed))
        else:
            proposal_screen.show(fleet, proposed)
        return ExitCode.DONE
    from orchestra.cli import review_screen
    from orchestra.review.agent_review import review_agent

    examination = review_agent(fleet, declared)
    if json:
        show_json(review_screen.to_json(examination))
    else:
        review_screen.show(fleet, examination)
    return ExitCode.DONE
