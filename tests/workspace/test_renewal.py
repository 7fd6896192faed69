"""A new round: what the agents had is archived, and they start again from today's target."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.git.refs import Kind
from orchestra.workspace.spawn import SpawnReport, WorktreeOrigin, spawn
from orchestra.workspace.spawn_plan import SpawnRefused, plan_spawn
from tests.kill_points import chosen_points, count_points, run_killed
from tests.workspace.conftest import run_clean, run_spawn
from tests.workspace.test_clean import land, set_refs
from tests.workspace.test_kills import drive
from tests.workspace.worlds import Home

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "refs/orchestra/archive/demo"


@pytest.fixture
def spawned(home: Home) -> Home:
    run_spawn(home)
    return home


def run_fresh(home: Home, agents: Collection[str] | None = None) -> SpawnReport:
    names = None if agents is None else [AgentName(name) for name in agents]
    with LocalEngine(2) as engine:
        return spawn(home.fleet(), engine=engine, agents=names, fresh=True)


def refs(home: Home, below: str = "refs/orchestra") -> list[str]:
    return home.checkout.git("for-each-ref", "--format=%(refname)", below).splitlines()


def test_a_fleet_begins_a_new_round_and_nothing_is_lost(spawned: Home) -> None:
    head = land(spawned)
    later = spawned.checkout.commit("the target has moved", {"later.txt": "l"})
    api = spawned.agent(2)
    work = api.commit("not landed", {"api.txt": "a"})
    api.write({"uncommitted.txt": "u", "AGENT_NOTES.md": "What I built: the API.\n"})
    plan = plan_spawn(spawned.fleet(), fresh=True)
    report = run_fresh(spawned)
    assert sorted(report.steps) == sorted(plan.lines())
    assert report.base == later
    assert [place.origin for place in report.places] == [WorktreeOrigin.MADE] * 2
    for agent in (spawned.agent(1), api):
        assert agent.git("rev-parse", "HEAD") == later
        assert agent.git("status", "--porcelain") == ""
    assert refs(spawned, "refs/orchestra/demo") == ["refs/orchestra/demo/api/base", "refs/orchestra/demo/schema/base"]
    archived = {
        ref.removeprefix(f"{ARCHIVE}/1/"): spawned.checkout.git("rev-parse", ref) for ref in refs(spawned, ARCHIVE)
    }
    assert archived["schema/branch"] == archived["schema/landed"] == archived["schema/approved"] == head
    assert archived["api/branch"] == work
    assert spawned.checkout.read("uncommitted.txt", f"{ARCHIVE}/1/api/saved/1") == "u"
    kept = spawned.checkout.path / ".git/orchestra/fleets/demo/archive/1/api/kept/AGENT_NOTES.md"
    assert kept.read_text() == "What I built: the API.\n"
    assert run_spawn(spawned).steps == ()


def test_a_second_round_gets_the_next_number(spawned: Home) -> None:
    for number in (1, 2):
        spawned.agent(1).commit(f"round {number}", {"r.txt": str(number)})
        run_fresh(spawned, ["schema"])
        assert spawned.checkout.read("r.txt", f"{ARCHIVE}/{number}/schema/branch") == str(number)
    assert [ref for ref in refs(spawned, ARCHIVE) if "/api/" in ref] == []


def test_discarded_and_cleaned_agents_get_a_new_start(spawned: Home) -> None:
    head = spawned.agent(1).commit("not wanted", {"x": "x"})
    set_refs(spawned, "schema", {Kind.DISCARDED: head})
    run_clean(spawned)
    report = run_fresh(spawned, ["schema"])
    assert report.places[0].origin is WorktreeOrigin.MADE
    assert spawned.checkout.read("x", f"{ARCHIVE}/1/schema/discarded") == "x"
    assert not (spawned.agent(1).path / "x").exists()


def test_what_prevents_it_is_reported_before_anything_changes(spawned: Home) -> None:
    spawned.agent(1).commit("work", {"x": "x"})
    (spawned.fleet().agent_folder(AgentName("api")) / "request.json").write_text("{}")
    process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=spawned.agent(1).path, stdin=subprocess.PIPE)
    before = spawned.look()
    try:
        with pytest.raises(SpawnRefused) as caught:
            run_fresh(spawned)
    finally:
        process.communicate(b"\n")
    assert "schema cannot begin a new round: " in caught.value.problems[0]
    assert "is in use by process" in caught.value.problems[0]
    assert caught.value.problems[1] == "a session of api is queued: orchestra stop api"
    assert spawned.look() == before


def test_a_killed_new_round_run_again_ends_like_an_undisturbed_one(spawned: Home, tmp_path: Path) -> None:
    spawned.agent(1).commit("work", {"x": "x"})
    spawned.agent(1).write({"uncommitted.txt": "u"})
    calm = spawned.copy(tmp_path / "calm")
    points = count_points(drive("fresh", calm), ROOT)
    end = calm.look()
    for number, point in enumerate(chosen_points(points, 3)):
        home = spawned.copy(tmp_path / f"killed-{number}")
        if run_killed(drive("fresh", home), ROOT, point, True) is None:
            continue
        archived = {ref for ref in refs(home, ARCHIVE) if ref.endswith("schema/saved/1")}
        saved = {ref for ref in refs(home) if ref.endswith("schema/saved/1")}
        folders = [home.agent(1).path, home.path / "worktrees" / ".orchestra-old" / "agent-1"]
        assert archived or saved or any((folder / "uncommitted.txt").exists() for folder in folders), point
        if "refs/orchestra/demo/schema/base" in refs(home) and home.checkout.git(
            "rev-parse", "agent/demo/schema", ok=False
        ):
            run_fresh(home)
        else:
            run_spawn(home)
        assert home.checkout.read("x", f"{ARCHIVE}/1/schema/branch") == "x", point
        assert home.checkout.read("uncommitted.txt", f"{ARCHIVE}/1/schema/saved/1") == "u", point
        assert home.look()["worktrees"] == end["worktrees"], point
        assert home.look()["status"] == end["status"], point


def test_agents_without_work_move_to_the_target_and_their_set_up_runs_again(spawned: Home) -> None:
    later = spawned.checkout.commit("the target has moved", {"later.txt": "l"})
    (spawned.agent(1).path / "set-up.txt").chmod(0o600)
    plan = plan_spawn(spawned.fleet())
    report = run_spawn(spawned)
    assert sorted(report.steps) == sorted(plan.lines())
    assert report.notes == ("moved to today's target, since they have no work of their own: schema and api",)
    for number in (1, 2):
        agent = spawned.agent(number)
        assert agent.git("rev-parse", "HEAD") == later
        assert agent.git("status", "--porcelain") == ""
        assert (agent.path / "set-up.txt").read_text() == "made\n"
    assert not (spawned.checkout.path / ".git/orchestra/fleets/demo/agents/schema/kept").exists()
    assert refs(spawned) == ["refs/orchestra/demo/api/base", "refs/orchestra/demo/schema/base"]
    assert spawned.checkout.git("rev-parse", "refs/orchestra/demo/schema/base") == later
    assert run_spawn(spawned).steps == ()


@pytest.mark.parametrize(
    "work", ["commit", "change", "file", "ignored file", "ignored folder", "notes", "session", "detached"]
)
def test_an_agent_with_anything_of_its_own_stays(spawned: Home, work: str) -> None:
    agent = spawned.agent(1)
    if work == "commit":
        agent.commit("work", {"x": "x"})
    elif work == "session":
        (spawned.fleet().agent_folder(AgentName("schema")) / "runs" / "1").mkdir(parents=True)
    elif work == "detached":
        agent.git("switch", "--quiet", "--detach")
    else:
        names = {"change": "src/a.txt", "file": "new.txt", "ignored file": ".env", "notes": "AGENT_NOTES.md"}
        spawned.checkout.write({".git/info/exclude": "cache/\n"})
        agent.write({names.get(work, "cache/x"): "mine\n"})
    before = agent.git("rev-parse", "HEAD"), agent.git("status", "--porcelain", "--ignored")
    spawned.checkout.commit("the target has moved", {"later.txt": "l"})
    report = run_spawn(spawned)
    assert (agent.git("rev-parse", "HEAD"), agent.git("status", "--porcelain", "--ignored")) == before
    assert report.notes == ("moved to today's target, since they have no work of their own: api",)


def test_an_agent_does_not_move_to_a_target_on_which_it_could_not_start(spawned: Home) -> None:
    before = spawned.agent(1).git("rev-parse", "HEAD")
    spawned.checkout.commit("the target has a TASK.md", {"TASK.md": "ours"})
    assert spawned.agent(1).git("rev-parse", "HEAD") == before
    report = run_spawn(spawned)
    assert report.steps == ()
    assert report.notes[0].startswith("no agent was moved to today's target: the repository tracks TASK.md, ")
    assert spawned.agent(1).git("rev-parse", "HEAD") == before
