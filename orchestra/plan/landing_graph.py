"""The merge order as a graph: layers, arrows, and the longest chain of landings.

Every agent is in exactly one layer; a layer's agents are in merge order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, AgentName, Blueprint


@dataclass(frozen=True, slots=True)
class Layer:
    """Agents between two barriers. ``stage`` None: these agents name no stage."""

    stage: str | None
    agents: tuple[Agent, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """``after`` names ``before`` in its ``merge_after``."""

    before: AgentName
    after: AgentName


@dataclass(frozen=True, slots=True)
class MergeGraph:
    """``arrows`` are those that neither the stages nor other arrows imply.

    ``critical_path`` is the longest chain of agents of which each must land before the next.
    """

    layers: tuple[Layer, ...]
    arrows: tuple[Arrow, ...]
    critical_path: tuple[AgentName, ...]


def merge_graph(blueprint: Blueprint) -> MergeGraph:
    """Return the graph of a blueprint: its stages as layers, where it has none the depth in ``merge_after``."""
    ordered = [agent for name in blueprint.merge_order if (agent := blueprint.agent(name))]
    depths = _depths(blueprint.merge_order, blueprint.predecessors)
    layers = _by_stage(ordered, blueprint.stages) if any(a.stage for a in ordered) else _by_depth(ordered, depths)
    return MergeGraph(
        layers, tuple(_arrows(blueprint, ordered)), critical_path(blueprint.merge_order, blueprint.predecessors)
    )


def critical_path(
    order: Iterable[AgentName], predecessors: Mapping[AgentName, frozenset[AgentName]]
) -> tuple[AgentName, ...]:
    """Return the longest chain of agents of which each must land before the next; of equal ones the first in
    ``order``."""
    order = tuple(order)
    depths = _depths(order, predecessors)
    if not depths:
        return ()
    chain = [max(order, key=lambda name: depths[name])]
    while depths[chain[-1]] > 1:
        depth = depths[chain[-1]] - 1
        chain.append(next(n for n in order if n in predecessors.get(chain[-1], ()) and depths[n] == depth))
    return tuple(reversed(chain))


def _arrows(blueprint: Blueprint, ordered: Iterable[Agent]) -> Iterator[Arrow]:
    stages = {agent.name: agent.stage for agent in blueprint.agents}
    for agent in ordered:
        mine = blueprint.predecessors.get(agent.name, frozenset())
        for before in agent.merge_after:
            staged = agent.stage is not None and stages[before] not in (None, agent.stage)
            through = any(before in blueprint.predecessors.get(predecessor, ()) for predecessor in mine)
            if not staged and not through:
                yield Arrow(before, agent.name)


def _depths(order: Iterable[AgentName], predecessors: Mapping[AgentName, frozenset[AgentName]]) -> dict[AgentName, int]:
    """Return the length of the longest chain that ends with each agent; ``order`` has predecessors first."""
    depths: dict[AgentName, int] = {}
    for name in order:
        depths[name] = 1 + max((depths[before] for before in predecessors.get(name, ())), default=0)
    return depths


def _by_stage(agents: list[Agent], stages: tuple[str, ...]) -> tuple[Layer, ...]:
    layers = [Layer(stage, tuple(a for a in agents if a.stage == stage)) for stage in (*stages, None)]
    return tuple(layer for layer in layers if layer.agents)


def _by_depth(agents: list[Agent], depths: Mapping[AgentName, int]) -> tuple[Layer, ...]:
    levels = sorted(set(depths.values()))
    return tuple(Layer(None, tuple(a for a in agents if depths[a.name] == depth)) for depth in levels)
