"""Ask for the missing verdicts in a terminal, one agent at a time, before a merge."""

from __future__ import annotations

import sys
from collections.abc import Collection

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import Tone, ask, diff_cells, print_note, show_page
from orchestra.cli.review_screen import show
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.review import verdicts
from orchestra.review.agent_review import AgentReview, review_agent
from orchestra.review.approval import approve
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Decision, Verdict

_ANSWERS = {
    "approve": "let the work land as it was shown",
    "request-changes": "send it back with a message",
    "x discard": "take it out of the fleet, with a reason; a ref keeps its commits",
    "diff": "show the diff in the pager",
    "skip": "decide later",
    "land": "ask no more, and land what is approved",
    "quit": "land nothing; verdicts given so far are recorded",
}


def review_undecided(fleet: Fleet, names: Collection[AgentName] | None) -> bool:
    """Show each undecided agent in merge order and record the answer. Return False when the person quits."""
    order = {name: place for place, name in enumerate(fleet.blueprint.merge_order)}
    agents = [agent for agent in fleet.blueprint.agents if names is None or agent.name in names]
    statuses = read_branch_statuses(fleet, agents)
    for status in statuses:
        if status.verdict is Verdict.CHANGES_REQUESTED and status.refs.landed is None:
            print_note(f"{status.agent.name}: changes were requested; it is not asked about", Tone.QUIET)
    undecided = [
        status.agent
        for status in statuses
        if status.verdict in (Verdict.NONE, Verdict.STALE) and status.commits > 0 and status.refs.landed is None
    ]
    for agent in sorted(undecided, key=lambda agent: order[agent.name]):
        examined = review_agent(fleet, agent)
        show(fleet, examined, with_diff=False)
        answer = _ask_about(examined)
        if answer == "quit":
            print_note("Nothing was landed. Verdicts given so far are recorded.", Tone.WAITING)
            return False
        if answer == "land":
            return True
        if answer != "skip":
            _record(fleet, examined, answer)
    return True


def _ask_about(examined: AgentReview) -> str:
    while True:
        answer = ask(f"{examined.standing.agent.name}?", _ANSWERS) or "quit"
        if answer != "diff":
            return answer
        show_page(diff_cells(examined.patch))


def _record(fleet: Fleet, examined: AgentReview, answer: str) -> None:
    agent, head = examined.standing.agent, examined.standing.head
    question = {"request-changes": "What to change?", "discard": "Why?"}.get(answer)
    text = _read_line(question) if question else ""
    with verdict_lock(fleet, answer):
        decision: Decision
        try:  # the agent may have gone on since it was shown
            if answer == "approve":
                decision = approve(fleet, agent, reviewed=head)
            elif answer == "request-changes":
                decision = verdicts.request_changes(fleet, agent, text, reviewed=head)
            else:
                decision = verdicts.discard(fleet, agent, text, reviewed=head)
        except UsageError as error:
            print_note(f"{agent.name}: no verdict: {error.message}", Tone.WAITING)
            return
    print_decision(decision)


def _read_line(question: str) -> str:
    """Ask until the answer is not empty; return "" at the end of input."""
    while True:
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line or line.strip():
            return line.strip()
