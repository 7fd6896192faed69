"""Advise in which order branches that conflict as text should land. Pure.

Of two branches that conflict, whichever lands second is evicted, so one that conflicts with many should land last.
Advised orders keep declared dependencies. The train is not reordered; a person does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.blueprint.model import AgentName

ConflictMap = Mapping[AgentName, frozenset[AgentName]]
After = Mapping[AgentName, frozenset[AgentName]]
_NONE = frozenset[AgentName]()


def losses(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[AgentName, ...]:
    """Return the agents that would not land in that order: they conflict with, or depend on, one before them."""
    landed: set[AgentName] = set()
    lost: list[AgentName] = []
    queued = set(order)
    for agent in order:
        needed = after.get(agent, _NONE) & queued
        if needed <= landed and not conflicts.get(agent, _NONE) & landed:
            landed.add(agent)
        else:
            lost.append(agent)
    return tuple(lost)


def better_order(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[AgentName, ...] | None:
    """Return an order that loses fewer than ``order``; None without one. Greedy: fewest open conflicts first."""
    remaining, landed, lost = list(order), set[AgentName](), set[AgentName]()
    advised: list[AgentName] = []

    def cost(agent: AgentName) -> int:
        """Return how many of the remaining would be lost if this one landed."""
        hit = conflicts.get(agent, _NONE) & set(remaining)
        return sum(1 for name in remaining if name != agent and (name in hit or after.get(name, _NONE) & hit))

    while remaining:
        ready = [agent for agent in remaining if not after.get(agent, _NONE) & set(remaining)]
        doomed = [agent for agent in ready if conflicts.get(agent, _NONE) & landed or after.get(agent, _NONE) & lost]
        chosen = min(ready, key=lambda agent: (agent in doomed, cost(agent), order.index(agent)))
        remaining.remove(chosen)
        advised.append(chosen)
        (lost if chosen in doomed else landed).add(chosen)
    is_better = len(losses(advised, after, conflicts)) < len(losses(order, after, conflicts))
    return tuple(advised) if is_better else None


def advise(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[str, ...]:
    """Return advice to print before the train starts; nothing without conflicts."""
    queued = set(order)
    conflicts = {name: names & queued for name, names in conflicts.items() if name in queued and names & queued}
    if not conflicts:
        return ()
    both_ways = ((first, second) for first, seconds in conflicts.items() for second in seconds)
    pairs = sorted({tuple(sorted(pair, key=order.index)) for pair in both_ways})
    advice = [
        f"{first} and {second} conflict as text: whichever lands second will be evicted" for first, second in pairs
    ]
    advised = better_order(order, after, conflicts)
    if advised is not None:
        before, now = len(losses(order, after, conflicts)), len(losses(advised, after, conflicts))
        advice.append(f"{now} instead of {before} would be evicted in this order: {', '.join(advised)}")
    return tuple(advice)
