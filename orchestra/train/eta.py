"""Estimate how long a train still takes, from how long its gates took before. Nothing is decided by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from orchestra.blueprint.model import Guarantee, Train
from orchestra.train.planner import chance_of_failure
from orchestra.train.planner_model import Facts

_RECENT_RUNS = 20
_ROUNDING = ((10, 1), (120, 5), (600, 10))  # below so many seconds -> to multiples of
_MINUTES_FROM_S, _HOURS_FROM_MIN = 90, 90


def typical_seconds(measured: Mapping[str, Sequence[float]], gates: Iterable[str]) -> float | None:
    """Return the time of one test run of all ``gates``: the sum of their medians; None while one was never measured."""
    times = [measured.get(gate, ())[-_RECENT_RUNS:] for gate in gates]
    return sum(median(runs) for runs in times) if all(times) else None


def remaining_rounds(facts: Facts) -> float:
    """Return how many test runs, one after the other, the undecided agents still take under the policy."""
    agents, slots = len(facts.order), max(1, facts.slots)
    chance = chance_of_failure(facts)
    if agents == 0:
        return 0.0
    if facts.policy is Train.SERIAL:
        return agents * (1 + chance)
    if facts.policy is Train.SPECULATIVE or facts.guarantee is Guarantee.STEP_GREEN:
        # A failure makes those behind it start again, once the round is through.
        return math.ceil(agents / slots) + agents * chance
    failures = agents * chance
    if facts.policy is Train.BATCH:
        return 1 + failures * (1 + math.log2(max(2, agents)))
    return max(1.0, failures * (1 + math.log(agents + 1, slots + 1)))


def seconds_left(facts: Facts, one_run: float | None) -> float | None:
    """Return the estimate in seconds; None without a measurement."""
    return None if one_run is None else remaining_rounds(facts) * one_run


def format_remaining(seconds: float | None) -> str:
    """Return ``about 4 min left``, rounded as an estimate; "" for None."""
    if seconds is None:
        return ""
    if seconds < _MINUTES_FROM_S:
        return f"about {round_estimate(seconds)} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < _HOURS_FROM_MIN else f"about {seconds / 3600:.1f} h left"


def round_estimate(seconds: float) -> int:
    """Round to whole seconds up to ten, fives up to two minutes, tens up to ten minutes, whole minutes beyond."""
    grain = next((grain for limit, grain in _ROUNDING if seconds < limit), 60)
    return max(1, grain * round(seconds / grain))
