"""Candidates and decisions, from events."""

from __future__ import annotations

from orchestra.ledger import Event, Json
from orchestra.report.train_history import gate_times, read_candidates

ONE, TWO = "1" * 40, "2" * 40


def run(at: float, candidate: str, outcome: str, **data: Json) -> Event:
    row: dict[str, Json] = {"gate": "tests", "outcome": outcome, "seconds": 2.0, "candidate": candidate}
    return Event(at, "gate-run", None, row | data)


def result(at: float, agent: str, candidate: str, outcome: str) -> Event:
    data: dict[str, Json] = {"gate": "tests", "outcome": outcome, "seconds": 2.0, "tree": "t", "candidate": candidate}
    return Event(at, "gate", agent, data)


def test_each_decision_is_shown_with_the_candidate_that_it_rests_on() -> None:
    landed = Event(10.1, "landed", "api", {"commit": ONE})
    evicted = Event(20.2, "evicted", "web", {"reason": "gate", "detail": "tests failed", "with": ["api"]})
    events = [
        run(10.0, ONE, "passed", agents=["api"]),
        landed,
        result(10.2, "api", ONE, "passed"),
        run(20.0, TWO, "failed", agents=["web"]),
        result(20.1, "web", TWO, "failed"),
        evicted,
    ]
    first, second = read_candidates(events)
    assert (first.commit, first.agents, first.at) == (ONE, ("api",), 8.0)
    assert [(d.agent, d.outcome, d.detail) for d in first.decisions] == [("api", "landed", f"as {ONE[:10]}")]
    assert [(d.agent, d.outcome, d.others) for d in second.decisions] == [("web", "evicted, gate", ("api",))]
    assert [gate.outcome for gate in second.gates] == ["failed"]


def test_a_decision_without_a_test_has_no_candidate() -> None:
    (item,) = read_candidates([Event(5.0, "evicted", "web", {"reason": "conflict", "detail": "a.py", "with": []})])
    assert (item.commit, item.agents, item.gates) == (None, ("web",), ())


def test_the_target_alone_is_not_unknown() -> None:
    events = [run(10.0, ONE, "passed", agents=[]), run(11.0, TWO, "passed")]
    assert [item.agents for item in read_candidates(events)] == [(), None]


def test_a_rehearsal_says_what_would_happen() -> None:
    (item,) = read_candidates([Event(5.0, "rehearsed", "web", {"outcome": "landed"})])
    assert item.decisions[0].outcome == "would land"


def test_a_built_in_gate_is_no_candidate() -> None:
    assert read_candidates([Event(1.0, "gate", "api", {"gate": "scope", "outcome": "passed", "candidate": ONE})]) == ()


def test_events_of_another_shape_are_left_out() -> None:
    odd: list[dict[str, Json]] = [{}, {"candidate": 3}, {"candidate": ONE, "seconds": "x", "agents": "api", "gate": []}]
    assert len(read_candidates([Event(1.0, "gate-run", None, data) for data in odd])) == 1
    assert gate_times([Event(1.0, "gate-run", None, data) for data in odd]) == {}
