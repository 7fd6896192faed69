"""The walk through what still lacks a verdict, at a terminal, before a merge. Asks; the verdicts decide."""

from __future__ import annotations

import sys
from collections.abc import Collection

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import Tone, ask, say, tell
from orchestra.cli.review_screen import show
from orchestra.fleet import Fleet
from orchestra.git.lock import exclusive
from orchestra.review import verdicts
from orchestra.review.agent_review import review_agent
from orchestra.review.branch_status import BranchStatus, read_branch_statuses
from orchestra.review.verdicts import Decision, Verdict

_ANSWERS = ("approve", "request-changes", "discard", "skip", "quit")


def walk_through(fleet: Fleet, names: Collection[AgentName] | None) -> bool:
    """Show each undecided agent in merge order and take a verdict. False when the person wants to stop here."""
    order = {name: place for place, name in enumerate(fleet.blueprint.merge_order)}
    agents = [agent for agent in fleet.blueprint.agents if names is None or agent.name in names]
    undecided = [s for s in read_branch_statuses(fleet, agents) if _lacks_verdict(s)]
    for standing in sorted(undecided, key=lambda s: order[s.agent.name]):
        show(fleet, review_agent(fleet, standing.agent))
        answer = ask(f"{standing.agent.name}?", _ANSWERS) or "quit"
        if answer == "quit":
            tell("nothing was landed; verdicts given so far are kept", Tone.WAITING)
            return False
        if answer != "skip":
            _judge(fleet, standing, answer)
    return True


def _lacks_verdict(standing: BranchStatus) -> bool:
    undecided = standing.verdict in (Verdict.NONE, Verdict.STALE)
    return undecided and standing.commits > 0 and standing.refs.landed is None


def _judge(fleet: Fleet, standing: BranchStatus, answer: str) -> None:
    agent = standing.agent
    words = "" if answer == "approve" else _words("What is to change?" if answer == "request-changes" else "Why?")
    with exclusive(fleet.repository.state_folder, answer, wait_s=5.0):
        decision: Decision = {
            "approve": lambda: verdicts.approve(fleet, agent),
            "request-changes": lambda: verdicts.request_changes(fleet, agent, words),
            "discard": lambda: verdicts.discard(fleet, agent, words),
        }[answer]()
    say(f"{agent.name}: {decision.verdict} at {decision.commit[:10]}")
    for remark in decision.remarks:
        tell(f"  {remark}", Tone.WAITING)


def _words(question: str) -> str:
    """One line from the person; asked again while it is empty."""
    while True:
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return ""
        if line.strip():
            return line.strip()
