"""Overlaps between agents: exact, explained by the patterns that cause them, with the files of today."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName, Merge, Overlap, Scope, Union
from orchestra.blueprint.scope import Matcher
from orchestra.plan.finding import Code, Severity
from orchestra.plan.ownership import Territory
from orchestra.plan.scope_findings import name_files, overlap_findings, overlapping_pairs, scope_overlaps
from tests.fleets import make_agent, make_blueprint
from tests.plan.conftest import Written

TWO = "- {name: web, scope: [src/**, docs/web.md]}\n- {name: api, scope: [src/api/**], merge_after: [web]}"


def test_an_overlap_names_patterns_places_and_a_path(written: Written) -> None:
    (found,) = scope_overlaps(written(TWO))
    assert (found.severity, found.code, found.agents) == (Severity.WARNING, Code.SCOPE_OVERLAP, ("web", "api"))
    assert found.message == (
        "web and api may both change src/api/x: scope src/** of web and scope src/api/** of api (line 6)"
    )
    assert found.advice == (
        "exclude src/api/** from the scope of web: {include: [...], exclude: [...]}; as it is, api lands after web and "
        "gets the conflicts"
    )
    assert (found.origin.line, found.origin.column) == (5, 34)


def test_an_overlap_names_the_files_it_hits_today_the_busiest_first(written: Written) -> None:
    files = [f"src/api/{name}" for name in "abcdefg"]
    held = {AgentName(name): frozenset([*files, "src/api/log", f"{name}/x"]) for name in ("web", "api")}
    more = "merge: {conflicts: {src/api/log: union}}"
    (found,) = overlap_findings(written(TWO, more), held, {"src/api/g": 7, "src/api/f": 2})
    assert found.paths == ("src/api/g", "src/api/f", *files[:5])
    assert found.message.endswith(
        "; tracked files: src/api/g, src/api/f, src/api/a, src/api/b, src/api/c and 2 more files"
    )


@pytest.mark.parametrize(
    ("overlap", "severities"), [("allow", []), ("warn", [Severity.WARNING]), ("error", [Severity.ERROR])]
)
def test_the_blueprint_sets_the_severity_of_an_overlap(
    written: Written, overlap: str, severities: list[Severity]
) -> None:
    assert [found.severity for found in scope_overlaps(written(TWO, f"overlap: {overlap}"))] == severities


@pytest.mark.parametrize(
    ("one", "other", "protected", "overlaps"),
    [
        ("scope: [a/**]", "scope: [b/**]", "", False),
        ("scope: {include: [a/**], exclude: [a/b/**]}", "scope: [a/b/**]", "", False),
        # what is protected is nobody's
        ("scope: [a/**]", "scope: [a/package.json]", "**/package.json", False),
        ("scope: ['**/*.json']", "scope: [a/**]", "**/*.json", False),
        ("scope: {include: [a/**], exclude: ['**/x.ts']}", "scope: [a/b/x.ts]", "", False),
        ("scope: [a/**]", "scope: [b/**], may_edit: [a/package.json]", "**/package.json", False),
        ("scope: [a/**]", "scope: [a/conf.d]", "", True),
        ("scope: {include: ['**'], exclude: ['*']}", "scope: [src]", "", True),
        ("scope: {include: [docs/**], exclude: ['docs/*']}", "scope: [docs/api]", "", True),
        ("scope: ['**/*.json']", "scope: [a/**]", "**/package.json", True),
        # may_edit gives what is protected, in or outside the scope
        ("scope: [a/**], may_edit: [package.json]", "scope: [b/**], may_edit: [package.json]", "package.json", True),
        ("scope: [a/**], may_edit: [b/lock]", "scope: [b/**]", "b/lock", False),
        ("scope: [a/**], may_edit: [b/lock]", "scope: [b/**]", "c", True),
        ("scope: [a/**], may_edit: [b/lock]", "scope: [b/**], may_edit: [b/*]", "b/lock", True),
    ],
)
def test_territories_are_compared_not_scopes(
    written: Written, one: str, other: str, protected: str, overlaps: bool
) -> None:
    blueprint = written(f"- {{name: one, {one}}}\n- {{name: two, {other}}}", f"protected: ['{protected or 'none'}']")
    assert bool(scope_overlaps(blueprint)) is overlaps


def test_the_same_file_given_to_two_by_may_edit(written: Written) -> None:
    agents = "- {name: a, scope: [a/**], may_edit: [lock]}\n- {name: b, scope: [b/**], may_edit: [lock]}"
    (found,) = scope_overlaps(written(agents, "protected: [lock]"))
    assert found.message == "a and b may both change lock: may_edit lock of a and may_edit lock of b (line 6)"
    assert found.advice.startswith("give lock to one of the two, or a merge rule (`merge.conflicts`)")
    assert found.advice.endswith(", or decide which lands first (`merge_after`)")
    assert found.origin.line == 5


def test_what_both_were_given_by_name_is_a_warning_even_where_overlaps_are_errors(written: Written) -> None:
    agents = "- {name: a, scope: [a/**], may_edit: [lock]}\n- {name: b, scope: [%s], may_edit: [lock]}"
    more = "protected: [lock]\noverlap: error"
    assert [found.severity for found in scope_overlaps(written(agents % "b/**", more))] == [Severity.WARNING]
    assert [found.severity for found in scope_overlaps(written(agents % "a/b", more))] == [Severity.ERROR]


@pytest.mark.parametrize(
    ("rules", "overlaps"),
    [
        ('"lock": union', False),
        ('"lock": {regenerate: make}', False),
        ('"lock": forbid', True),
        ('"other": union', True),
        ('"l*": forbid, "lock": union', True),
        ('"lock": union, "l*": forbid', False),
    ],
)
def test_files_that_merge_by_rule_may_be_given_to_several(written: Written, rules: str, overlaps: bool) -> None:
    agents = "- {name: a, scope: [a/**], may_edit: [lock]}\n- {name: b, scope: [b/**, lock]}"
    assert bool(scope_overlaps(written(agents, f"merge: {{conflicts: {{{rules}}}}}"))) is overlaps


def test_all_patterns_that_overlap_are_named(written: Written) -> None:
    agents = "- {name: a, scope: ['**']}\n- {name: b, scope: [x/**, never/**, y/**]}"
    held = {name: frozenset({"x/1", "y/1"}) for name in (AgentName("a"), AgentName("b"))}
    blueprint = written(agents)
    (found,) = overlap_findings(blueprint, held, {})
    assert "scope ** of a and scope x/**, y/** of b" in found.message


def test_a_place_in_another_file_is_named_with_that_file(written: Written) -> None:
    base = written("- {name: unused}", "profiles: {p: {scope: [x/y]}}", name="base.yaml").source
    (found,) = scope_overlaps(written("- {name: a, scope: ['x/*']}\n- {name: b, from: p}", "extends: base"))
    assert found.message.endswith(f"scope x/* of a and scope x/y of b ({base}:6)")


def test_agents_without_a_scope_are_reported_once(written: Written) -> None:
    blueprint = written("- {name: a}\n- {name: b}\n- {name: c, scope: [x]}", "overlap: error\nprotected: [lock]")
    (found,) = scope_overlaps(blueprint)
    assert (found.severity, found.code, found.agents, found.origin.line) == (
        Severity.ERROR,
        Code.NO_SCOPE,
        ("a", "b"),
        5,
    )
    assert found.message.startswith("a, b have no scope, and may change everything that is not protected")


def test_one_agent_alone_overlaps_with_none(written: Written) -> None:
    assert scope_overlaps(written("- {name: a}")) == ()


@pytest.mark.parametrize(
    ("count", "message"),
    [(1, "0"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 and 1 more file"), (8, "0, 1, 2, 3, 4 and 3 more files")],
)
def test_many_files_are_counted(count: int, message: str) -> None:
    assert name_files([str(number) for number in range(count)]) == message


PATTERNS = ["**", "a/**", "a/*", "b/**", "**/x", "a/x", "*/x", "a", "lock", "*.j", "b/?"]
MANY = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2).map(tuple)
ANY = st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple)
UNIVERSE = [
    "a",
    "x",
    "a/x",
    "a/y",
    "a/b/x",
    "a/b/y",
    "b/x",
    "b/y",
    "b/yy",
    "b/c/x",
    "lock",
    "q.j",
    "a/q.j",
    "c/x",
    "c/y",
]


@given(st.lists(st.tuples(MANY, ANY, ANY), min_size=2, max_size=4), ANY, ANY)
def test_overlaps_equal_brute_force(
    agents: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]],
    protected: tuple[str, ...],
    merged: tuple[str, ...],
) -> None:
    fleet = [
        replace(make_agent(f"a{number}", number), scope=Scope(include, exclude), may_edit=may_edit)
        for number, (include, exclude, may_edit) in enumerate(agents, 1)
    ]
    territories = {agent.name: Territory(agent, protected) for agent in fleet}
    conflicts = dict.fromkeys(merged, Union())
    blueprint = replace(
        make_blueprint("x"), agents=tuple(fleet), protected=protected, merge=replace(Merge(), conflicts=conflicts)
    )
    by_rule = Matcher(Scope(merged)).matches
    found = {(pair.first.name, pair.second.name): pair for pair in overlapping_pairs(blueprint)}
    for one, other in combinations(territories, 2):
        pair = found.get((one, other))
        both = [path for path in UNIVERSE if territories[one].holds(path) and territories[other].holds(path)]
        if pair is None:
            assert all(map(by_rule, both))
            continue
        assert pair.witness is not None
        assert territories[one].holds(pair.witness)
        assert territories[other].holds(pair.witness)
        assert not by_rule(pair.witness)
        if pair.given:
            edits = [Matcher(Scope(agent.may_edit)).matches for agent in (pair.first, pair.second)]
            assert all(edit(pair.witness) for edit in edits)


def test_allowed_overlap_is_not_looked_for(written: Written) -> None:
    blueprint = replace(written(TWO), overlap=Overlap.ALLOW)
    assert scope_overlaps(blueprint) == ()
