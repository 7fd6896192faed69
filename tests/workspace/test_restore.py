"""Restore brings a cleaned or discarded agent back as it was, and can be interrupted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError
from orchestra.git.refs import Kind
from orchestra.workspace.restore import RestoreReport, plan_restore, restore
from orchestra.workspace.spawn_plan import SpawnRefused
from tests.kill_points import chosen_points, count_points, find_point, run_killed
from tests.workspace.conftest import run_clean, run_spawn
from tests.workspace.test_clean import land, set_refs
from tests.workspace.test_kills import drive
from tests.workspace.worlds import Home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def spawned(home: Home) -> Home:
    run_spawn(home)
    return home


def run_restore(home: Home, agent: str = "schema") -> RestoreReport:
    fleet = home.fleet()
    with LocalEngine(1) as engine:
        return restore(fleet, fleet.require_agent(agent), engine=engine)


def leave_work(home: Home) -> str:
    """Commit, stage, change, delete and add files in the first agent's worktree, and fill in its notes."""
    agent = home.agent(1)
    head = agent.commit("work", {"src/new.txt": "new\n"})
    agent.write({"src/a.txt": "staged\n"})
    agent.git("add", "src/a.txt")
    agent.write({"src/a.txt": "changed\n", "untracked.txt": "mine\n", ".env": "KEY=mine\n"})
    (agent.path / "run.sh").unlink()
    (agent.path / "AGENT_NOTES.md").write_text("What I built: all.\n")
    return head


def look(home: Home) -> dict[str, object]:
    agent = home.agent(1)
    names = ("src/a.txt", "untracked.txt", "AGENT_NOTES.md", ".env", "TASK.md")
    return {
        "head": agent.git("rev-parse", "HEAD"),
        "branch": agent.git("branch", "--show-current"),
        "status": agent.git("status", "--porcelain"),
        "staged": agent.git("diff", "--cached"),
        "files": {name: (agent.path / name).read_text() for name in names},
    }


@pytest.mark.parametrize("verdict", [Kind.DISCARDED, Kind.LANDED])
def test_a_cleaned_agent_comes_back_as_it_was(spawned: Home, verdict: Kind) -> None:
    head = leave_work(spawned)
    before = look(spawned)
    set_refs(spawned, "schema", {verdict: head})
    assert run_clean(spawned).skipped == ()
    assert not spawned.agent(1).path.exists()
    fleet = spawned.fleet()
    plan = plan_restore(fleet, fleet.require_agent("schema"))
    report = run_restore(spawned)
    assert sorted(report.steps) == sorted(plan.lines())
    assert look(spawned) == before
    refs = spawned.checkout.git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/orchestra/demo/schema")
    landed = ["landed"] if verdict is Kind.LANDED else []
    assert refs.splitlines() == ["base", *landed, "saved/1"]
    assert run_restore(spawned).steps == ()
    # What was restored is work like before: it is saved and kept again.
    if verdict is Kind.LANDED:
        run_clean(spawned)
        run_restore(spawned)
        assert look(spawned) == before


def test_a_discarded_agent_that_was_not_cleaned_is_taken_back(spawned: Home) -> None:
    head = leave_work(spawned)
    before = look(spawned)
    set_refs(spawned, "schema", {Kind.DISCARDED: head})
    report = run_restore(spawned)
    assert report.steps == (f"git update-ref -d refs/orchestra/demo/schema/discarded {head[:12]}",)
    assert look(spawned) == before


def test_an_agent_without_uncommitted_work_comes_back_clean(spawned: Home) -> None:
    head = land(spawned)
    spawned.agent(1).write({"gone.txt": "saved by a stop, deleted later"})
    fleet = spawned.fleet()
    from orchestra.git.unsaved_work import next_saved, save_uncommitted

    agent = fleet.require_agent("schema")
    save_uncommitted(spawned.agent(1).path, next_saved(fleet.repository.git, fleet.name, agent.name), "stopped")
    (spawned.agent(1).path / "gone.txt").unlink()
    run_clean(spawned)
    run_restore(spawned)
    assert spawned.agent(1).git("status", "--porcelain") == ""
    assert spawned.agent(1).git("rev-parse", "HEAD") == head


def test_work_on_another_commit_stays_saved_and_is_named(spawned: Home) -> None:
    head = land(spawned)
    spawned.agent(1).git("switch", "--quiet", "--detach", "HEAD^")
    spawned.agent(1).write({"loose.txt": "l"})
    run_clean(spawned)
    report = run_restore(spawned)
    assert report.notes[0] == (
        "schema: its uncommitted work was made on another commit; it stays saved as refs/orchestra/demo/schema/saved/1"
    )
    assert spawned.agent(1).git("rev-parse", "HEAD") == head


def test_what_is_in_the_way_refuses_and_nothing_changes(spawned: Home) -> None:
    land(spawned)
    run_clean(spawned)
    spawned.agent(1).path.mkdir(parents=True)
    (spawned.agent(1).path / "theirs").write_text("precious")
    before = spawned.look()
    with pytest.raises(SpawnRefused, match="already exists"):
        run_restore(spawned)
    assert spawned.look() == before


def test_an_agent_that_was_never_spawned(home: Home) -> None:
    with pytest.raises(GroundError, match="schema was never spawned"):
        run_restore(home)


@pytest.mark.timeout(1200 if os.environ.get("ORCHESTRA_ALL_POINTS") else 300)
def test_a_killed_restore_run_again_ends_like_an_undisturbed_one(spawned: Home, tmp_path: Path) -> None:
    head = leave_work(spawned)
    set_refs(spawned, "schema", {Kind.DISCARDED: head})
    run_clean(spawned)
    calm = spawned.copy(tmp_path / "calm")
    points = count_points(drive("restore", calm), ROOT)
    end = calm.look()
    for number, point in enumerate(chosen_points(points, 3)):
        home = spawned.copy(tmp_path / f"killed-{number}")
        run_killed(drive("restore", home), ROOT, point, True)
        run_restore(home)
        assert home.look() == end, point


def test_a_restore_killed_before_its_folder_appears_saves_nothing_again(spawned: Home, tmp_path: Path) -> None:
    set_refs(spawned, "schema", {Kind.DISCARDED: leave_work(spawned)})
    run_clean(spawned)
    calm = spawned.copy(tmp_path / "calm")
    point = find_point(drive("restore", calm), ROOT, "os.rename", ".orchestra-new/agent-1'")
    run_killed(drive("restore", spawned), ROOT, point, True)
    run_restore(spawned)
    saved = spawned.checkout.git("for-each-ref", "--format=%(refname)", "refs/orchestra/demo/schema/saved")
    assert saved == "refs/orchestra/demo/schema/saved/1"
