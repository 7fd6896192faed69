"""Add up the money and tokens of an agent from the results of its sessions.

The Claude Code client reports ``total_cost_usd`` for one run before version 2.1.277 and, since then, for the whole
session with every run that resumed it; tokens and turns are always those of one run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.store import AgentFolder
from orchestra.sessions.window_line import window_cost

_CUMULATIVE_SINCE = (2, 1, 277)


def dollars(value: object) -> float | None:
    """Return a reported cost where it is an amount."""
    return float(value) if isinstance(value, int | float) and 0 <= value < math.inf else None


def add(first: Usage, second: Usage) -> Usage:
    """Add two usages; where only one has a cost, it is the sum."""
    costs = [cost for cost in (first.cost_usd, second.cost_usd) if cost is not None]
    return Usage(
        sum(costs) if costs else None,
        first.input_tokens + second.input_tokens,
        first.output_tokens + second.output_tokens,
        first.cache_tokens + second.cache_tokens,
        first.turns + second.turns,
        first.sessions_without_cost + second.sessions_without_cost,
    )


def total(results: Iterable[SessionResult]) -> Usage:
    """Add up an agent's sessions; ``results`` in the order of the runs.

    A run that was killed reports no cost, and the cost of a later run of its session does not include it: with 2.1.330,
    of five requests the two before the kill were missing. So it stays in ``sessions_without_cost``.
    """
    sessions: dict[str, Usage] = {}
    for result in results:
        before = sessions.get(result.session_id, Usage())
        both, cost = add(before, result.usage), result.usage.cost_usd
        if cost is not None and before.cost_usd is not None and is_cumulative(result.version):
            # A session that an older client started and a newer one resumed may not be counted in full.
            both = replace(both, cost_usd=cost if cost >= before.cost_usd else both.cost_usd)
        if result.of_session:
            both = replace(result.usage, turns=both.turns, sessions_without_cost=both.sessions_without_cost)
        sessions[result.session_id] = both
    used = Usage()
    for usage in sessions.values():
        used = add(used, usage)
    return used


def spent_usd(agent: AgentFolder) -> float:
    """Return what the agent's sessions reported, those in open windows too; read each time, never stored."""
    runs = [(run, run.result) for run in agent.runs()]
    windows = sum(window_cost(run.path) or 0.0 for run, result in runs if result is None)
    return windows + (total(result for _, result in runs if result is not None).cost_usd or 0.0)


def is_cumulative(version: str) -> bool:
    """Return True when that client reports the cost of the whole session; False for an unknown version."""
    numbers = version.split("-", maxsplit=1)[0].split(".")
    return bool(version) and all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) >= _CUMULATIVE_SINCE
