"""Record a verdict: the lock that it needs and the line that reports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import Agent
from orchestra.cli.console import Tone, print_note, print_result
from orchestra.cli.context import recover_landing
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.git.lock import exclusive
from orchestra.git.refs import branch_ref

if TYPE_CHECKING:
    from orchestra.review.verdicts import Decision

_LOCK_WAIT_S = 5.0  # a train holds the lock for moments; a spawn may hold it longer than a person waits
_FEWEST_DIGITS = 7
_TONES = {"approved": Tone.GOOD, "discarded": Tone.BAD}


@contextmanager
def verdict_lock(fleet: Fleet, command: str) -> Iterator[None]:
    """Recover an interrupted landing, then hold the repository's lock."""
    recover_landing(fleet)
    with exclusive(fleet.repository.state_folder, command, wait_s=_LOCK_WAIT_S):
        yield


def require_tip(fleet: Fleet, agent: Agent, reviewed: str | None) -> None:
    """Raise UsageError unless the agent's branch is at ``reviewed`` (at least 7 digits; None: any commit)."""
    if reviewed is None:
        return
    tip = fleet.repository.resolve(branch_ref(agent.branch)) or ""
    if len(reviewed) < _FEWEST_DIGITS or not tip.startswith(reviewed.lower()):
        raise UsageError(
            f"{agent.branch} is at {tip[:12] or 'no commit'}, not at {reviewed}",
            hint=f"orchestra review {agent.name} shows it as it is now",
        )


def print_decision(decision: Decision) -> None:
    """Print the recorded verdict and its remarks."""
    tone = _TONES.get(decision.verdict, Tone.WAITING)
    print_result(f"{decision.agent}: {decision.verdict} at {decision.commit[:10]}", tone)
    for remark in decision.remarks:
        print_note(f"  {remark}", Tone.WAITING)
