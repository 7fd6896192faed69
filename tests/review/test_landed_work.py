"""Whether work has landed: what the target contains decides, and the attempts to fool it."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.git.refs import AgentRefs, CommitId, branch_ref
from orchestra.review.landed_work import Landing, lost_landings, merged_by_hand
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

SCHEMA, API = AgentName("schema"), AgentName("api")
TRAILER = "work\n\nOrchestra-Agent: schema"


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    return make_world(make_repository({"a": "a\n", "b": "b\n"}), "schema", "api")


def merged(world: World, approved: str | None = None) -> set[str]:
    base = CommitId(world.refs()["demo/schema/base"])
    branches = {
        agent.name: (branch_ref(agent.branch), AgentRefs(base=base, approved=CommitId(approved) if approved else None))
        for agent in world.fleet.blueprint.agents
    }
    target = world.fleet.target_tip()
    assert target is not None
    return set(merged_by_hand(world.fleet.repository.git, target, branches))


def test_branches_that_a_person_merged_have_landed(world: World) -> None:
    world.at("schema").commit("work", {"c": "c\n"})
    world.checkout.git("merge", "-q", "--ff-only", "agent/demo/schema")
    assert merged(world) == {SCHEMA}
    world.at("api").commit("work", {"d": "d\n", "a": "A\n"})
    world.checkout.git("merge", "-q", "-m", "merge", "agent/demo/api")
    assert merged(world) == {SCHEMA, API}


def test_a_branch_that_only_follows_the_target_has_not_landed(world: World) -> None:
    tip = world.checkout.commit("of a person", {"c": "c\n"})
    world.at("schema").git("merge", "-q", "--ff-only", "main")
    assert merged(world) == set()
    world.checkout.commit("further", {"d": "d\n"})
    world.at("schema").git("reset", "-q", "--hard", "main~1")
    assert merged(world) == set()
    assert merged(world, approved=tip) == {SCHEMA, API} - {API}


def test_a_branch_merged_without_its_content_has_not_landed(world: World) -> None:
    world.at("api").commit("work", {"c": "c\n"})
    world.at("schema").commit("own", {"d": "d\n"})
    world.at("schema").git("merge", "-q", "-s", "ours", "-m", "take it in", "agent/demo/api")
    world.checkout.git("merge", "-q", "--no-ff", "-m", "merge", "agent/demo/schema")
    assert merged(world) == {SCHEMA}


def test_a_merge_that_took_half_of_the_branch_is_no_landing(world: World) -> None:
    world.at("schema").commit("work", {"c": "c\n", "d": "d\n"})
    world.checkout.git("merge", "-q", "--no-ff", "--no-commit", "agent/demo/schema")
    world.checkout.git("rm", "-qf", "d")
    world.checkout.git("commit", "-qm", "half")
    assert merged(world) == set()


def test_commits_without_changes_are_no_landing(world: World) -> None:
    world.at("schema").commit("nothing")
    world.checkout.git("merge", "-q", "--no-ff", "-m", "merge", "agent/demo/schema")
    assert merged(world) == set()


def lost(world: World, landing: Landing) -> str:
    git, target = world.fleet.repository.git, world.fleet.target_tip()
    assert target is not None
    contained = [landing.commit] if world.fleet.repository.is_ancestor(landing.commit, target) else []
    return dict(lost_landings(git, [landing], target, contained=contained)).get(SCHEMA, "")


def landing(world: World) -> Landing:
    """Land two commits of schema on a target that has moved, as a train does."""
    base = CommitId(world.refs()["demo/schema/base"])
    world.at("schema").commit("one", {"a": "A\n"})
    tip = CommitId(world.at("schema").commit("two", {"c": "c\n"}))
    world.checkout.commit("meanwhile", {"b": "B\n"})
    for commit in (f"{tip}~1", tip):
        world.checkout.git("cherry-pick", "--no-commit", commit)
        world.checkout.git("commit", "-qm", TRAILER)
    return Landing(SCHEMA, base, tip, CommitId(world.checkout.git("rev-parse", "HEAD")))


def test_landed_work_that_others_build_on_stays_landed(world: World) -> None:
    done = landing(world)
    assert not lost(world, done)
    world.checkout.commit("elsewhere", {"b": "other\n"})
    assert not lost(world, done)
    world.checkout.commit("on top", {"a": "A\nmore\n"})
    assert not lost(world, done)


def test_reverted_work_is_not_on_the_target(world: World) -> None:
    done = landing(world)
    world.checkout.commit("elsewhere", {"b": "other\n"})
    world.checkout.git("revert", "--no-edit", f"{done.commit}", f"{done.commit}~1")
    assert "reverted" in lost(world, done)


def test_work_that_a_rewritten_target_lacks_is_not_on_it(world: World) -> None:
    done = landing(world)
    world.checkout.git("reset", "-q", "--hard", f"{done.commit}~2")
    assert "rewritten" in lost(world, done)
    world.checkout.commit("other", {"d": "d\n"})
    assert "rewritten" in lost(world, done)


def test_work_in_a_rewritten_target_has_landed(world: World) -> None:
    done = landing(world)
    world.checkout.git("reset", "-q", "--soft", f"{done.commit}~3")
    world.checkout.git("commit", "-qm", "all in one")
    assert not lost(world, done)
