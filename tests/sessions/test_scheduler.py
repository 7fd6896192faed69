"""Which session starts next: limits, order, stagger, budget, back-off; as tables and as properties."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.sessions.scheduler import (
    ATTEMPTS,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    QUIET_S,
    BackoffState,
    Budget,
    Candidate,
    Hold,
    Refuse,
    Retry,
    SchedulerInput,
    Start,
    decide,
    record_limit,
    record_refusal,
    relax,
    retry_after,
)

A, B = Candidate("a", 1.0), Candidate("b", 2.0)
SPENT = "its budget is spent: raise `max_budget_usd` of its runner in the blueprint, then run orchestra start"
FLEET_SPENT = "the fleet's budget of 10 USD is spent: raise `limits.budget_usd`, then run orchestra start"
NOW = SchedulerInput(now=1000.0, queue=(B, A), running=0, limit=2)
LIMITED, CLOCK = record_limit(BackoffState(), "5-hour limit", 2000.0), time.strftime("%H:%M", time.localtime(2060.0))


def test_first_come_first_served() -> None:
    assert decide(NOW) == Start("a", None)


def test_names_break_ties() -> None:
    assert decide(replace(NOW, queue=(replace(B, at=1.0), A))) == Start("a", None)


@pytest.mark.parametrize(
    ("facts", "held", "until"),
    [
        (replace(NOW, queue=()), "nothing is queued", None),
        (replace(NOW, running=2), "waiting for a free slot: 2 of 2 sessions run", None),
        (
            replace(NOW, backoff=BackoffState(1, 0, 0, 1), running=1),
            "waiting for a free slot: 1 of 1 sessions run",
            None,
        ),
        (replace(NOW, last_start=999.5, stagger_s=1.0), "waiting: sessions start 1 s apart", 1000.5),
        (replace(NOW, backoff=BackoffState(1, 1010.0, 999.0, 1, "429")), "paused: 429", 1010.0),
        (replace(NOW, backoff=BackoffState(held="log in first")), "log in first", None),
        (replace(NOW, backoff=LIMITED), f"5-hour limit; continues at {CLOCK}", 2060.0),
        (replace(NOW, queue=(replace(A, not_before=1005.0),)), "waiting for the end of its pause", 1005.0),
    ],
)
def test_what_holds_the_queue(facts: SchedulerInput, held: str, until: float | None) -> None:
    assert decide(facts) == Hold(held, until)


def test_one_that_pauses_does_not_hold_the_others() -> None:
    assert decide(replace(NOW, queue=(replace(A, not_before=1005.0), B))) == Start("b", None)


@pytest.mark.parametrize(
    "facts",
    [
        replace(NOW, backoff=BackoffState(1, 1000.0 + LONGEST_PAUSE_S + 1, 0.0, 2, "429")),
        replace(NOW, queue=(replace(A, not_before=1000.0 + LONGEST_PAUSE_S + 1),)),
        replace(NOW, last_start=5000.0, stagger_s=1.0),
    ],
)
def test_a_clock_that_was_set_back_holds_nothing(facts: SchedulerInput) -> None:
    assert decide(facts) == Start("a", None)


@pytest.mark.parametrize(
    ("first", "budget", "decision"),
    [
        (A, Budget(), Start("a", None)),
        (replace(A, remaining_usd=3.0), Budget(), Start("a", 3.0)),
        (replace(A, remaining_usd=0.0), Budget(), Refuse("a", SPENT)),
        (A, Budget(10.0), Start("a", 5.0)),  # two are waiting: each gets half
        (replace(A, remaining_usd=1.0), Budget(10.0), Start("a", 1.0)),
        (A, Budget(10.0, 4.0, 4.0), Start("a", 1.0)),
        (A, Budget(10.0, 6.0, 4.0), Hold("waiting for budget that is reserved for running sessions")),
        (A, Budget(10.0, 10.5), Refuse("a", FLEET_SPENT)),
        (replace(A, reports_cost=False), Budget(10.0, 10.5), Start("a", None)),
    ],
)
def test_money(first: Candidate, budget: Budget, decision: Start | Hold | Refuse) -> None:
    assert decide(replace(NOW, queue=(first, B), budget=budget)) == decision


@given(
    st.floats(0.5, 50),
    st.lists(st.tuples(st.none() | st.floats(0.1, 20), st.floats(0, 1.2)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_the_fleets_budget_is_never_exceeded(
    budget: float, agents: list[tuple[float | None, float]], limit: int
) -> None:
    """Play it: each session spends some part of what it was promised, up to all of it. Everybody is answered."""
    queue = {f"a{n}": Candidate(f"a{n}", float(n), remaining_usd=left) for n, (left, _) in enumerate(agents)}
    spends = {f"a{n}": min(1.0, part) for n, (_, part) in enumerate(agents)}
    running: dict[str, float] = {}
    spent = 0.0
    for _ in range(1000):
        reserved = sum(running.values())
        assert spent + reserved <= budget + 1e-6
        money = Budget(budget, spent, reserved)
        decision = decide(SchedulerInput(0.0, tuple(queue.values()), len(running), limit, budget=money))
        if isinstance(decision, Start):
            assert decision.cap_usd is not None
            running[decision.agent] = decision.cap_usd
            del queue[decision.agent]
        elif isinstance(decision, Refuse):
            del queue[decision.agent]
        elif running:
            name, cap = running.popitem()
            spent += cap * spends[name]
        else:
            break
    assert not queue


def test_one_refusal_pauses_the_fleet_and_halves_it() -> None:
    worse = record_refusal(BackoffState(), 100.0, running=8, reason="429")
    assert (worse.level, worse.until, worse.slots) == (1, 100.0 + FIRST_PAUSE_S, 4)


def test_refusals_within_the_pause_do_not_add_up() -> None:
    worse = record_refusal(BackoffState(), 100.0, running=8, reason="429")
    for moment in range(101, 110):
        worse = record_refusal(worse, float(moment), running=8, reason="429")
    assert (worse.level, worse.slots, worse.until) == (1, 4, 100.0 + FIRST_PAUSE_S)


def test_the_pause_doubles_and_has_an_end() -> None:
    backoff, now = BackoffState(), 0.0
    pauses = []
    for _ in range(10):
        backoff = record_refusal(backoff, now, running=2, reason="529")
        pauses.append(backoff.until - now)
        now = backoff.until
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert backoff.slots == 1


def test_the_requested_pause_is_bounded() -> None:
    assert record_refusal(BackoffState(), 0.0, running=2, reason="429", wait_s=100.0).until == 100.0
    assert record_refusal(BackoffState(), 0.0, running=2, reason="429", wait_s=1e9).until == LONGEST_PAUSE_S


def test_quiet_minutes_give_slots_back_one_by_one() -> None:
    backoff = BackoffState(3, 100.0, 50.0, 1, "429")
    assert relax(backoff, 100.0 + QUIET_S - 1) == backoff
    better = relax(backoff, 100.0 + QUIET_S)
    assert (better.level, better.slots) == (2, 2)
    assert relax(better, 100.0 + 2 * QUIET_S).slots == 3
    assert relax(replace(better, level=1), 100.0 + 2 * QUIET_S) == BackoffState()


@pytest.mark.parametrize("level", [1, 3])
def test_a_pause_lasts_until_its_end(level: int) -> None:
    backoff = record_refusal(BackoffState(level - 1), 100.0, running=8, reason="529")
    for now in (100.0, backoff.until - 0.1, backoff.until, backoff.until + QUIET_S - 0.1):
        assert relax(backoff, now) == backoff
    assert relax(backoff, backoff.until + QUIET_S) != backoff


def test_a_back_off_from_before_the_clock_was_set_back_is_forgotten() -> None:
    assert relax(BackoffState(1, 1e6, 1e6, 2, "429"), 100.0) == BackoffState()


def test_a_held_fleet_is_not_released_by_time() -> None:
    held = BackoffState(held="log in", level=1)
    assert relax(held, 1e9) == held


@pytest.mark.parametrize(
    ("fault", "attempt", "left", "capped", "expected"),
    [
        ("busy", 0, 1.0, False, Retry(100.0 + FIRST_PAUSE_S, 1)),
        ("busy", 2, 1.0, False, Retry(100.0 + 4 * FIRST_PAUSE_S, 3)),
        ("busy", ATTEMPTS - 1, 1.0, False, None),
        ("budget", 0, 1.0, True, Retry(100.0, 0)),
        ("budget", 0, 0.0, True, None),
        ("budget", 0, 1.0, False, None),
        ("limit", 1, 1.0, False, Retry(100.0 + 2 * FIRST_PAUSE_S, 2)),
        ("login", 0, 1.0, True, None),
        ("", 0, 1.0, True, None),
    ],
)
def test_which_failures_are_retried(
    fault: str, attempt: int, left: float, capped: bool, expected: Retry | None
) -> None:
    found = retry_after(fault, attempt=attempt, remaining_usd=left, capped=capped, backoff=BackoffState(), now=100.0)
    assert found == expected


def test_a_usage_limit_holds_the_fleet_until_its_reset_and_counts_no_attempt() -> None:
    limited = record_limit(BackoffState(), "5-hour limit", 7300.0)
    arguments = {"remaining_usd": 1.0, "capped": False, "backoff": limited}
    assert retry_after("limit", attempt=ATTEMPTS, now=100.0, **arguments) == Retry(100.0, ATTEMPTS)  # type: ignore[arg-type]
    assert isinstance(decide(replace(NOW, now=7359.0, backoff=limited)), Hold)
    assert isinstance(decide(replace(NOW, now=7360.0, backoff=limited)), Start)
    refused = record_refusal(limited, 100.0, running=4, reason="429")
    assert relax(relax(refused, 200.0), 300.0).limited_until == limited.limited_until


def test_a_limit_that_is_reset_in_months_is_not_believed() -> None:
    assert isinstance(decide(replace(NOW, backoff=record_limit(BackoffState(), "limit", 1e8))), Start)


def test_a_retry_waits_for_the_back_off() -> None:
    backoff = BackoffState(3, 500.0, 90.0, 1, "429")
    found = retry_after("busy", attempt=0, remaining_usd=1.0, capped=False, backoff=backoff, now=100.0)
    assert found == Retry(500.0, 1)
