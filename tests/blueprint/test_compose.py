"""Composition: maps merge, lists replace or append, null deletes, and every value keeps its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.compose import compose
from orchestra.blueprint.model import Origin
from orchestra.blueprint.overlay import MAX_MERGED, Layers, prune
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Node, Plain, Scalar, find, plain
from orchestra.errors import Problem

PLACE = Origin(Path("f"), 1, 1)


def composed(folder: Path, *folders: Path, **files: str) -> MapNode:
    """The document of ``main``, out of the files given (``a__b`` is a/b.yaml)."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    found = compose(folder / "main.yaml", folders)
    assert found.root is not None and not found.problems, found.problems
    return prune(found.root)


def test_maps_merge_and_lists_replace(tmp_path: Path) -> None:
    root = composed(
        tmp_path,
        base="version: 1\nlimits: {agents: 3, gates: 2}\nnever: [a, b]\nstages: [x]\n",
        main="version: 1\nextends: base\nlimits: {gates: 4}\nnever: [c]\nstages: !append [y]\n",
    )
    assert plain(root) == {"version": 1, "limits": {"agents": 3, "gates": 4}, "never": ["c"], "stages": ["x", "y"]}


def test_later_bases_go_over_earlier_ones(tmp_path: Path) -> None:
    root = composed(
        tmp_path,
        a="title: a\nnever: [a]\nremote: a\n",
        b="title: b\nnever: !append [b]\n",
        main="extends: [a, b]\nnever: !append [m]\n",
    )
    assert plain(root) == {"title": "b", "never": ["a", "b", "m"], "remote": "a"}


def test_null_deletes_and_a_later_file_may_set_it_again(tmp_path: Path) -> None:
    files = {"base": "gates: {t: {run: a, retries: 1}, l: {run: b}}\n", "middle": "extends: base\ngates: {t: null}\n"}
    assert plain(composed(tmp_path, **files, main="extends: middle\n")) == {"gates": {"l": {"run": "b"}}}
    again = composed(tmp_path, **files, main="extends: middle\ngates: {t: {run: c}}\n")
    assert plain(again) == {"gates": {"t": {"run": "c"}, "l": {"run": "b"}}}


def test_x_keys_are_dropped_at_every_depth(tmp_path: Path) -> None:
    root = composed(
        tmp_path,
        base="x-base: !append [1]\nlimits: {x-why: because, agents: 2}\n",
        main="extends: base\nx-base: {a: b}\nx-rules: &rules [a]\nnever: *rules\n",
    )
    assert plain(root) == {"limits": {"agents": 2}, "never": ["a"]}


def test_an_append_to_nothing_is_the_list(tmp_path: Path) -> None:
    assert plain(composed(tmp_path, main="never: !append [a]\n")) == {"never": ["a"]}
    assert plain(composed(tmp_path, base="never: null\n", main="extends: base\nnever: !append [a]\n")) == {
        "never": ["a"]
    }


def test_a_file_extended_twice_is_read_once(tmp_path: Path) -> None:
    composed(tmp_path, base="title: t\n", a="extends: base\n", b="extends: base\n", main="extends: [a, b]\n")
    files = compose(tmp_path / "main.yaml", ()).files
    assert [file.name for file in files] == ["main.yaml", "a.yaml", "base.yaml", "b.yaml"]


def test_names_are_looked_up_beside_the_file_first(tmp_path: Path) -> None:
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    for folder in (shipped, own):
        (folder / "standards").mkdir(parents=True)
        (folder / "standards" / "s.yaml").write_text(f"title: {folder.name}\n")
    (shipped / "only.yml").write_text("description: only\nextends: standards/s\n")
    beside = tmp_path / "beside"
    beside.mkdir()
    main = "extends: [only, standards/s]\n"
    assert plain(composed(beside, own, shipped, main=main)) == {"title": "own", "description": "only"}
    assert plain(composed(beside, own, shipped, standards__s="title: beside\n", main=main))["title"] == "beside"  # type: ignore[index,call-overload]


def test_a_name_does_not_mean_the_file_it_stands_in(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "main.yaml").write_text("title: shipped\ndescription: d\n")
    root = composed(tmp_path, shipped, main="extends: main\ntitle: own\n")
    assert plain(root) == {"title": "own", "description": "d"}


def test_a_path_is_not_looked_up_elsewhere(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "base.yaml").write_text("title: shipped\n")
    (tmp_path / "main.yaml").write_text("extends: ./base.yaml\n")
    (problem,) = compose(tmp_path / "main.yaml", (shipped,)).problems
    assert problem.message == 'extends "./base.yaml": no such blueprint'


def test_paths_are_relative_to_the_file_that_extends(tmp_path: Path) -> None:
    root = composed(tmp_path, packs__a="extends: ../base.yaml\n", base="title: t\n", main="extends: ./packs/a\n")
    assert plain(root) == {"title": "t"}


def test_every_value_keeps_its_place(tmp_path: Path) -> None:
    root = composed(
        tmp_path,
        base="limits:\n  agents: 3\nnever:\n  - a\n",
        main="extends: base\nlimits:\n  gates: 2\nnever: !append\n  - b\n",
    )

    def place(*path: str | int) -> tuple[str, int]:
        node = find(root, path)
        assert node is not None
        return node.origin.file.name, node.origin.line

    assert place("limits", "agents") == ("base.yaml", 2)
    assert place("limits", "gates") == ("main.yaml", 3)
    assert (place("never", 0), place("never", 1)) == (("base.yaml", 4), ("main.yaml", 5))


def test_a_fragment_needs_nothing(tmp_path: Path) -> None:
    assert plain(composed(tmp_path, pack="never: [a]\n", main="extends: pack\nname: f\n")) == {
        "never": ["a"],
        "name": "f",
    }


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n")
    (tmp_path / "main.yaml").write_text("extends: [a, gone, main]\nb: !x 1\n")
    found = compose(tmp_path / "main.yaml", ())
    assert found.root is None
    assert sorted(problem.message for problem in found.problems) == [
        'duplicate key "a" (first on line 1)',
        'extends "gone": no such blueprint',
        "extends itself",
        "unknown tag !x",
    ]


def test_a_long_chain_of_files_ends(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"f{number}.yaml").write_text(f"extends: f{number + 1}\n")
    (problem, *_) = compose(tmp_path / "f0.yaml", ()).problems
    assert problem.message == "extends more than 32 files"


# The merge rules, as laws

Trees = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
Maps = st.dictionaries(st.sampled_from("abc"), Trees, max_size=3)


def node(value: Plain) -> Node:
    if isinstance(value, dict):
        return MapNode({key: Entry(PLACE, node(one)) for key, one in value.items()}, PLACE)
    if isinstance(value, list):
        return ListNode(tuple(node(one) for one in value), PLACE)
    return Scalar("" if value is None else str(value), "", PLACE)


def over(*values: Plain) -> Plain:
    problems: list[Problem] = []
    layers = Layers(problems)
    result: Node | None = None
    for value in values:
        result = layers.over(result, node(value))
    assert result is not None and not problems
    return plain(result)


@given(Maps)
def test_over_nothing_and_over_itself_it_is_itself(one: Plain) -> None:
    assert over({}, one) == over(one, {}) == over(one, one) == one


@given(Maps, Maps)
def test_key_by_key_the_upper_one_wins_and_maps_merge(one: dict[str, Plain], two: dict[str, Plain]) -> None:
    merged = over(one, two)
    assert isinstance(merged, dict)
    assert list(merged) == [*one, *(key for key in two if key not in one)], "the lower one's order first"
    for key, value in merged.items():
        if key not in two:
            assert value == one[key]
        elif isinstance(one.get(key), dict) and isinstance(two[key], dict):
            assert value == over(one[key], two[key])
        else:
            assert value == two[key]


def test_lists_that_double_are_stopped() -> None:
    problems: list[Problem] = []
    layers = Layers(problems)
    grown = ListNode((Scalar("x", "", PLACE),) * 10, PLACE, append=True)
    for _ in range(40):
        grown = layers.over(grown, grown)  # type: ignore[assignment]
    assert len(grown.items) < MAX_MERGED
    assert [problem.message for problem in problems] == ["too large: merging takes more than 200,000 steps"]


@pytest.mark.parametrize("base", ["{a: b}", "text", "5"])
def test_append_needs_a_list(tmp_path: Path, base: str) -> None:
    (tmp_path / "base.yaml").write_text(f"never: {base}\n")
    (tmp_path / "main.yaml").write_text("extends: base\nnever: !append [a]\n")
    (problem,) = compose(tmp_path / "main.yaml", ()).problems
    assert problem.message.startswith("!append needs a list to append to") and problem.line == 2
