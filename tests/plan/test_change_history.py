"""Demand by history: counts of commits, checked against counting by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName
from orchestra.plan.history_findings import (
    FEWEST_COMMITS,
    LIKELY_SHARE,
    Likely,
    PathDemand,
    path_demands,
    unowned_units,
)

API, DB = AgentName("api"), AgentName("db")


def owned(**paths: str) -> dict[str, frozenset[AgentName]]:
    return {path: frozenset(AgentName(name) for name in names.split()) for path, names in paths.items()}


def test_a_file_changed_together_with_an_agents_files_is_wanted() -> None:
    owners = {"api/a": frozenset({API}), "shared": frozenset[AgentName]()}
    commits = [{"api/a", "shared"}] * 4 + [{"api/a"}] * 2 + [{"shared"}] * 5
    assert path_demands(commits, owners) == (PathDemand("shared", 9, frozenset(), (Likely(API, 4, 6),)),)


def test_few_commits_or_a_small_share_are_chance() -> None:
    owners = {"api/a": frozenset({API}), "shared": frozenset[AgentName]()}
    assert path_demands([{"api/a", "shared"}] * (FEWEST_COMMITS - 1), owners) == ()
    rare = [{"api/a", "shared"}] * 3
    assert path_demands(rare + [{"api/a"}] * 12, owners) != ()
    assert path_demands(rare + [{"api/a"}] * 13, owners) == ()


def test_what_an_agent_owns_is_wanted_by_others_only() -> None:
    owners = {"api/a": frozenset({API}), "db/d": frozenset({DB})}
    found = path_demands([{"api/a", "db/d"}] * 3 + [{"db/d"}], owners)
    assert {want.path: (want.owners, want.likely) for want in found} == {
        "api/a": (frozenset({API}), (Likely(DB, 3, 4),)),
        "db/d": (frozenset({DB}), (Likely(API, 3, 3),)),
    }


def test_a_folder_without_owner_counts_as_one_path() -> None:
    owners = {"api/a": frozenset({API}), **{f"tests/t{number}": frozenset[AgentName]() for number in range(9)}}
    found = path_demands([{"api/a", f"tests/t{number}"} for number in range(9)], owners)
    assert found == (PathDemand("tests/", 9, frozenset(), (Likely(API, 9, 9),)),)


def test_a_shared_path_does_not_show_which_agent_a_commit_belongs_to() -> None:
    owners = {"api/a": frozenset({API}), "lock": frozenset({DB})}
    commits = [{"api/a", "lock"}] * 5
    assert [want.path for want in path_demands(commits, owners)] == ["api/a", "lock"]
    assert path_demands(commits, owners, {"lock"}) == (PathDemand("lock", 5, frozenset({DB}), (Likely(API, 5, 5),)),)


def test_paths_that_are_gone_do_not_count() -> None:
    owners = {"api/a": frozenset({API})}
    assert path_demands([{"api/a", "gone", "old/gone"}] * 9, owners) == ()


def test_the_unit_of_a_path_is_the_topmost_folder_without_owned_files() -> None:
    unowned = frozenset[AgentName]()
    owners = {
        "top": unowned,
        "a/own": frozenset({API}),
        "a/b/c/x": unowned,
        "a/b/y": unowned,
        "a/z": unowned,
        "d/e/f": unowned,
    }
    assert unowned_units(owners) == {"a/b/c/x": "a/b/", "a/b/y": "a/b/", "d/e/f": "d/"}


PATHS = ["a/1", "a/2", "b/1", "b/c/1", "b/c/2", "top"]
COMMITS = st.lists(st.sets(st.sampled_from([*PATHS, "gone"]), min_size=1), max_size=30)
OWNERS = st.fixed_dictionaries({path: st.frozensets(st.sampled_from([API, DB])) for path in PATHS})


@given(COMMITS, OWNERS)
def test_counts_equal_counting_by_hand(commits: list[set[str]], owners: dict[str, frozenset[AgentName]]) -> None:
    found = {want.path: want for want in path_demands(commits, owners)}
    for path in PATHS:
        likely = {}
        for agent in (API, DB):
            own = [commit for commit in commits if any(agent in owners.get(each, ()) for each in commit)]
            together = sum(1 for commit in own if path in commit)
            if agent not in owners[path] and together >= max(FEWEST_COMMITS, LIKELY_SHARE * len(own)):
                likely[agent] = (together, len(own))
        assert (
            {one.agent: (one.together, one.agent_commits) for one in found[path].likely} == likely
            if likely
            else path not in found
        )
        if likely:
            assert found[path].commits == sum(1 for commit in commits if path in commit)


def test_change_logs_and_version_files_are_left_out() -> None:
    release = ["CHANGELOG.md", "docs/changes.rst", "NEWS", "pkg/__version__.py", "pkg/_version.py", ".changeset/x.md"]
    other = ["docs/versions.md", "newsletter.py", "changelog/render.py"]
    owners = {path: frozenset[AgentName]() for path in [*release, *other]} | {"a.py": frozenset({AgentName("a")})}
    demands = path_demands([["a.py", *release, *other]] * 4, owners)
    assert {demand.path for demand in demands} == {*other, "changelog/", "docs/"}
