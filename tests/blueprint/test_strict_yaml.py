"""YAML: positions, guards, and scalars that stay what was typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.strict_yaml import MAX_BYTES, MAX_VALUES, Tree, load_tree, parse_tree
from orchestra.blueprint.yaml_tree import MapNode, Scalar, find, plain, walk
from orchestra.errors import Problem

FILE = Path("f.yaml")


def parsed(text: str) -> MapNode:
    tree = parse_tree(text, FILE)
    assert tree.root is not None and not tree.problems, tree.problems
    return tree.root


def only_problem(tree: Tree) -> Problem:
    assert tree.root is None
    (problem,) = tree.problems
    return problem


def test_every_node_knows_its_place() -> None:
    root = parsed("a: 1\nb:\n  - c\n  - {d: e}\nf: |\n  text\n")
    places = {path: (node.origin.line, node.origin.column) for path, node in walk(root)}
    assert places == {
        (): (1, 1),
        ("a",): (1, 4),
        ("b",): (3, 3),
        ("b", 0): (3, 5),
        ("b", 1): (4, 5),
        ("b", 1, "d"): (4, 9),
        ("f",): (5, 4),
    }
    assert (root.entries["b"].key.line, root.entries["b"].key.column) == (2, 1)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("on", "on"),
        ("NO", "NO"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 40, "9" * 40),
        ("1.10", 1.10),
        ("-7", -7),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ('"true"', "true"),
        ("'7'", "7"),
    ],
)
def test_scalars_follow_yaml_1_2(typed: str, value: object) -> None:
    node = find(parsed(f"a: {typed}\n"), ("a",))
    assert isinstance(node, Scalar)
    assert node.value == value and type(node.value) is type(value)


def test_the_text_is_kept_as_typed() -> None:
    root = parsed("a: 1.10\nb: 007\nc: Yes\n")
    assert [node.text for _, node in walk(root) if isinstance(node, Scalar)] == ["1.10", "007", "Yes"]


def test_merge_keys_and_anchors() -> None:
    root = parsed("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\nw: {<<: *x}\nl: [*x]\n")
    assert plain(root) == {
        "x": {"a": 1, "b": 2},
        "y": {"b": 3, "c": 4},
        "z": {"a": 0, "b": 2, "c": 4},
        "w": {"a": 1, "b": 2},
        "l": [{"a": 1, "b": 2}],
    }
    merged = find(root, ("z", "c"))
    assert merged is not None and merged.origin.line == 2, "where the value was written, not where it was merged"


def test_only_append_is_a_tag() -> None:
    root = parsed("a: !append [b]\n")
    assert root.get("a") is not None and root.get("a").append  # type: ignore[union-attr]
    assert [problem.message for problem in parse_tree("a: !x b\n", FILE).problems] == ["unknown tag !x"]


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    tree = load_tree(file)
    assert tree.root is not None and plain(tree.root) == {"a": 1, "b": 2}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_100_000_levels_are_refused_at_a_place(opening: str) -> None:
    # The parser or the builder refuses it, whichever limit comes first; both name the place.
    problem = only_problem(parse_tree(opening * 100_000, FILE))
    assert (problem.line, 1 <= problem.column <= len(opening) * 1_001) == (1, True), problem


def test_too_many_values_are_refused() -> None:
    assert "it contains more than 50,000 values" in only_problem(parse_tree("- a\n" * (MAX_VALUES + 1), FILE)).message


def test_an_alias_costs_what_it_stands_for() -> None:
    big = "a: &a [" + "x, " * 10_000 + "x]\n"
    assert parse_tree(big + "b: [*a, *a, *a]\n", FILE).root is not None
    problem = only_problem(parse_tree(big + "b: [*a, *a, *a, *a, *a]\n", FILE))
    assert (problem.message, problem.line) == ("too large: its aliases expand to more than 50,000 values", 2)


# Files that are no blueprints


def test_a_file_of_50_mb_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(50_000_000)  # sparse: takes no space
    assert MAX_BYTES < 50_000_000
    assert only_problem(load_tree(file)).message == "is larger than 5,000 kB"


def test_bytes_that_are_not_utf8_are_reported_at_their_place(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    problem = only_problem(load_tree(file))
    assert (problem.line, problem.column, problem.message) == (2, 7, "byte 0xe9 is not UTF-8")
    file.write_text("a: 1\n", encoding="utf-16")
    assert only_problem(load_tree(file)).message == "is UTF-16, not UTF-8"


def test_a_folder_is_refused_with_its_blueprints(tmp_path: Path) -> None:
    (tmp_path / "mvp.yaml").write_text("a: 1\n")
    problem = only_problem(load_tree(tmp_path))
    assert (problem.message, problem.hint) == ("is a folder, not a file", "it contains mvp.yaml")


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mvp5.yaml").write_text("a: 1\n")
    problem = only_problem(load_tree(tmp_path / "mpv5.yaml"))
    assert (problem.message, problem.hint) == ("no such file", 'did you mean "mvp5.yaml"?')


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert only_problem(load_tree(tmp_path / "pipe.yaml")).message == "is not a regular file"


@pytest.mark.parametrize("name", ["a\0b", "n" * 300])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    assert only_problem(load_tree(tmp_path / name)).line == 1


# Fuzz


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_at_a_place(text: str) -> None:
    tree = parse_tree(text, FILE)
    assert tree.root is not None or tree.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in tree.problems)


@given(st.text(alphabet="abx:- \n\t[]{}&*!|>'\"#%@`?,<~0.", max_size=80))
def test_any_punctuation_is_read_or_refused_at_a_place(text: str) -> None:
    tree = parse_tree(text, FILE)
    assert tree.root is not None or tree.problems


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_at_a_place(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bytes.yaml"
    file.write_bytes(data)
    tree = load_tree(file)
    assert tree.root is not None or tree.problems
