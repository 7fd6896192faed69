"""The merge order as a graph: layers, arrows that say something, the longest chain."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.plan.merge_order_chart import critical_path, merge_graph
from tests.plan.conftest import Written


def closed(**before: str) -> dict[AgentName, frozenset[AgentName]]:
    return {AgentName(name): frozenset(AgentName(b) for b in names.split()) for name, names in before.items()}


@pytest.mark.parametrize(
    ("order", "before", "chain"),
    [
        ("", {}, ""),
        ("a b", {}, "a"),
        ("a b c", {"b": "a", "c": "a"}, "a b"),
        ("a b c d", {"c": "a", "d": "a c"}, "a c d"),
        ("a b c d e", {"b": "a", "d": "c", "e": "a b"}, "a b e"),
    ],
)
def test_critical_path(order: str, before: dict[str, str], chain: str) -> None:
    names = tuple(AgentName(name) for name in order.split())
    assert critical_path(names, closed(**before)) == tuple(chain.split())


def test_stages_are_layers_in_merge_order_and_agents_without_one_come_last(written: Written) -> None:
    agents = """
- {name: t, stage: tests}
- {name: b, stage: services, merge_after: [a]}
- {name: loose}
- {name: a, stage: services}
"""
    graph = merge_graph(written(agents, "stages: [empty, services, tests]"))
    layers = [(layer.stage, [agent.name for agent in layer.agents]) for layer in graph.layers]
    assert layers == [("services", ["a", "b"]), ("tests", ["t"]), (None, ["loose"])]
    assert graph.critical_path == ("a", "b", "t")


def test_without_stages_the_depth_makes_the_layers(written: Written) -> None:
    graph = merge_graph(
        written("- {name: c, merge_after: [b]}\n- {name: b, merge_after: [a]}\n- {name: a}\n- {name: d}")
    )
    assert [[agent.name for agent in layer.agents] for layer in graph.layers] == [["a", "d"], ["b"], ["c"]]


def test_arrows_that_stages_or_other_arrows_imply_are_left_out(written: Written) -> None:
    agents = """
- {name: a, stage: one}
- {name: b, stage: two, merge_after: [a]}
- {name: c, stage: two, merge_after: [b, a]}
- {name: d, stage: two, merge_after: [c, b]}
- {name: loose, merge_after: [a]}
"""
    graph = merge_graph(written(agents, "stages: [one, two]"))
    assert [(arrow.before, arrow.after) for arrow in graph.arrows] == [("b", "c"), ("c", "d"), ("a", "loose")]
