"""Record a verdict: the lock that it needs and the line that reports it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.cli.call import Call, recover_landing
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.fleet import Fleet
from orchestra.git.lock import exclusive

if TYPE_CHECKING:
    from orchestra.review.verdicts import Decision

_LOCK_WAIT_S = 5.0  # a train holds the lock for moments; a spawn may hold it longer than a person waits
_TONES = {"approved": Tone.GOOD, "discarded": Tone.BAD}


@contextmanager
def verdict_lock(fleet: Fleet, command: str) -> Iterator[None]:
    """Recover an interrupted landing, then hold the repository's lock."""
    recover_landing(fleet)
    with exclusive(fleet.repository.state_folder, command, wait_s=_LOCK_WAIT_S, announce=print_note):
        yield


def print_decisions(call: Call, fleet: Fleet, decisions: Sequence[Decision], **more: object) -> None:
    """Print recorded verdicts with their remarks, or one document with ``more`` keys."""
    if call.json:
        rows = [
            {"agent": d.agent, "verdict": d.verdict.value, "commit": d.commit, "remarks": list(d.remarks)}
            for d in decisions
        ]
        show_json({"fleet": fleet.name, "decisions": rows, **more})
        return
    for decision in decisions:
        print_decision(decision)


def print_decision(decision: Decision) -> None:
    """Print a recorded verdict and its remarks."""
    tone = _TONES.get(decision.verdict, Tone.WAITING)
    print_result(f"{decision.agent}: {decision.verdict} at {decision.commit[:10]}", tone)
    for remark in decision.remarks:
        print_note(f"  {remark}", Tone.WAITING)
