"""``orchestra review``: one agent's work for a verdict, or the whole queue, one agent after another."""

from __future__ import annotations

import sys

from orchestra import __version__
from orchestra.cli.call import Call
from orchestra.cli.console import is_terminal, print_result, show_json
from orchestra.cli.program import task
from orchestra.cli.table_layout import show_table
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.text import format_count


@task(
    "[AGENT]",
    help={
        "proposal": "Show how its conflict with the target could be resolved, instead of its own work.",
        "sarif": "Print the findings as SARIF 2.1.0, for code hosts and editors.",
    },
    examples=("review", "review api", "review api --proposal", "review api --sarif >findings.sarif"),
)
def review(call: Call, agent: str | None, proposal: bool = False, sarif: bool = False) -> ExitCode:
    """Show finished work for a verdict.

    With an agent: its notes, commits, changes, gate results and findings. Without: the agents that are finished or have
    answered a request for changes, one after another in merge order, and one key gives the verdict on the commit that
    was shown. Without a terminal it lists them.

    The diff is against the merge base with today's target: the agent's own work, without the files that orchestra
    rendered for it. With --proposal: the resolution that the last merge proposed for its conflict with the target.
    """
    if sarif and (agent is None or proposal or call.json):
        hint = "orchestra review AGENT --sarif"
        raise call.wrong_line("--sarif is for one agent's own work, and not with --json", hint=hint)
    fleet = call.load_fleet()
    if agent is None:
        if proposal:
            raise call.wrong_line("--proposal is for one agent", hint="orchestra review AGENT --proposal")
        return _review_queue(call, fleet)
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
    if sarif:
        from orchestra.review.sarif import to_sarif

        show_json(to_sarif(examination, __version__))
    elif call.json:
        show_json(review_screen.to_json(examination))
    else:
        review_screen.show(fleet, examination)
        call.print_next(review_screen.next_words(examination))
    return ExitCode.DONE


def _review_queue(call: Call, fleet: Fleet) -> ExitCode:
    """Walk the agents that wait for a verdict, or list them."""
    from orchestra.cli.next_step import list_needs, next_command
    from orchestra.status import read_status

    status = read_status(fleet)
    queue = [need for need in list_needs(status) if need.command.startswith("review ")]
    if call.json:
        rows = [
            {
                "agent": need.row.agent.name,
                "head": need.row.standing.head,
                "verdict": need.row.standing.verdict.value,
                "reason": need.reason,
                "command": need.command,
            }
            for need in queue
        ]
        show_json({"fleet": fleet.name, "queue": rows})
        return ExitCode.DONE
    if not queue:
        print_result("No agent is waiting for a review.")
        call.print_next(next_command(status))
        return ExitCode.DONE
    if is_terminal() and is_terminal(sys.stdin) and is_terminal(sys.stderr):
        from orchestra.cli.review_loop import walk_queue

        call.print_next("merge" if walk_queue(fleet, queue) else None)
        return ExitCode.DONE
    rows_shown = [
        (need.row.agent.name, need.row.standing.verdict, format_count(need.row.standing.commits, "commit"), need.reason)
        for need in queue
    ]
    show_table(("agent", "verdict", "work", "why"), rows_shown)
    call.print_next(queue[0].command)
    return ExitCode.DONE
