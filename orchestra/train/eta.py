"""How long a train still takes: a guess from how long its gates took, for people who wait.

Invariant: pure, and nothing is decided by it. Refuses to guess before anything of these gates was ever measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from orchestra.blueprint.model import Guarantee, Train
from orchestra.train.planner import chance_of_failure
from orchestra.train.planner_model import Facts

_RECENT = 20


def typical_seconds(measured: Mapping[str, Sequence[float]], gates: Iterable[str]) -> float | None:
    """One test run of all ``gates``: the sum of their medians; None while one of them was never measured."""
    known = [measured.get(gate, ())[-_RECENT:] for gate in gates]
    return sum(median(times) for times in known) if all(known) else None


def rounds_left(facts: Facts) -> float:
    """How many test runs, one after the other, the undecided agents still take, as the policy goes."""
    left, slots = len(facts.order), max(1, facts.slots)
    chance = chance_of_failure(facts)
    if left == 0:
        return 0.0
    if facts.policy is Train.SERIAL:
        return left * (1 + chance)
    if facts.policy is Train.SPECULATIVE or facts.guarantee is Guarantee.STEP_GREEN:
        # A failure makes those behind it start again, once the round is through.
        return math.ceil(left / slots) + left * chance
    bad = left * chance
    if facts.policy is Train.BATCH:
        return 1 + bad * (1 + math.log2(max(2, left)))
    return max(1.0, bad * (1 + math.log(left + 1, slots + 1)))


def seconds_left(facts: Facts, one_run: float | None) -> float | None:
    """The guess, in seconds; None where there is nothing to go by."""
    return None if one_run is None else rounds_left(facts) * one_run


def spoken(seconds: float | None) -> str:
    """``about 4 min left``; the empty text when nobody knows. No finer than a guess can be."""
    if seconds is None:
        return ""
    if seconds < 90:  # noqa: PLR2004 - where minutes begin to read better
        return f"about {rough(seconds)} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {seconds / 3600:.1f} h left"  # noqa: PLR2004


def rough(seconds: float) -> int:
    """Rounded as a guess: whole seconds up to ten, fives up to two minutes, tens up to ten, whole minutes beyond."""
    grain = next((grain for below, grain in _GRAINS if seconds < below), 60)
    return max(1, grain * round(seconds / grain))


_GRAINS = ((10, 1), (120, 5), (600, 10))
