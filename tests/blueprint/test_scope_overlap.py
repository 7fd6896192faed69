"""Overlap: decided exactly, with a shortest witness; tested against every path of a small universe."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import BadPattern, Matcher, check_pattern
from orchestra.blueprint.scope_overlap import Overlaps, OverlapUndecided, overlap

UNIVERSE = [
    path
    for length in range(1, 7)
    for path in map("".join, itertools.product("ab./", repeat=length))
    if all(part not in ("", ".", "..") for part in path.split("/"))
]
ATOMS = st.sampled_from("a b . * ** ? [ab] [!a] [a.] \\[".split())
PATTERNS = st.lists(st.lists(ATOMS, min_size=1, max_size=2).map("".join), min_size=1, max_size=3).map("/".join)
SCOPES = st.builds(
    lambda include, exclude: Scope(tuple(include), tuple(exclude)),
    st.lists(PATTERNS, min_size=1, max_size=2),
    st.lists(PATTERNS, max_size=2),
)


def accepted(scope: Scope) -> bool:
    try:
        for pattern in (*scope.include, *scope.exclude):
            check_pattern(pattern)
    except BadPattern:
        return False
    return True


@given(first=SCOPES, second=SCOPES)
def test_agrees_with_every_path_of_a_small_universe(first: Scope, second: Scope) -> None:
    assume(accepted(first) and accepted(second))
    one, two = Matcher(first), Matcher(second)
    shared = [path for path in UNIVERSE if one.matches(path) and two.matches(path)]
    witness = overlap(first, second)
    if witness is None:
        assert not shared
    else:
        assert one.matches(witness) and two.matches(witness)
        assert not shared or len(witness) <= len(shared[0]), "a shortest one"
        assert all(part not in ("", ".", "..") for part in witness.split("/"))


@given(first=SCOPES, second=SCOPES)
def test_is_symmetric(first: Scope, second: Scope) -> None:
    assume(accepted(first) and accepted(second))
    there, back = overlap(first, second), overlap(second, first)
    assert (there is None) == (back is None)
    assert there is None or back is None or len(there) == len(back)


@pytest.mark.parametrize(
    ("first", "second", "witness"),
    [
        (["src/**"], ["src/api/**"], "src/api/x"),
        (["src/*"], ["src/*/**"], None),
        (["db"], ["db/migrations/**"], "db/migrations/x"),
        (["db"], ["database/**"], None),
        (["**/*.md"], ["docs/**"], "docs/.md"),
        (["?"], [".*"], None),
        (["app/[id]/**"], ["app/i/**"], "app/i/x"),
        (["app/[id]"], ["app/\\[id\\]/**"], "app/[id]/x"),
        (["*.ts"], ["*.js"], None),
        (["a/**/z"], ["a/z"], "a/z"),
        (["é/**"], ["?/**"], None),
        (["é/**"], ["??/**"], "é/x"),
    ],
)
def test_finds_the_shortest_common_path(first: list[str], second: list[str], witness: str | None) -> None:
    assert overlap(Scope(tuple(first)), Scope(tuple(second))) == witness


def test_exclude_takes_an_overlap_away() -> None:
    code = Scope(("src/**",), ("src/**/*.test.ts",))
    assert overlap(code, Scope(("src/**/*.test.ts",))) is None
    assert overlap(code, Scope(("src/**/*.test.*",))) == "src/.test."


def test_pairs_of_many_scopes_are_those_of_two() -> None:
    scopes = [Scope((f"services/s{number % 7}/**", f"docs/s{number}*.md")) for number in range(12)]
    overlaps = Overlaps(scopes)
    for first, second in itertools.combinations(range(len(scopes)), 2):
        alone = overlap(scopes[first], scopes[second])
        together = overlaps.witness(first, second)
        assert (alone is None) == (together is None)
        assert alone is None or together is None or len(alone) == len(together)


def test_entangled_patterns_end_the_search() -> None:
    first, second = Scope(("**/*a" + "?" * 22 + "c",)), Scope(("**/*b" + "?" * 22 + "d",))
    with pytest.raises(OverlapUndecided):
        overlap(first, second)
