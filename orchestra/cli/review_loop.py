"""Ask for the missing verdicts in a terminal, one agent at a time, before a merge."""

from __future__ import annotations

import sys
from collections.abc import Collection

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import Tone, ask, print_note
from orchestra.cli.review_screen import show
from orchestra.cli.verdict_recording import print_decision, verdict_lock
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.review import verdicts
from orchestra.review.agent_review import review_agent
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Decision, Verdict

_UNDECIDED = (Verdict.NONE, Verdict.STALE, Verdict.ANSWERED)
_ANSWERS = ("approve", "request-changes", "discard", "skip", "quit")


def review_undecided(fleet: Fleet, names: Collection[AgentName] | None) -> bool:
    """Show each undecided agent in merge order and record the answer. Return False when the person quits."""
    order = {name: place for place, name in enumerate(fleet.blueprint.merge_order)}
    agents = [agent for agent in fleet.blueprint.agents if names is None or agent.name in names]
    undecided = [
        standing.agent
        for standing in read_branch_statuses(fleet, agents)
        if standing.verdict in _UNDECIDED and standing.commits > 0 and standing.refs.landed is None
    ]
    for agent in sorted(undecided, key=lambda agent: order[agent.name]):
        examined = review_agent(fleet, agent)
        show(fleet, examined)
        answer = ask(f"{agent.name}?", _ANSWERS) or "quit"
        if answer == "quit":
            print_note("Nothing was landed. Verdicts given so far are recorded.", Tone.WAITING)
            return False
        if answer == "skip":
            continue
        question = {"request-changes": "What to change?", "discard": "Why?"}.get(answer)
        text = _read_line(question) if question else ""
        shown_commit = examined.standing.head  # the agent may have gone on since it was shown
        decision: Decision
        with verdict_lock(fleet, answer):
            try:
                if answer == "approve":
                    decision = verdicts.approve(fleet, agent, reviewed=shown_commit)
                elif answer == "request-changes":
                    decision = verdicts.request_changes(fleet, agent, text, reviewed=shown_commit)
                else:
                    decision = verdicts.discard(fleet, agent, text, reviewed=shown_commit)
            except UsageError as error:
                print_note(f"{agent.name}: no verdict: {error.message}", Tone.WAITING)
                continue
        print_decision(decision)
    return True


def _read_line(question: str) -> str:
    """Ask until the answer is not empty; return "" at the end of input."""
    while True:
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line or line.strip():
            return line.strip()
