"""Phases of agents, from events."""

from __future__ import annotations

import pytest

from orchestra.ledger import Event, Json
from orchestra.report.timeline import read_timelines


def phases(*events: tuple[float, str, dict[str, Json]], now: float = 100.0) -> list[tuple[str, float, float, bool]]:
    recorded = [Event(at, kind, "api", data) for at, kind, data in events]
    (timeline,) = read_timelines(["api"], recorded, {}, now)
    return [(span.phase, span.start, span.end, span.ended) for span in timeline.spans]


def test_a_life_from_queue_to_landing() -> None:
    assert phases(
        (1.0, "session.queued", {}),
        (2.0, "session.started", {}),
        (5.0, "session.ended", {"again": False}),
        (9.0, "verdict.approved", {}),
        (12.0, "landed", {}),
    ) == [
        ("queued", 1.0, 2.0, True),
        ("working", 2.0, 5.0, True),
        ("waiting", 5.0, 9.0, True),
        ("approved", 9.0, 12.0, True),
    ]


def test_what_has_not_ended_lasts_until_now() -> None:
    assert phases((1.0, "session.started", {})) == [("working", 1.0, 100.0, False)]


def test_a_session_that_is_retried_is_queued_again() -> None:
    spans = phases((1.0, "session.started", {}), (3.0, "session.ended", {"again": True}), (4.0, "session.started", {}))
    assert [phase for phase, *_ in spans] == ["working", "queued", "working"]


def test_a_session_that_ends_after_the_approval_does_not_wait_for_a_person() -> None:
    spans = phases((1.0, "session.started", {}), (2.0, "verdict.approved", {}), (3.0, "session.ended", {}))
    assert [phase for phase, *_ in spans] == ["working", "approved"]


@pytest.mark.parametrize("kind", ["verdict.discarded", "verdict.changes-requested", "landed"])
def test_a_decision_ends_the_phase(kind: str) -> None:
    assert phases((1.0, "session.ended", {}), (2.0, kind, {})) == [("waiting", 1.0, 2.0, True)]


def test_events_of_agents_that_are_not_declared_are_left_out() -> None:
    assert read_timelines(["api"], [Event(1.0, "landed", "old", {})], {"old": [(1.0, 2.0)]}, 5.0)[0].spans == ()


def test_gates_are_spans_of_each_agent_in_the_candidate() -> None:
    (timeline,) = read_timelines(["api"], [], {"api": [(1.0, 2.0)]}, 5.0)
    assert [(span.phase, span.start, span.end) for span in timeline.spans] == [("gates", 1.0, 2.0)]
