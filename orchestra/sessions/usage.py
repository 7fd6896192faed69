"""Money and tokens of an agent, from the digests of its sessions.

The Claude Code client reports ``total_cost_usd`` for one run before version 2.1.277 and, from then on, for the whole
session with every run that resumed it; tokens and turns stay per run (client facts, trap 6). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from orchestra.sessions.state import SessionResult, Usage

_CUMULATIVE_SINCE = (2, 1, 277)


def dollars(told: object) -> float | None:
    """What a program said that it cost, where that is an amount."""
    return float(told) if isinstance(told, int | float) and 0 <= told < math.inf else None


def add(one: Usage, other: Usage) -> Usage:
    """Both together; a cost that only one of them knows is that one's."""
    known = [cost for cost in (one.cost_usd, other.cost_usd) if cost is not None]
    return Usage(
        sum(known) if known else None,
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.cache_tokens + other.cache_tokens,
        one.turns + other.turns,
        one.sessions_without_cost + other.sessions_without_cost,
    )


def total(results: Iterable[SessionResult]) -> Usage:
    """What an agent's sessions used together; ``results`` in the order of the runs.

    A run that was killed told no cost, and the cost that a later run of its session tells does not hold it: seen with
    2.1.330, of five requests the two before the kill were missing. So it stays one ``sessions_without_cost``.
    """
    sessions: dict[str, Usage] = {}
    for result in results:
        before = sessions.get(result.session_id, Usage())
        sessions[result.session_id] = _go_on(before, result)
    used = Usage()
    for usage in sessions.values():
        used = add(used, usage)
    return used


def _go_on(before: Usage, result: SessionResult) -> Usage:
    told = result.usage.cost_usd
    both = add(before, result.usage)
    if told is None or before.cost_usd is None or not is_cumulative(result.version):
        return both
    # A session begun by an older client and gone on with by a newer one may not be counted in full.
    return replace(both, cost_usd=told if told >= before.cost_usd else both.cost_usd)


def is_cumulative(version: str) -> bool:
    """Whether that client's costs are the session's; an unknown version is no such client."""
    numbers = version.split("-", maxsplit=1)[0].split(".")
    return bool(version) and all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) >= _CUMULATIVE_SINCE
