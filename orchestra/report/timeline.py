"""The time of each agent, from the events in the ledger: queued, working, waiting for a person, approved, in gates.

Pure. Questions that a session asked in a tmux window are not in the ledger, so that they count as work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestra.ledger import Event
from orchestra.report.report_values import Mark, Span, Timeline

# Event -> the phase that begins with it; "" ends the phase before and begins none.
_PHASES = {
    "session.queued": "queued",
    "session.started": "working",
    "session.ended": "waiting",
    "session.stopped": "waiting",
    "verdict.approved": "approved",
    "verdict.changes-requested": "",
    "verdict.discarded": "",
    "evicted": "waiting",
    "landed": "",
}
_MARKS = {
    "verdict.approved": "approved",
    "verdict.changes-requested": "changes-requested",
    "verdict.discarded": "discarded",
    "evicted": "evicted",
    "landed": "landed",
}


def read_timelines(
    agents: Sequence[str], events: Sequence[Event], gate_runs: Mapping[str, Sequence[tuple[float, float]]], now: float
) -> tuple[Timeline, ...]:
    """Return one timeline for each of ``agents``; ``gate_runs``: agent -> start and end of gates on its candidates."""
    by_agent: dict[str, list[Event]] = {name: [] for name in agents}
    for event in events:
        if event.kind in _PHASES and event.agent in by_agent:
            by_agent[event.agent].append(event)
    return tuple(
        Timeline(
            name,
            (*_spans(own, now), *(Span("gates", start, end) for start, end in gate_runs.get(name, ()))),
            tuple(Mark(_MARKS[event.kind], event.at) for event in own if event.kind in _MARKS),
        )
        for name, own in by_agent.items()
    )


def _spans(events: Sequence[Event], now: float) -> Iterator[Span]:
    phase, start = "", 0.0
    for event in events:
        is_retried = event.kind == "session.ended" and event.data.get("again") is True
        following = "queued" if is_retried else _PHASES[event.kind]
        if event.kind.startswith("session.") and phase == "approved" and following == "waiting":
            continue  # a session that ends after its work was approved
        if phase and event.at > start:
            yield Span(phase, start, event.at)
        phase, start = following, event.at
    if phase and now > start:
        yield Span(phase, start, now, ended=False)
