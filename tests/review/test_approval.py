"""Approvals of many agents at once, and what is said with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import AgentName, Builtin, BuiltinGate, Scope
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.git import git_process
from orchestra.review.approval import ApprovalRequest, Refusal, approve, approve_all, select_approvals
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Decision, discard
from tests.conftest import MakeRepository
from tests.fleets import World, make_world
from tests.gates.branches import github_token

NAMES = ("schema", "api", "web", "docs")


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"start": "s\n"}), *NAMES)
    for name in NAMES[:3]:
        world.at(name).commit("work", {name: f"{name}\n"})
    return world


def requests(world: World, *names: str) -> list[ApprovalRequest]:
    return [ApprovalRequest(world.fleet.require_agent(name)) for name in names]


def test_one_refusal_stops_no_other_approval(world: World) -> None:
    discard(world.fleet, world.fleet.require_agent("api"), "not wanted")
    answers = approve_all(world.fleet, requests(world, "web", "api", "docs", "schema"))
    assert [(answer.agent, isinstance(answer, Decision)) for answer in answers] == [
        ("web", True),
        ("api", False),
        ("docs", False),
        ("schema", True),
    ]
    refs = world.refs()
    assert refs["demo/web/approved"] == world.at("web").git("rev-parse", "HEAD")
    assert "demo/docs/approved" not in refs
    messages = [answer.error.message for answer in answers if isinstance(answer, Refusal)]
    assert messages == ["api was discarded", "docs has no commits to approve"]


def test_a_ref_of_another_type_in_the_way_of_one_approval_stops_no_other(world: World) -> None:
    git = world.fleet.repository.git
    blob = git.text("hash-object", "-w", "--stdin", stdin=b"x")
    git.run("update-ref", "refs/orchestra/demo/api/approved", blob)
    refused, approved = approve_all(world.fleet, requests(world, "api", "web"))
    assert isinstance(refused, Refusal)
    assert refused.error.message == "refs/orchestra/demo/api/approved is a ref to a blob, which orchestra did not write"
    assert refused.error.hint == "to remove it: git update-ref --no-deref -d refs/orchestra/demo/api/approved"
    assert isinstance(approved, Decision)
    git.run(*refused.error.hint.removeprefix("to remove it: git ").split())
    assert isinstance(approve_all(world.fleet, requests(world, "api"))[0], Decision)


def test_the_number_of_git_processes_does_not_grow_with_the_agents(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []
    argv = git_process.Git._argv

    def counted(git: git_process.Git, args: tuple[str, ...]) -> list[str]:
        if args[0] != "status":  # one for each worktree
            started.append(args)
        return argv(git, args)

    monkeypatch.setattr(git_process.Git, "_argv", counted)
    approve_all(world.fleet, requests(world, "schema"))
    one = len(started)
    approve_all(world.fleet, requests(world, "schema", "api", "web"))
    assert len(started) - one <= one


def with_gates(world: World) -> Fleet:
    """Return the fleet with the gates scope (src only) and keys."""
    gates = [BuiltinGate("scope", Builtin.SCOPE), BuiltinGate("keys", Builtin.SECRETS)]
    agents = tuple(replace(agent, scope=Scope(("src/**",))) for agent in world.fleet.blueprint.agents)
    blueprint = replace(world.fleet.blueprint, gates={gate.name: gate for gate in gates}, agents=agents)
    return replace(world.fleet, blueprint=blueprint)


def test_an_approval_says_what_a_gate_will_refuse(world: World) -> None:
    fleet = with_gates(world)
    secret = github_token()
    world.at("api").commit("more", {"src/key": secret})
    decision = approve(fleet, fleet.require_agent("api"))
    assert len(decision.remarks) == 2
    assert decision.remarks[0] == "merge will refuse it, by the gate scope: api is outside the agent's scope"
    assert decision.remarks[1].startswith("merge will refuse it, by the gate keys: src/key:1 holds a GitHub token")
    assert secret not in str(decision)


def test_a_file_that_a_later_commit_removed_is_named_with_its_commit(world: World) -> None:
    fleet = with_gates(world)
    docs = world.at("docs")
    base = docs.git("rev-parse", "HEAD")
    added = docs.commit("add", {"src/docs": "d", "helper": "h"})
    docs.commit("remove", {"helper": None})
    decision = approve(fleet, fleet.require_agent("docs"))
    assert decision.is_refused
    assert decision.remarks == (
        f"merge will refuse it, by the gate scope: helper in commit {added[:10]} is outside the agent's scope "
        f"(the branch takes it back later, but each of its commits lands: git rebase -i {base[:10]})",
    )


def selected(
    world: World, *, green: bool, unfinished: dict[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    statuses = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    names = {AgentName(name): reason for name, reason in (unfinished or {}).items()}
    found, skipped = select_approvals(world.fleet, statuses, names, green=green)
    return [request.agent.name for request in found], {str(name): reason for name, reason in skipped.items()}


def test_a_stage_stands_for_its_finished_agents(world: World) -> None:
    approve(world.fleet, world.fleet.require_agent("schema"))
    names, skipped = selected(world, green=False, unfinished={"web": "working"})
    assert names == ["api"]
    assert skipped == {
        "schema": "already approved",
        "web": "not finished: working (approve it by name to let it land as it is)",
        "docs": "no commits",
    }


def test_green_stands_for_what_passed_in_a_rehearsal_of_the_same_commit(world: World) -> None:
    ledger = world.fleet.ledger
    heads = {name: world.at(name).git("rev-parse", "HEAD") for name in NAMES}
    ledger.record("rehearsed", "schema", head=heads["schema"], outcome="landed")
    ledger.record("rehearsed", "api", head=heads["api"], outcome="landed")
    ledger.record("rehearsed", "api", head=heads["api"], outcome="evicted")
    ledger.record("rehearsed", "web", head=heads["web"], outcome="landed")
    world.at("web").commit("later", {"web": "later\n"})
    names, skipped = selected(world, green=True)
    assert names == ["schema"]
    assert "passed in a rehearsal" in skipped["api"]
    assert "passed in a rehearsal" in skipped["web"]


def test_a_selected_approval_is_for_the_commit_that_was_looked_at(world: World) -> None:
    statuses = read_branch_statuses(world.fleet, world.fleet.blueprint.agents)
    found, _ = select_approvals(world.fleet, statuses, {}, green=False)
    world.at("api").commit("later", {"api": "later\n"})
    answers = {answer.agent: answer for answer in approve_all(world.fleet, found)}
    refusal = answers[AgentName("api")]
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.error, UsageError)
    assert "has moved since you looked" in refusal.error.message
    assert isinstance(answers[AgentName("web")], Decision)
