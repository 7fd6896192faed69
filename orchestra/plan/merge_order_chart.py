"""The merge order as a graph: layers, arrows, the longest chain of landings; drawn as text, Mermaid or Graphviz DOT.

Every agent is in exactly one layer; a layer's agents are in merge order. Drawings are well-formed for any title.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

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


def draw_text(graph: MergeGraph) -> list[str]:
    """Draw layers from top to bottom with arrows between them; ``<--`` lists further agents that land before."""
    after: dict[AgentName, list[str]] = {}
    for arrow in graph.arrows:
        after.setdefault(arrow.after, []).append(arrow.before)
    agents = [agent for layer in graph.layers for agent in layer.agents]
    digits = max(len(str(agent.number)) for agent in agents)
    widest = max(len(agent.name) for agent in agents)
    lines: list[str] = []
    for number, layer in enumerate(graph.layers):
        floating = layer.stage is None and any(staged.stage for staged in graph.layers)
        if number:
            lines.append("" if floating else "  ▼")
        if layer.stage or floating:
            lines.append(layer.stage or "(no stage: anywhere that the arrows allow)")
        for agent in layer.agents:
            arrow_text = f"  ◀── {', '.join(after[agent.name])}" if agent.name in after else ""
            lines.append(f"  {agent.number:>{digits}} {agent.name:<{widest}}{arrow_text}".rstrip())
    return lines


def draw_mermaid(graph: MergeGraph) -> list[str]:
    """Return a Mermaid flowchart (mermaid.js.org): a subgraph for each stage, an arrow for each order between two."""
    lines = ["flowchart LR"]
    for number, layer in enumerate(graph.layers):
        nodes = [f'a{agent.number}["{_mermaid(_label(agent))}"]' for agent in layer.agents]
        if layer.stage is None:
            lines += [f"  {node}" for node in nodes]
        else:
            lines += [f'  subgraph s{number}["{_mermaid(layer.stage)}"]', *(f"    {n}" for n in nodes), "  end"]
    staged = [number for number, layer in enumerate(graph.layers) if layer.stage is not None]
    lines += [f"  s{earlier} --> s{later}" for earlier, later in pairwise(staged)]
    numbers = _numbers(graph)
    return lines + [f"  a{numbers[arrow.before]} --> a{numbers[arrow.after]}" for arrow in graph.arrows]


def draw_dot(graph: MergeGraph, name: str) -> list[str]:
    """Return a Graphviz digraph: a cluster for each stage, a point between two stages that every arrow goes through."""
    lines = [f"digraph {_quoted(name)} {{", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for number, layer in enumerate(graph.layers):
        nodes = [f"a{agent.number} [label={_quoted(_label(agent))}];" for agent in layer.agents]
        if layer.stage is None:
            lines += [f"  {node}" for node in nodes]
        else:
            inside = [f"label={_quoted(layer.stage)};", *nodes]
            lines += [f"  subgraph cluster_{number} {{", *(f"    {line}" for line in inside), "  }"]
    lines += [f"  {line}" for line in _barriers(graph)]
    numbers = _numbers(graph)
    lines += [f"  a{numbers[arrow.before]} -> a{numbers[arrow.after]};" for arrow in graph.arrows]
    return [*lines, "}"]


def _barriers(graph: MergeGraph) -> list[str]:
    staged = [layer for layer in graph.layers if layer.stage is not None]
    lines: list[str] = []
    for number, (earlier, later) in enumerate(pairwise(staged)):
        lines.append(f"b{number} [shape=point];")
        lines += [f"a{agent.number} -> b{number} [arrowhead=none];" for agent in earlier.agents]
        lines += [f"b{number} -> a{agent.number};" for agent in later.agents]
    return lines


def _numbers(graph: MergeGraph) -> dict[AgentName, int]:
    return {agent.name: agent.number for layer in graph.layers for agent in layer.agents}


def _label(agent: Agent) -> str:
    title = "" if agent.title == agent.name else f": {agent.title}"
    return f"{agent.number} {agent.name}{title}"


def _mermaid(text: str) -> str:
    """Escape text inside quotes: Mermaid knows HTML's entities by ``#name;``, and would read Markdown and tags."""
    return "".join(c if c.isalnum() or c in " -_.,:()/+" else f"#{ord(c)};" for c in text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
