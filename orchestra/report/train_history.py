"""The candidates that trains tested and what was decided about each agent, from the events in the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestra.gates.gate_history import RUN_EVENT
from orchestra.ledger import Event, Json
from orchestra.report.report_values import Decision, GateResult, TestedCandidate

_DECISIONS = ("landed", "evicted", "rehearsed")
_SAME_MOMENT_S = 60.0  # a decision and the record of the gates that it rests on are written one after the other


@dataclass
class _Draft:
    at: float
    agents: list[str] | None = None
    gates: dict[str, GateResult] = field(default_factory=dict)
    decided: list[Decision] = field(default_factory=list)


def read_candidates(events: Sequence[Event]) -> tuple[TestedCandidate, ...]:
    """Return the tested candidates and the decisions without one, in the order of time."""
    drafts: dict[str, _Draft] = {}
    deciding: dict[str, list[tuple[float, str]]] = {}  # agent -> when a candidate decided about it
    for event in events:
        candidate = _text(event.data.get("candidate"))
        is_result = event.kind == "gate" and "tree" in event.data  # of a built-in gate there is no candidate
        if not candidate or not (event.kind == RUN_EVENT or is_result):
            continue
        result = _gate_result(event)
        draft = drafts.setdefault(candidate, _Draft(event.at - (result.seconds or 0.0)))
        if event.kind == RUN_EVENT or result.gate not in draft.gates:
            draft.gates[result.gate] = result
        names = event.data.get("agents")
        if isinstance(names, list):
            draft.agents = [_text(name) for name in names]
        if is_result and event.agent:
            deciding.setdefault(event.agent, []).append((event.at, candidate))
            if draft.agents is None or event.agent not in draft.agents:
                draft.agents = [*(draft.agents or ()), event.agent]
    without: list[TestedCandidate] = []
    for event in events:
        if event.kind not in _DECISIONS or not event.agent:
            continue
        decision = _decision(event)
        near = [(abs(at - event.at), candidate) for at, candidate in deciding.get(event.agent, ())]
        distance, candidate = min(near, default=(_SAME_MOMENT_S, ""))
        if distance < _SAME_MOMENT_S:
            drafts[candidate].decided.append(decision)
        else:
            without.append(TestedCandidate(None, (event.agent,), (), (decision,), event.at))
    tested = [
        TestedCandidate(
            commit,
            None if draft.agents is None else tuple(draft.agents),
            tuple(draft.gates.values()),
            tuple(draft.decided),
            draft.at,
        )
        for commit, draft in drafts.items()
    ]
    return tuple(sorted([*tested, *without], key=lambda item: item.at))


def gate_times(events: Iterable[Event]) -> dict[str, list[tuple[float, float]]]:
    """Return agent -> start and end of each run of a gate on a candidate with its work."""
    times: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        seconds, names = event.data.get("seconds"), event.data.get("agents")
        if event.kind == RUN_EVENT and isinstance(seconds, int | float) and isinstance(names, list):
            for name in names:
                times.setdefault(_text(name), []).append((event.at - seconds, event.at))
    return times


def _gate_result(event: Event) -> GateResult:
    seconds = event.data.get("seconds")
    known = float(seconds) if isinstance(seconds, int | float) else None
    log = _text(event.data.get("log")) or None
    return GateResult(_text(event.data.get("gate")), _text(event.data.get("outcome")), event.at, known, log)


def _decision(event: Event) -> Decision:
    data, others = event.data, event.data.get("with")
    outcome = event.kind if event.kind != "rehearsed" else f"would be {_text(data.get('outcome'))}"
    commit = _text(data.get("commit"))
    detail = f"as {commit[:10]}" if event.kind == "landed" else _text(data.get("detail"))
    if reason := _text(data.get("reason")):
        outcome = f"{outcome}, {reason}"
    names = tuple(_text(name) for name in others) if isinstance(others, list) else ()
    outcome = outcome.replace("would be landed", "would land")
    return Decision(event.agent or "", outcome, detail, names, event.at)


def _text(value: Json | None) -> str:
    return value if isinstance(value, str) else ""
