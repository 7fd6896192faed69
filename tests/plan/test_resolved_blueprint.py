"""A composed blueprint on one page: it reads back as what it was, and says where each value came from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.load import Resolved, list_blueprints, load_blueprint, resolved
from orchestra.blueprint.model import Key, Origin
from orchestra.blueprint.yaml_tree import Plain
from orchestra.plan.resolved_blueprint import draw_resolved

HOME = Path("/repo")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "a\nb\n",
        "a\nb",
        " a\nb",
        "a\n\n b\n",
        "a\n",
        "\na\n",
        "yes",
        "1.10",
        "a: b",
        "# x",
        "- x",
        "{{ x }}",
        "a #b",
        "a\nb\n\n",
        "\t\nx",
    ]
)
SCALAR = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXT | st.sampled_from([0.5, 1e-07, 2e30])
TREE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=12
)


def drawn(document: dict[str, Plain], origins: dict[Key, Origin] | None = None) -> str:
    return "\n".join(draw_resolved(Resolved(document, origins or {}, ()), HOME)) + "\n"


@given(st.dictionaries(TEXT, TREE, min_size=1, max_size=3))
def test_what_is_drawn_reads_back(document: dict[str, Plain]) -> None:
    assert yaml.safe_load(drawn(document)) == document


def test_every_value_has_its_place() -> None:
    document: dict[str, Plain] = {
        "name": "demo",
        "list": ["a b", "1.0"],
        "agents": [{"name": "x", "task": "one\n\ntwo\n", "scope": {"include": []}}, {}],
        "text": "one\ntwo",
    }
    origins = {
        ("name",): Origin(HOME / "b.yaml", 3, 1),
        ("list", 1): Origin(HOME / "s" / "p.yaml", 9, 1),
        ("agents", 0, "name"): Origin(HOME / "b.yaml", 5, 5),
        ("agents", 0, "task"): Origin(Path("/lib/q.yaml"), 6, 5),
        ("agents", 0, "scope", "include"): Origin(HOME / "b.yaml", 7, 5),
    }
    assert drawn(document, origins) == (
        "name: demo  # b.yaml:3\n"
        "list:\n"
        "  - a b\n"
        '  - "1.0"  # s/p.yaml:9\n'
        "agents:\n"
        "  - name: x  # b.yaml:5\n"
        "    task: |  # /lib/q.yaml:6\n"
        "      one\n"
        "\n"
        "      two\n"
        "    scope:\n"
        "      include: []  # b.yaml:7\n"
        "  - {}\n"
        "text: |-\n"
        "  one\n"
        "  two\n"
    )


@pytest.mark.parametrize("name", [listed.name for listed in list_blueprints(None)])
def test_a_shipped_blueprint_drawn_loads_as_the_same_blueprint(name: str, tmp_path: Path) -> None:
    (path,) = (listed.path for listed in list_blueprints(None) if listed.name == name)
    lines = draw_resolved(resolved(path), Path("/nowhere"))
    copy = tmp_path / "copy.yaml"
    copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    original, again = load_blueprint(path), load_blueprint(copy)
    for field in (
        "name",
        "agents",
        "gates",
        "standards",
        "never",
        "protected",
        "merge",
        "limits",
        "worktrees",
        "merge_order",
    ):
        assert getattr(original, field) == getattr(again, field), field
    values = [line for line in lines if line.lstrip().startswith("- ") or line.rstrip().endswith("|")]
    assert not [line for line in values if line.lstrip().startswith('- "') and "  # /" not in line]
