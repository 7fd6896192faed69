"""Where branches stand, against git's own counting."""

from __future__ import annotations

import shutil

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.review.agent_review import review_agent
from orchestra.review.branch_status import read_branch_statuses
from tests.conftest import Checkout, MakeRepository
from tests.fleets import World, make_world


def _counts(world: World) -> dict[str, tuple[int, int]]:
    return {
        s.agent.name: (s.commits, s.behind) for s in read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    }


def test_commits_and_distance(make_repository: MakeRepository) -> None:
    world = make_world(make_repository({"a": "1"}, {"a": "2"}), "schema", "api", "idle")
    for number in range(3):
        world.at("schema").commit(f"work {number}", {f"s{number}": "x"})
    world.at("api").commit("work", {"b": "x"})
    world.checkout.commit("moved on", {"c": "x"})
    world.checkout.commit("and on", {"c": "y"})
    world.at("api").git("merge", "-q", "--no-edit", "main")
    assert _counts(world) == {"schema": (3, 2), "api": (2, 0), "idle": (0, 2)}


def test_a_branch_that_was_brought_up_to_date_has_no_commits_of_its_own(make_repository: MakeRepository) -> None:
    world = make_world(make_repository({"a": "1"}, {"a": "2"}), "idle", "merged", "approved")
    world.at("merged").commit("work", {"b": "x"})
    world.checkout.commit("moved on", {"c": "x"})
    world.at("idle").git("merge", "-q", "main")
    assert _counts(world) == {"idle": (0, 0), "merged": (1, 1), "approved": (0, 1)}

    world.checkout.git("merge", "-q", "--no-edit", "agent/demo/merged")
    assert _counts(world)["merged"] == (1, 2), "merged by hand with a merge commit"

    world.at("approved").git("merge", "-q", "main")
    world.at("approved").commit("more", {"d": "x"})
    world.checkout.git("merge", "-q", "--ff-only", "agent/demo/approved")
    assert _counts(world)["approved"][1] == 0
    assert _counts(world)["approved"][0] > 0, "merged by hand as a fast-forward"


@settings(max_examples=15)
@given(moves=st.lists(st.sampled_from(["schema", "api", "main", "schema<main", "api<main", "api<schema"]), max_size=12))
def test_counts_equal_git_s_own(tmp_path_factory: object, moves: list[str]) -> None:
    """Any interleaving of commits and merges: the one walk counts what rev-list counts."""
    world = _fresh_world(tmp_path_factory)
    for number, move in enumerate(moves):
        name, _, other = move.partition("<")
        here = world.checkout if name == "main" else world.at(name)
        if other:
            here.git("merge", "-q", "--no-edit", "main" if other == "main" else f"agent/demo/{other}")
        else:
            here.commit(str(number), {f"{name}{number}": "x"})
    base = world.refs()["demo/schema/base"]
    for name, (ahead, behind) in _counts(world).items():
        branch = f"agent/demo/{name}"
        assert ahead == int(world.checkout.git("rev-list", "--count", f"{base}..{branch}", "^main"))
        assert behind == int(world.checkout.git("rev-list", "--count", f"{branch}..main"))


def _fresh_world(tmp_path_factory: object) -> World:
    path = tmp_path_factory.mktemp("fleet") / "repo"  # type: ignore[attr-defined]
    path.mkdir()
    checkout = Checkout(path)
    checkout.git("init", "-q", "-b", "main")
    checkout.commit("first", {"a": "a"})
    return make_world(checkout, "schema", "api")


def test_uncommitted_work_of_every_kind_counts(make_repository: MakeRepository) -> None:
    world = make_world(make_repository({"a": "1", "b": "1", ".gitignore": "ignored\n"}), "schema")
    here = world.at("schema")
    here.write({"a": "2", "b": None, "new": "x", "ünï code": "x", "ignored": "x"})
    here.git("add", "a")
    (standing,) = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    assert sorted(standing.uncommitted or ()) == ["a", "b", "new", "ünï code"]


def test_a_worktree_that_is_gone_is_unknown_not_clean(make_repository: MakeRepository) -> None:
    world = make_world(make_repository(), "schema")
    shutil.rmtree(world.at("schema").path)
    (standing,) = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    assert standing.uncommitted is None
    assert standing.notes is None
    assert standing.head is not None


def test_an_agent_that_was_never_spawned(make_repository: MakeRepository) -> None:
    world = make_world(make_repository(), "schema")
    world.checkout.git("update-ref", "-d", "refs/orchestra/demo/schema/base")
    (standing,) = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    assert not standing.spawned
    assert (standing.commits, standing.uncommitted) == (0, None)


def test_an_examination_shows_the_agent_s_work_and_nothing_else(make_repository: MakeRepository) -> None:
    world = make_world(make_repository({"a": "1\n"}), "schema")
    world.at("schema").commit("Add b", {"b": "b\n", "TASK.md": "forced in\n", "AGENT_NOTES.md": "# notes\n"})
    world.checkout.commit("a neighbour landed", {"c": "c\n"})
    shown = review_agent(world.fleet, world.fleet.require_agent("schema"))
    assert [commit.subject for commit in shown.commits] == ["Add b"]
    assert [change.path for change in shown.changes] == ["b"]
    assert "forced in" not in shown.patch
    assert "+b" in shown.patch
    assert shown.standing.notes == "# notes\n"
    assert (shown.gates, shown.requested) == ((), None)


def test_what_was_kept_speaks_for_a_branch_that_was_cleaned(make_repository: MakeRepository) -> None:
    world = make_world(make_repository(), "schema")
    here = world.at("schema")
    here.commit("one", {"a": "1"})
    head = here.commit("two", {"a": "2"})
    for kind in ("approved", "landed"):
        world.checkout.git("update-ref", f"refs/orchestra/demo/schema/{kind}", head)
    world.checkout.git("notes", "--ref=orchestra", "add", "-m", "# Notes\n\n## What I Built\n\nTwo.", head)
    world.checkout.git("worktree", "remove", str(here.path))
    world.checkout.git("branch", "-D", "agent/demo/schema")
    (standing,) = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    assert standing.commits == 2
    assert "Two." in (standing.notes or "")
