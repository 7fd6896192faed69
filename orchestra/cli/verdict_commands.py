"""The verdicts as tasks: review, approve, request-changes, discard. Prints; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.blueprint.model import Agent
from orchestra.cli.console import Tone, say, show_json, tell
from orchestra.cli.context import finish_landing, opened
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.git.lock import exclusive

if TYPE_CHECKING:
    from orchestra.review.verdicts import Decision

# A train holds the lock for moments only; a spawn may hold it longer than a person waits.
_PATIENCE_S = 5.0
_AGENT = {"agent": "Its name or number."}


@task(
    positional=["agent"],
    help={**_AGENT, "proposal": "How its conflict with the target could be resolved, instead of its own work."},
)
def review(
    c: Context,
    agent: str,
    proposal: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
) -> ExitCode:
    """One agent's work for a verdict: notes, commits, changes, gate results, findings.

    The diff is against the merge base with today's target: the agent's own work, without the files that orchestra
    rendered for it. With --proposal: what the last train proposes for it where its text conflicts with the target.
    """
    from orchestra.cli import review_screen
    from orchestra.review.agent_review import review_agent

    fleet = opened(repo, blueprint)
    if proposal:
        return _review_proposal(fleet, fleet.require_agent(agent), json)
    shown = review_agent(fleet, fleet.require_agent(agent))
    if json:
        show_json(review_screen.to_json(shown))
    else:
        review_screen.show(fleet, shown)
    return ExitCode.DONE


def _review_proposal(fleet: Fleet, agent: Agent, json: bool) -> ExitCode:
    from orchestra.cli import proposal_screen
    from orchestra.review import proposal_review

    shown = proposal_review.review_proposal(fleet, agent)
    if json:
        show_json(proposal_review.to_json(shown))
    else:
        proposal_screen.show(fleet, shown)
    return ExitCode.DONE


@task(
    positional=["agent"],
    help={**_AGENT, "proposal": "Take the resolution that the last train proposes for its conflict; merge lands it."},
)
def approve(
    c: Context, agent: str, proposal: bool = False, repo: str | None = None, blueprint: str | None = None
) -> ExitCode:
    """Approve the exact commit that an agent's branch is at; a later commit makes the approval stale.

    With --proposal it is the proposal for that commit that may land, and another proposal makes it stale, too.
    """
    from orchestra.review import verdicts

    fleet = opened(repo, blueprint)
    with _judging(fleet, "approve"):
        found = fleet.require_agent(agent)
        _report(found, verdicts.approve(fleet, found, proposal=proposal))
    return ExitCode.DONE


@task(
    positional=["agent"],
    name="request-changes",
    help={
        **_AGENT,
        "message": "What is to change, for the agent.",
        "from-train": "Tell it why the last merge evicted it: conflicting pieces, the gate's log, with whom.",
    },
)
def request_changes(
    c: Context,
    agent: str,
    message: str = "",
    from_train: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
) -> ExitCode:
    """Send an agent's work back with a message, which is kept and appended to its TASK.md.

    An agent whose session orchestra started gets it there: its own session goes on with the message.
    """
    from orchestra.review import verdicts

    fleet = opened(repo, blueprint)
    found = fleet.require_agent(agent)
    words = _with_train(fleet, found, message) if from_train else message
    with _judging(fleet, "request-changes"):
        _report(found, verdicts.request_changes(fleet, found, words))
    _send_back(fleet, found, words)
    return ExitCode.DONE


def _with_train(fleet: Fleet, agent: Agent, message: str) -> str:
    from orchestra.review.eviction import last_eviction
    from orchestra.sessions import eviction_message

    return "\n\n".join(
        part for part in (message.strip(), eviction_message.from_train(last_eviction(fleet, agent))) if part
    )


def _send_back(fleet: Fleet, agent: Agent, message: str) -> None:
    """Into the session that did the work; who works by hand, or has not begun, reads it in TASK.md."""
    from orchestra.sessions.session_facts import read_session_facts

    session = read_session_facts(fleet).get(agent.name)
    if session is None or not session.runs:
        tell("it is in TASK.md; no session of orchestra's has worked on this agent, so that nothing was started")
        return
    from orchestra.cli.session_commands import show_started
    from orchestra.sessions.start import send_message
    from orchestra.workspace.provision import agent_environment

    show_started(send_message(fleet, agent, message, environment=agent_environment))


@task(positional=["agent"], help={**_AGENT, "reason": "Why the work is not wanted; it is kept on record."})
def discard(
    c: Context, agent: str, reason: str = "", repo: str | None = None, blueprint: str | None = None
) -> ExitCode:
    """Take an agent's work out of the fleet. Its head is kept under a ref; the output says how to bring it back."""
    from orchestra.review import verdicts

    fleet = opened(repo, blueprint)
    with _judging(fleet, "discard"):
        found = fleet.require_agent(agent)
        _report(found, verdicts.discard(fleet, found, reason))
    return ExitCode.DONE


@contextmanager
def _judging(fleet: Fleet, verb: str) -> Iterator[None]:
    """What every verdict does first: finish what a killed train left, then keep others out for the moment it takes."""
    finish_landing(fleet)
    with exclusive(fleet.repository.state_folder, verb, wait_s=_PATIENCE_S):
        yield


def _report(agent: Agent, decision: Decision) -> None:
    tone = {"approved": Tone.GOOD, "discarded": Tone.BAD}.get(decision.verdict, Tone.WAITING)
    say(f"{agent.name}: {decision.verdict} at {decision.commit[:10]}", tone)
    for remark in decision.remarks:
        tell(f"  {remark}", Tone.WAITING)
