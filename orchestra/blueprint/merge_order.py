"""The merge order: stages, then ``merge_after``, then the order in which agents are declared.

Every agent comes after all agents of earlier stages and after all that it names in ``merge_after``; among those
free to go, the earlier stage goes first (no stage: last), then the lower number.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from types import MappingProxyType

from orchestra.blueprint.model import AgentName


@dataclass(frozen=True, slots=True)
class Member:
    """What the order needs to know of an agent. Names are unique; ``merge_after`` and ``stage`` are known ones."""

    name: AgentName
    stage: str | None
    merge_after: tuple[AgentName, ...]


@dataclass(frozen=True, slots=True)
class Order:
    names: tuple[AgentName, ...]
    predecessors: Mapping[AgentName, frozenset[AgentName]]  # all who land before, directly or through others


class OrderCycle(ValueError):  # noqa: N818
    """``cycle`` begins and ends with the same agent; each lands before the next, which is impossible."""

    def __init__(self, cycle: Sequence[AgentName]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(" -> ".join(self.cycle))


def merge_order(members: Sequence[Member], stages: Sequence[str]) -> Order:
    """Return the total order. Raises OrderCycle."""
    before = direct_predecessors(members, stages)
    rank = {stage: number for number, stage in enumerate(stages)}
    priority = {m.name: (rank.get(m.stage or "", len(stages)), number) for number, m in enumerate(members)}
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError as error:
        raise OrderCycle(error.args[1]) from None
    names = _drain(sorter, priority)
    return Order(names, _closed(names, before))


def direct_predecessors(members: Sequence[Member], stages: Sequence[str]) -> dict[AgentName, list[AgentName]]:
    """Return for each agent those of the nearest earlier stage that has any, and those of its ``merge_after``."""
    by_stage: dict[str, list[AgentName]] = {stage: [] for stage in stages}
    for member in members:
        if member.stage in by_stage:
            by_stage[member.stage].append(member.name)
    filled = [stage for stage in stages if by_stage[stage]]
    earlier = {stage: by_stage[previous] for previous, stage in pairwise(filled)}
    return {m.name: [*m.merge_after, *earlier.get(m.stage or "", [])] for m in members}


def _drain(
    sorter: TopologicalSorter[AgentName], priority: Mapping[AgentName, tuple[int, int]]
) -> tuple[AgentName, ...]:
    names: list[AgentName] = []
    free: list[tuple[tuple[int, int], AgentName]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(free, (priority[name], name))
        _, name = heapq.heappop(free)
        names.append(name)
        sorter.done(name)
    return tuple(names)


def _closed(
    names: Sequence[AgentName], before: Mapping[AgentName, Sequence[AgentName]]
) -> Mapping[AgentName, frozenset[AgentName]]:
    closed: dict[AgentName, frozenset[AgentName]] = {}
    for name in names:
        closed[name] = frozenset(before[name]).union(*(closed[earlier] for earlier in before[name]))
    return MappingProxyType(closed)
