"""Ask for verdicts in a terminal, one agent and one key at a time: shared by review and merge."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Collection, Sequence

from orchestra.blueprint.model import Agent, AgentName
from orchestra.cli.console import Tone, diff_cells, print_note, print_result
from orchestra.cli.key_prompt import ask_key
from orchestra.cli.next_step import Need
from orchestra.cli.pager import show_page
from orchestra.cli.review_screen import show
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.review import verdicts
from orchestra.review.agent_review import AgentReview, review_agent
from orchestra.review.approval import approve
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdict_giver import require_person
from orchestra.review.verdicts import Decision, Verdict

_ANSWERS = {
    "approve": "let the work land as it was shown",
    "request-changes": "send it back with a message",
    "x discard": "take it out of the fleet, with a reason; a ref keeps its commits",
    "diff": "show the diff in the pager",
    "skip": "decide later",
}
_LAND = {
    "land": "ask no more, and land what is approved",
    "quit": "land nothing; verdicts given so far are recorded",
}
_QUIT = {"quit": "end here; verdicts given so far are recorded"}


def review_undecided(fleet: Fleet, names: Collection[AgentName] | None) -> bool:
    """Ask about each undecided agent before a merge. Return False when the person quits."""
    agents = [agent for agent in fleet.blueprint.agents if names is None or agent.name in names]
    statuses = read_branch_statuses(fleet, agents)
    for status in statuses:
        if status.verdict is Verdict.CHANGES_REQUESTED and status.refs.landed is None:
            print_note(f"{status.agent.name}: changes were requested; it is not asked about", Tone.QUIET)
    undecided = [
        status.agent
        for status in statuses
        if status.verdict in (Verdict.NONE, Verdict.STALE, Verdict.ANSWERED)
        and status.commits > 0
        and status.refs.landed is None
    ]
    ended, _ = _ask_about_each(fleet, undecided, _ANSWERS | _LAND)
    if ended == "quit":
        print_note("Nothing was landed. Verdicts given so far are recorded.", Tone.WAITING)
    return ended != "quit"


def walk_queue(fleet: Fleet, queue: Sequence[Need]) -> bool:
    """Ask about each agent of a review queue, and print what was decided. Return whether any was approved."""
    _, given = _ask_about_each(fleet, [need.row.agent for need in queue], _ANSWERS | _QUIT)
    undecided = len(queue) - given.total()
    counts = [f"{count} {verdict}" for verdict, count in given.items()] + [f"{undecided} left"] * bool(undecided)
    print_result(f"Reviewed {given.total()} of {len(queue)}: {', '.join(counts)}")
    return bool(given[Verdict.APPROVED])


def _ask_about_each(
    fleet: Fleet, agents: Sequence[Agent], answers: dict[str, str]
) -> tuple[str | None, Counter[Verdict]]:
    """Show each agent's work in merge order and record the verdict on the commit that was shown.

    Return the answer that ended it (None: the last agent), and how often each verdict was given.
    """
    order = {name: place for place, name in enumerate(fleet.blueprint.merge_order)}
    given: Counter[Verdict] = Counter()
    for number, agent in enumerate(sorted(agents, key=lambda agent: order[agent.name]), 1):
        examined = review_agent(fleet, agent)
        print_result()
        show(fleet, examined, with_diff=False)
        print_result()
        print_result(f"{agent.name}, {number} of {len(agents)}")
        sys.stdout.flush()
        while (answer := ask_key(f"{agent.name}?", answers) or "quit") == "diff":
            show_page(diff_cells(examined.patch))
        if answer in _LAND:
            return answer, given
        if answer != "skip" and (decision := _record(fleet, examined, answer)) is not None:
            given[decision.verdict] += 1
    return None, given


def _record(fleet: Fleet, examined: AgentReview, answer: str) -> Decision | None:
    """Record and print the verdict; None where the branch has moved since it was shown, or a text is missing."""
    agent, head = examined.standing.agent, examined.standing.head
    question = {"request-changes": "What to change?", "discard": "Why?"}.get(answer)
    text = _read_line(question) if question else ""
    if answer != "request-changes":
        require_person(fleet, shlex.join(filter(None, (answer, agent.name, text))))
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
            return None
    print_decision(decision)
    return decision


def _read_line(question: str) -> str:
    """Ask until the answer is not empty; return "" at the end of input."""
    while True:
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line or line.strip():
            return line.strip()
