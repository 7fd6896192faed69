"""Draw the merge order as text, Mermaid or Graphviz DOT; well-formed for any title."""

from __future__ import annotations

from itertools import pairwise

from orchestra.blueprint.model import Agent, AgentName
from orchestra.plan.landing_graph import MergeGraph


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
