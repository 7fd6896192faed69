"""The snapshot of a fleet: its refs and worktrees, read once and updated without git."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.fleet import BRANCH_RECORD, make_fleet, newest_target, read_snapshot
from orchestra.git.git_process import Git
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefName, RefUpdate, agent_ref, update
from tests.conftest import Checkout
from tests.fleets import World, make_world


@pytest.fixture
def fleet(repository: Checkout) -> World:
    return make_world(repository, "one", "two")


def test_a_snapshot_holds_refs_branches_and_worktrees(fleet: World) -> None:
    head = fleet.at("one").commit("work")
    base = fleet.checkout.git("rev-parse", "main")
    snapshot = read_snapshot(fleet.fleet)
    one = fleet.fleet.require_agent("one")
    assert snapshot.branch_tip(one) == head
    assert snapshot.agent_refs(one.name).base == base
    assert snapshot.target_tip == base
    assert snapshot.remote_target_tip is None
    worktree = snapshot.worktree_at(fleet.fleet.worktree(one))
    assert worktree is not None
    assert worktree.branch == one.branch


def test_an_updated_copy_equals_a_second_reading(fleet: World) -> None:
    before = read_snapshot(fleet.fleet)
    head = CommitId(fleet.at("one").commit("work"))
    name = fleet.fleet.name
    updates = [
        RefUpdate(agent_ref(name, AgentName("one"), Kind.APPROVED), head, None),
        RefUpdate(agent_ref(name, AgentName("two"), Kind.BASE), None, before.agent_refs(AgentName("two")).base),
    ]
    update(fleet.fleet.repository.git, updates, reason="test")
    after = before.after(updates)
    assert after.agents == read_snapshot(fleet.fleet).agents
    assert after.agent_refs(AgentName("one")).approved == head
    assert after.agent_refs(AgentName("two")) == AgentRefs()
    assert before.agent_refs(AgentName("one")).approved is None


def test_a_snapshot_costs_two_git_processes(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    run = Git.run

    def counting(git: Git, *args: str, **options: object) -> object:
        calls.append(args[0])
        return run(git, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Git, "run", counting)
    read_snapshot(fleet.fleet)
    assert calls == ["for-each-ref", "worktree"]


def test_the_newest_target_is_the_remote_one_only_where_it_is_ahead(fleet: World) -> None:
    checkout = fleet.checkout
    old = checkout.git("rev-parse", "main")
    ahead = checkout.git("commit-tree", "-p", old, "-m", "ahead", f"{old}^{{tree}}")
    checkout.git("update-ref", "refs/remotes/origin/main", ahead)
    remote_fleet = replace(fleet.fleet, remote="origin")
    assert newest_target(read_snapshot(remote_fleet)) == ahead
    newer = checkout.git("commit-tree", "-p", ahead, "-m", "newer", f"{old}^{{tree}}")
    checkout.git("update-ref", "refs/heads/main", newer)
    assert newest_target(read_snapshot(remote_fleet)) == newer
    assert newest_target(read_snapshot(replace(remote_fleet, target="missing"))) is None


def test_refs_of_unknown_kinds_are_ignored(fleet: World) -> None:
    head = fleet.checkout.git("rev-parse", "main")
    for kind in ("saved/latest", "strange/name", "unknown"):
        fleet.checkout.git("update-ref", f"refs/orchestra/demo/one/{kind}", head)
    fleet.checkout.git("update-ref", "refs/orchestra/demo/odd", head)
    snapshot = read_snapshot(fleet.fleet)
    assert snapshot.agent_refs(AgentName("one")) == AgentRefs(base=CommitId(head))
    assert RefName("refs/orchestra/demo/odd") in snapshot.refs


@pytest.mark.parametrize("record", [b"main\n", b"agent/demo/two\n", b"\xff\0\n", b"-x\n", b""])
def test_a_recorded_branch_that_cannot_be_the_agents_is_ignored(fleet: World, record: bytes) -> None:
    for name, content in (("one", record), ("two", b"agent/demo/two\n")):
        place = fleet.fleet.agent_folder(AgentName(name)) / BRANCH_RECORD
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    again = make_fleet(fleet.fleet.repository, fleet.fleet.blueprint)
    assert [agent.branch for agent in again.blueprint.agents][:2] == ["agent/demo/one", "agent/demo/two"]
