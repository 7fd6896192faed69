"""Who may touch what: one definition, asked of one path or of a whole tree."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.plan.ownership import PathIndex, Territory, claims
from tests.fleets import make_agent, make_blueprint
from tests.plan.conftest import Written

PATTERNS = [
    "**",
    "src",
    "src/**",
    "src/*",
    "src/a?/**",
    "**/*.json",
    "src/a[bc]/x",
    "src/\\*/x",
    "*",
    "a/**/x",
    "src/ab/x",
]
PATHS = [
    "x",
    "src/x",
    "src/ab/x",
    "src/ac/x",
    "src/*/x",
    "src/ab/package.json",
    "package.json",
    "a/x",
    "a/b/c/x",
    "srcs",
]
MANY = st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("db/x", True),
        ("api/x", False),
        ("db/package.json", False),  # in scope, protected
        ("package.json", True),  # protected, outside the scope, given by may_edit
        ("db/old/x", False),  # excluded
        ("db/old/keep", True),  # excluded, given by may_edit all the same
    ],
)
def test_one_path(path: str, may: bool) -> None:
    scope = Scope(("db/**",), ("db/old/**",))
    agent = replace(make_agent("db"), scope=scope, may_edit=("package.json", "db/old/keep"))
    assert Territory(agent, ["**/package.json"]).holds(path) is may


def test_without_a_scope_everything_but_what_is_protected() -> None:
    territory = Territory(make_agent("any"), ["*.lock"])
    assert territory.holds("a/b")
    assert not territory.holds("x.lock")


@given(MANY, MANY, MANY, MANY, st.booleans())
def test_a_whole_tree_is_divided_as_path_by_path(
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    may_edit: tuple[str, ...],
    protected: tuple[str, ...],
    scoped: bool,
) -> None:
    scope = Scope(include, exclude) if scoped and include else None
    blueprint = make_blueprint("one", "two")
    one = replace(blueprint.agents[0], scope=scope, may_edit=may_edit)
    blueprint = replace(blueprint, agents=(one, blueprint.agents[1]), protected=protected)
    found = claims(blueprint, PathIndex(PATHS))
    for agent in blueprint.agents:
        territory = Territory(agent, protected)
        assert found.held[agent.name] == {path for path in PATHS if territory.holds(path)}
        assert {path for path, owners in found.owners.items() if agent.name in owners} == found.held[agent.name]
    in_scope = {path for path in PATHS if scope is None or Matcher(scope).matches(path)}
    assert found.shut_out[one.name] == {path for path in in_scope & found.protected if path not in found.held[one.name]}
    assert set(found.owners) == set(PATHS)


@given(st.sampled_from(PATTERNS), st.lists(st.text(st.sampled_from("srcab/x*é\udcff"), min_size=1).filter(os.fsencode)))
def test_looking_a_pattern_up_equals_matching_every_path(pattern: str, paths: list[str]) -> None:
    matcher = Matcher(Scope((pattern,)))
    assert PathIndex(PATHS + paths).matching(pattern) == {path for path in PATHS + paths if matcher.matches(path)}


def test_what_judges_a_branch_is_protected_unless_a_scope_names_it(written: Written) -> None:
    blueprint = written(
        "- {name: a, scope: ['**'], may_edit: [Makefile]}\n"
        "- {name: b, scope: [Makefile, conftest.py, '.github/**']}\n"
        "- {name: c}",
        "gates: {t: {run: make test}, u: {run: pytest -q}}",
    )
    judging = ("Makefile", "conftest.py", ".github/workflows/ci.yml")
    found = claims(blueprint, PathIndex([*judging, "src/a"]))
    assert found.judging == set(judging)
    assert found.held == {"a": {"Makefile", "src/a"}, "b": set(judging), "c": {"src/a"}}
