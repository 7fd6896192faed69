"""Verdicts: what is pinned, what makes it stale, what is kept, and what cannot be judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import Fleet
from orchestra.git.objects import Objects
from orchestra.git.refs import AgentRefs, CommitId, Kind, agent_ref
from orchestra.review.agent_notes import pinned_notes
from orchestra.review.approval import approve
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Verdict, discard, request_changes, requested_changes, verdict
from orchestra.workspace.restore import restore
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

A, B = CommitId("a" * 40), CommitId("b" * 40)


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    return make_world(make_repository({"a": "a\n"}), "schema", "api")


@pytest.mark.parametrize(
    ("refs", "head", "expected"),
    [
        (AgentRefs(), A, Verdict.NONE),
        (AgentRefs(base=A), A, Verdict.NONE),
        (AgentRefs(approved=A), A, Verdict.APPROVED),
        (AgentRefs(approved=A), B, Verdict.STALE),
        (AgentRefs(approved=A), None, Verdict.STALE),
        (AgentRefs(approved=A, landed=B), None, Verdict.APPROVED),
        (AgentRefs(changes_requested=A), A, Verdict.CHANGES_REQUESTED),
        (AgentRefs(changes_requested=A), None, Verdict.CHANGES_REQUESTED),
        (AgentRefs(changes_requested=A), B, Verdict.ANSWERED),
        (AgentRefs(approved=A, discarded=A), A, Verdict.DISCARDED),
    ],
)
def test_the_verdict_in_force(refs: AgentRefs, head: CommitId | None, expected: Verdict) -> None:
    assert verdict(refs, head) is expected


def _verdict(world: World, name: str) -> Verdict:
    (standing,) = read_branch_statuses(world.fleet, [world.fleet.require_agent(name)])
    return standing.verdict


def test_an_approval_is_of_one_commit(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    decision = approve(world.fleet, world.fleet.require_agent("1"))
    assert (decision.commit, decision.remarks) == (head, ())
    assert world.refs()["demo/schema/approved"] == head
    assert _verdict(world, "schema") is Verdict.APPROVED
    newer = world.at("schema").commit("more", {"b": "c\n"})
    assert _verdict(world, "schema") is Verdict.STALE
    assert approve(world.fleet, world.fleet.require_agent("schema")).commit == newer
    assert _verdict(world, "schema") is Verdict.APPROVED


def test_what_is_not_committed_is_named(world: World) -> None:
    world.at("schema").commit("work", {"b": "b\n"})
    world.at("schema").write({"a": "changed\n", "new file": "x"})
    (remark,) = approve(world.fleet, world.fleet.require_agent("schema")).remarks
    assert "not committed: a and new file" in remark


def test_commits_that_are_not_on_the_agents_branch_are_named(world: World) -> None:
    worktree = world.at("schema")
    approved = worktree.commit("work", {"b": "b\n"})
    worktree.git("switch", "--quiet", "--create", "aside")
    worktree.commit("more", {"c": "c\n"})
    decision = approve(world.fleet, world.fleet.require_agent("schema"))
    assert decision.commit == approved
    (remark,) = decision.remarks
    assert remark == f"not included: commits on aside, which {worktree.path} is on instead of agent/demo/schema"


def test_an_unfinished_rebase_in_the_worktree_is_named(world: World) -> None:
    worktree = world.at("schema")
    approved = worktree.commit("work", {"a": "agent\n"})
    world.checkout.commit("other", {"a": "main\n"})
    worktree.git("rebase", "main", ok=False)
    decision = approve(world.fleet, world.fleet.require_agent("schema"))
    assert decision.commit == approved
    assert f"not included: what the unfinished rebase in {worktree.path} makes" in decision.remarks


def test_nothing_cannot_be_approved(world: World) -> None:
    with pytest.raises(UsageError, match="no commits to approve"):
        approve(world.fleet, world.fleet.require_agent("schema"))


def test_a_request_for_changes_withdraws_the_approval_and_reaches_the_agent(world: World) -> None:
    world.at("schema").write({"TASK.md": "# Task\n"})
    world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    approve(world.fleet, agent)
    message = "Use NUMERIC, not FLOAT.\n\n'Quotes' and $dollars and ünïcode stay."
    request_changes(world.fleet, agent, message)
    assert "demo/schema/approved" not in world.refs()
    assert _verdict(world, "schema") is Verdict.CHANGES_REQUESTED
    assert requested_changes(world.fleet, agent) == message
    task = (world.at("schema").path / "TASK.md").read_text()
    assert task.startswith("# Task\n")
    assert message in task
    request_changes(world.fleet, agent, "Second round.")
    assert requested_changes(world.fleet, agent) == "Second round."
    approve(world.fleet, agent)
    assert requested_changes(world.fleet, agent) is None


def test_a_request_that_was_cut_off_is_not_written_twice(world: World) -> None:
    """Killed after TASK.md and before the ref: asking again must leave one section."""
    world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    request_changes(world.fleet, agent, "Once.")
    world.checkout.git("update-ref", "-d", agent_ref(world.fleet.name, agent.name, Kind.CHANGES_REQUESTED))
    request_changes(world.fleet, agent, "Once.")
    assert (world.at("schema").path / "TASK.md").read_text().count("Once.") == 1


def test_a_person_without_a_git_identity_can_judge(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.at("schema").commit("work", {"b": "b\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "")
    world.checkout.git("config", "user.useConfigOnly", "true")
    request_changes(world.fleet, world.fleet.require_agent("schema"), "Please.")
    assert _verdict(world, "schema") is Verdict.CHANGES_REQUESTED


def test_a_discard_keeps_the_head_and_what_it_says_brings_it_back(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    decision = discard(world.fleet, agent, "not wanted")
    assert world.refs()["demo/schema/discarded"] == head
    assert _verdict(world, "schema") is Verdict.DISCARDED
    with pytest.raises(UsageError, match="was discarded"):
        approve(world.fleet, agent)
    _restore(world, decision.remarks[1])
    assert _verdict(world, "schema") is Verdict.NONE
    assert approve(world.fleet, agent).commit == head


def test_a_discard_can_be_repeated_until_the_branch_moves(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    approve(world.fleet, agent)
    assert discard(world.fleet, agent, "not wanted").commit == head
    assert discard(world.fleet, agent, "not wanted").commit == head
    assert "demo/schema/approved" not in world.refs()
    world.at("schema").commit("more", {"c": "c\n"})
    with pytest.raises(UsageError, match="was discarded"):
        discard(world.fleet, agent, "not wanted")
    assert world.refs()["demo/schema/discarded"] == head


def test_a_discarded_head_comes_back_after_its_branch_was_cleaned(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    decision = discard(world.fleet, agent, "not wanted")
    world.checkout.git("worktree", "remove", str(world.at("schema").path))
    world.checkout.git("branch", "-D", agent.branch)
    _restore(world, decision.remarks[1])
    assert world.checkout.git("rev-parse", agent.branch) == head
    assert "demo/schema/discarded" not in world.refs()


def _restore(world: World, remark: str) -> None:
    """Do what a remark tells a person to type."""
    assert remark.endswith(": orchestra restore schema")
    with LocalEngine(1) as engine:
        restore(world.fleet, world.fleet.require_agent("schema"), engine=engine)


@pytest.mark.parametrize("words", ["", "  \n"])
def test_empty_words_are_refused(world: World, words: str) -> None:
    world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    with pytest.raises(UsageError, match="needs a message"):
        request_changes(world.fleet, agent, words)
    with pytest.raises(UsageError, match="needs a reason"):
        discard(world.fleet, agent, words)


def test_an_approval_of_another_commit_is_refused_with_both(world: World) -> None:
    reviewed = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    head = world.at("schema").commit("more", {"b": "c\n"})
    for expected in (reviewed, reviewed[:10]):
        with pytest.raises(UsageError, match="has moved since you looked") as caught:
            approve(world.fleet, agent, reviewed=expected)
        assert head[:12] in str(caught.value)
        assert expected in str(caught.value)
    with pytest.raises(UsageError, match="too short"):
        approve(world.fleet, agent, reviewed=head[:3])
    assert "demo/schema/approved" not in world.refs()
    assert approve(world.fleet, agent, reviewed=head[:12].upper()).commit == head


def test_notes_are_pinned_with_the_approval(world: World) -> None:
    world.at("schema").write({"AGENT_NOTES.md": "as approved\n"})
    head = CommitId(world.at("schema").commit("work", {"b": "b\n", "AGENT_NOTES.md": "as approved\n"}))
    agent = world.fleet.require_agent("schema")
    approve(world.fleet, agent)
    world.at("schema").write({"AGENT_NOTES.md": "later\n"})
    with Objects(world.fleet.repository.git) as objects:
        assert pinned_notes(objects, world.fleet.name, agent.name, head) == (True, "as approved\n")
        assert pinned_notes(objects, world.fleet.name, agent.name, A) == (False, None)
        (world.at("schema").path / "AGENT_NOTES.md").unlink()
        approve(world.fleet, agent)
        assert pinned_notes(objects, world.fleet.name, agent.name, head) == (True, None)


def test_a_task_that_is_a_link_or_a_pipe_is_replaced_and_not_followed(world: World, tmp_path: Path) -> None:
    world.at("schema").commit("work", {"b": "b\n"})
    agent, task = world.fleet.require_agent("schema"), world.at("schema").path / "TASK.md"
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    task.unlink(missing_ok=True)
    task.symlink_to(outside)
    request_changes(world.fleet, agent, "Again.")
    assert outside.read_text() == "mine\n"
    assert "Again." in task.read_text()
    assert not task.is_symlink()
    task.unlink()
    os.mkfifo(task)
    request_changes(world.fleet, agent, "Once more.")
    assert "Once more." in task.read_text()


def test_work_after_a_landing_is_approved_on_top_of_what_landed(world: World) -> None:
    first = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    approve(world.fleet, agent)
    world.checkout.git("cherry-pick", first)
    landed = world.checkout.git("rev-parse", "HEAD")
    world.checkout.git("update-ref", agent_ref(world.fleet.name, agent.name, Kind.LANDED), landed)
    with pytest.raises(UsageError, match=r"has already landed as .* no commits since"):
        approve(world.fleet, agent)
    second = world.at("schema").commit("more", {"c": "c\n"})
    (status,) = read_branch_statuses(world.fleet, [agent])
    assert status.new_commits == 1
    assert approve(world.fleet, agent).commit == second
    refs = world.refs()
    assert refs["demo/schema/base"] == first
    assert "demo/schema/landed" not in refs
    assert _verdict(world, "schema") is Verdict.APPROVED


def test_work_that_the_target_lost_is_approved_again(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    approve(world.fleet, agent)
    start = world.checkout.git("rev-parse", "HEAD")
    world.checkout.git("cherry-pick", head)
    world.checkout.git("update-ref", agent_ref(world.fleet.name, agent.name, Kind.LANDED), "HEAD")
    world.checkout.git("reset", "-q", "--hard", start)
    assert approve(world.fleet, agent).commit == head
    assert "demo/schema/landed" not in world.refs()


def test_what_landed_was_not_spawned_or_is_gone_is_not_judged(world: World) -> None:
    head = world.at("schema").commit("work", {"b": "b\n"})
    agent = world.fleet.require_agent("schema")
    world.checkout.git("update-ref", agent_ref(world.fleet.name, agent.name, Kind.LANDED), head)
    with pytest.raises(UsageError, match="has landed as"):
        discard(world.fleet, agent, "late")
    api = world.fleet.require_agent("api")
    world.checkout.git("update-ref", "-d", f"refs/heads/{api.branch}")
    with pytest.raises(GroundError, match="does not exist"):
        approve(world.fleet, api)
    world.checkout.git("update-ref", "-d", agent_ref(world.fleet.name, AgentName("api"), Kind.BASE))
    with pytest.raises(UsageError, match="was not spawned"):
        approve(world.fleet, api)


def test_an_unknown_agent_is_told_the_near_name(world: World) -> None:
    with pytest.raises(UsageError, match="no agent 'shema'") as caught:
        world.fleet.require_agent("shema")
    assert caught.value.hint == 'did you mean "schema"?'


def test_the_ledger_can_go_and_every_verdict_stays(world: World) -> None:
    world.at("schema").commit("work", {"b": "b\n"})
    world.at("api").commit("work", {"c": "c\n"})
    approve(world.fleet, world.fleet.require_agent("schema"))
    request_changes(world.fleet, world.fleet.require_agent("api"), "Again.")
    _forget(world.fleet)
    assert _verdict(world, "schema") is Verdict.APPROVED
    assert requested_changes(world.fleet, world.fleet.require_agent("api")) == "Again."


def _forget(fleet: Fleet) -> None:
    for file in fleet.folder.glob("ledger.db*"):
        file.unlink()
