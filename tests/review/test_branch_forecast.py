"""The forecast against git's own merge, and what it remembers."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from orchestra.blueprint.model import AgentName, ConflictRule, Forbid, Merge, Scope, Union
from orchestra.fleet import Fleet
from orchestra.gates.scope_gate import ScopeReason
from orchestra.review.branch_forecast import BranchForecast, forecast_branches
from orchestra.review.branch_status import read_branch_statuses
from tests.conftest import MakeRepository
from tests.fleets import World, make_world

TOP = AgentName("top")


def _forecast(fleet: Fleet) -> BranchForecast:
    return forecast_branches(fleet, read_branch_statuses(fleet, fleet.blueprint.agents), fleet.target_tip())


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    lines = "".join(f"{number}\n" for number in range(40))
    files = {"shared": lines, "dir/one": "1\n" * 9, "dir/two": "2\n" * 9, "z/deep": "z\n"}
    world = make_world(make_repository(files), "top", "end", "edge", "rename", "inside", "idle")
    world.at("top").commit("top", {"shared": lines.replace("0\n", "zero\n", 1), "z/deep": "top\n"})
    world.at("end").commit("end", {"shared": lines.replace("39\n", "last\n")})
    world.at("edge").commit("edge", {"shared": lines.replace("0\n", "null\n", 1), "z/deep": "edge\n"})
    world.at("rename").git("mv", "dir", "moved")
    world.at("rename").commit("rename")
    world.at("inside").commit("inside", {"dir/new": "new\n"})
    return world


def test_it_says_what_git_merge_says(world: World) -> None:
    """Also where only a renamed folder and a new file in it clash, and where ``--quiet`` would call it clean."""
    names = [agent.name for agent in world.fleet.blueprint.agents if agent.name != "idle"]
    expected: dict[str, set[str]] = {}
    world.checkout.git("config", "merge.directoryRenames", "conflict")
    for one, other in combinations(names, 2):
        done = world.checkout.git("merge-tree", "--write-tree", f"agent/demo/{one}", f"agent/demo/{other}", ok=False)
        if "CONFLICT" in done:
            expected.setdefault(one, set()).add(other)
            expected.setdefault(other, set()).add(one)
    found = {str(name): {str(other) for other in others} for name, others in _forecast(world.fleet).conflicts.items()}
    assert found == expected
    assert found["top"] == {"edge"}
    assert found["rename"] == {"inside"}


def test_instruction_files_do_not_conflict(make_repository: MakeRepository) -> None:
    world = make_world(make_repository(), "schema", "api")
    for name in ("schema", "api"):
        world.at(name).commit(name, {"TASK.md": name, "AGENT_NOTES.md": name, "CLAUDE.md": name, name: name})
    assert _forecast(world.fleet).conflicts == {}


def test_what_a_conflict_rule_settles_is_no_conflict(world: World) -> None:
    assert "top" in _forecast(world.fleet).conflicts

    def ruled(rule: ConflictRule) -> BranchForecast:
        merge = Merge(conflicts={"shared": rule, "z/*": rule})
        return _forecast(replace(world.fleet, blueprint=replace(world.fleet.blueprint, merge=merge)))

    assert "top" not in ruled(Union()).conflicts
    assert ruled(Forbid()).conflicts[TOP] == ("edge",)


def test_the_memory_can_be_damaged_or_lost(world: World) -> None:
    first = _forecast(world.fleet)
    memory = world.fleet.folder / "forecast.json"
    assert memory.exists()
    assert _forecast(world.fleet) == first
    memory.write_text("{half")
    assert _forecast(world.fleet) == first
    memory.unlink()
    assert _forecast(world.fleet) == first


def test_a_new_rule_or_commit_is_answered_anew(make_repository: MakeRepository) -> None:
    world = make_world(make_repository(), "schema")
    world.at("schema").commit("work", {"docs/a": "a", "src/b": "b"})

    def findings(*scope: str) -> dict[str, ScopeReason]:
        agents = tuple(replace(agent, scope=Scope(scope)) for agent in world.fleet.blueprint.agents)
        fleet = replace(world.fleet, blueprint=replace(world.fleet.blueprint, agents=agents))
        return {finding.path: finding.reason for finding in _forecast(fleet).scope[agents[0].name]}

    assert findings("src/**") == {"docs/a": ScopeReason.OUT_OF_SCOPE}
    assert findings("docs/**") == {"src/b": ScopeReason.OUT_OF_SCOPE}
    world.at("schema").commit("more", {"other": "c"})
    assert findings("docs/**") == {"src/b": ScopeReason.OUT_OF_SCOPE, "other": ScopeReason.OUT_OF_SCOPE}


def test_what_landed_or_was_discarded_is_not_asked_about(world: World) -> None:
    head = world.at("edge").git("rev-parse", "HEAD")
    world.checkout.git("update-ref", "refs/orchestra/demo/edge/discarded", head)
    assert "top" not in _forecast(world.fleet).conflicts


def test_a_branch_that_git_cannot_merge_leaves_the_other_forecasts(world: World) -> None:
    readme = bytes.fromhex(world.checkout.git("rev-parse", "main:shared"))
    data = b"100644 zz/evil\0" + readme
    tree = world.checkout.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=data)
    evil = world.checkout.git("commit-tree", "-p", "main", "-m", "evil", tree)
    world.checkout.git("update-ref", "refs/heads/agent/demo/idle", evil)
    conflicts = _forecast(world.fleet).conflicts
    assert conflicts[TOP] == ("edge",)
    assert "inside" in conflicts[AgentName("rename")]
