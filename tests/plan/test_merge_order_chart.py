"""The merge order drawn three ways."""

from __future__ import annotations

import re

import pytest

from orchestra.plan.merge_order_chart import MergeGraph, draw_dot, draw_mermaid, draw_text, merge_graph
from tests.plan.conftest import Written

AGENTS = """
- {name: schema, stage: base, title: Tables}
- {name: api, stage: services}
- {name: auth, stage: services, merge_after: [api]}
- {name: docs}
"""


@pytest.fixture
def graph(written: Written) -> MergeGraph:
    return merge_graph(written(AGENTS, "stages: [base, services]"))


def test_text(graph: MergeGraph) -> None:
    assert draw_text(graph) == [
        "base",
        "  1 schema",
        "  ▼",
        "services",
        "  2 api",
        "  3 auth    ◀── api",
        "",
        "(no stage: anywhere that the arrows allow)",
        "  4 docs",
    ]


def test_text_without_stages(written: Written) -> None:
    assert draw_text(merge_graph(written("- {name: b, merge_after: [a]}\n- {name: a}"))) == [
        "  2 a",
        "  ▼",
        "  1 b  ◀── a",
    ]


def test_mermaid(graph: MergeGraph) -> None:
    assert draw_mermaid(graph) == [
        "flowchart LR",
        '  subgraph s0["base"]',
        '    a1["1 schema: Tables"]',
        "  end",
        '  subgraph s1["services"]',
        '    a2["2 api"]',
        '    a3["3 auth"]',
        "  end",
        '  a4["4 docs"]',
        "  s0 --> s1",
        "  a2 --> a3",
    ]


def test_dot(graph: MergeGraph) -> None:
    assert draw_dot(graph, "demo") == [
        'digraph "demo" {',
        "  rankdir=LR;",
        "  node [shape=box, style=rounded];",
        "  subgraph cluster_0 {",
        '    label="base";',
        '    a1 [label="1 schema: Tables"];',
        "  }",
        "  subgraph cluster_1 {",
        '    label="services";',
        '    a2 [label="2 api"];',
        '    a3 [label="3 auth"];',
        "  }",
        '  a4 [label="4 docs"];',
        "  b0 [shape=point];",
        "  a1 -> b0 [arrowhead=none];",
        "  b0 -> a2;",
        "  b0 -> a3;",
        "  a2 -> a3;",
        "}",
    ]


def test_a_title_cannot_break_the_drawing(written: Written) -> None:
    title = 'a "b" [c] <i>; \\ #quot; `d` {e|f} end'
    odd = merge_graph(written(f"- {{name: a, title: '{title}'}}"))
    assert draw_dot(odd, "demo")[3] == '  a1 [label="1 a: a \\"b\\" [c] <i>; \\\\ #quot; `d` {e|f} end"];'
    label = draw_mermaid(odd)[1].removeprefix('  a1["').removesuffix('"]')
    assert re.fullmatch(r"([\w .:]|#\d+;)*", label)
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) == f"1 a: {title}"
