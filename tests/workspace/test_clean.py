"""Clean takes back what is settled and nothing else, and loses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.git.refs import CommitId, Kind, RefUpdate, agent_ref, read_fleet, update
from orchestra.workspace.clean import clean, plan_clean
from tests.conftest import Checkout
from tests.workspace.conftest import MakeHome, run_clean, run_spawn
from tests.workspace.worlds import BLUEPRINT, Home


@pytest.fixture
def spawned(home: Home) -> Home:
    run_spawn(home)
    return home


def land(home: Home, number: int = 1) -> str:
    """Commit something, and have it approved and landed as it is."""
    agent = ("schema", "api")[number - 1]
    head = home.agent(number).commit("work", {f"src/{agent}.txt": "new\n"})
    set_refs(home, agent, {Kind.APPROVED: head, Kind.LANDED: head})
    return head


def set_refs(home: Home, agent: str, refs: dict[Kind, str]) -> None:
    fleet = home.fleet()
    moves = [RefUpdate(agent_ref(fleet.name, AgentName(agent), kind), CommitId(to), None) for kind, to in refs.items()]
    update(fleet.repository.git, moves, reason="test")


def branches(home: Home) -> list[str]:
    return home.checkout.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()


def test_nothing_is_settled(spawned: Home) -> None:
    before = spawned.look()
    report = run_clean(spawned)
    assert (report.steps, report.skipped, report.kept_files) == ((), (), ())
    assert spawned.look() == before


def test_the_landed_go_the_others_stay(spawned: Home) -> None:
    head = land(spawned)
    spawned.agent(2).write({"half.txt": "done"})
    plan = plan_clean(spawned.fleet())
    report = run_clean(spawned)
    assert sorted(report.steps) == sorted(plan.lines())
    assert not spawned.agent(1).path.exists()
    assert branches(spawned) == ["agent/demo/api", "main"]
    assert spawned.agent(2).git("status", "--porcelain") == "?? half.txt"
    assert read_fleet(spawned.fleet().repository.git, spawned.fleet().name)[AgentName("schema")].landed == head
    assert spawned.checkout.git("worktree", "list", "--porcelain").count("worktree ") == 2
    assert run_clean(spawned).steps == ()
    assert [place.origin for place in run_spawn(spawned).places] == ["settled", "there"]


def test_the_plan_changes_nothing(spawned: Home) -> None:
    land(spawned)
    spawned.agent(1).write({"x": "x"})
    before = spawned.look()
    plan_clean(spawned.fleet())
    assert spawned.look() == before


def test_the_last_one_takes_everything_that_was_ours(make: MakeHome) -> None:
    home = make()
    config = (home.checkout.path / ".git" / "config").read_text()
    run_spawn(home)
    land(home, 1)
    land(home, 2)
    run_clean(home)
    assert not (home.path / "worktrees").exists()
    assert (home.checkout.path / ".git" / "config").read_text() == config
    assert branches(home) == ["main"]
    state = home.checkout.path / ".git" / "orchestra"
    assert (state / "worktrees.config").read_text() == ""
    assert [path.name for path in (state / "fleets/demo/agents/api").iterdir()] == []


def test_a_root_that_somebody_made_or_uses_stays(make: MakeHome) -> None:
    theirs = make(name="theirs")
    (theirs.path / "worktrees").mkdir()
    used = make(name="used")
    for home in (theirs, used):
        run_spawn(home)
        land(home, 1)
        land(home, 2)
    (used.path / "worktrees" / "note.txt").write_text("mine")
    for home in (theirs, used):
        run_clean(home)
    assert list((theirs.path / "worktrees").iterdir()) == []
    assert [path.name for path in (used.path / "worktrees").iterdir()] == ["note.txt"]


def test_folders_of_the_directory_template_go_when_they_are_empty(make: MakeHome) -> None:
    home = make(BLUEPRINT.replace("root: ../worktrees", 'root: ../worktrees\n  directory: "x/y/{{ agent.name }}"'))
    run_spawn(home)
    for name in ("schema", "api"):
        head = home.checkout.git("rev-parse", f"agent/demo/{name}")
        set_refs(home, name, {Kind.DISCARDED: head})
    run_clean(home)
    assert not (home.path / "worktrees").exists()


def test_uncommitted_work_is_saved_first(spawned: Home) -> None:
    land(spawned)
    agent = spawned.agent(1)
    agent.write({"src/a.txt": "staged\n"})
    agent.git("add", "src/a.txt")
    agent.write({"src/a.txt": "changed\n", "untracked.txt": "mine\n"})
    report = run_clean(spawned)
    ref = "refs/orchestra/demo/schema/saved/1"
    assert report.steps[0] == f"save the uncommitted work in {agent.path} as {ref}"
    assert spawned.checkout.read("untracked.txt", ref) == "mine"
    assert spawned.checkout.read("src/a.txt", ref) == "changed"
    assert spawned.checkout.read("src/a.txt", f"{ref}^2") == "staged"
    assert not agent.path.exists()


def test_notes_and_changed_copies_are_kept_the_rest_is_not_littered(spawned: Home) -> None:
    land(spawned)
    agent = spawned.agent(1)
    agent.write({"AGENT_NOTES.md": "What I built: all.\n", ".env": "KEY=mine\n"})
    report = run_clean(spawned)
    kept = spawned.checkout.path / ".git/orchestra/fleets/demo/agents/schema/kept"
    assert sorted(report.kept_files) == [kept / ".env", kept / "AGENT_NOTES.md"]
    assert (kept / "AGENT_NOTES.md").read_text() == "What I built: all.\n"
    assert (kept / ".env").read_text() == "KEY=mine\n"


def test_later_commits_keep_the_agent(spawned: Home) -> None:
    land(spawned)
    later = spawned.agent(1).commit("later", {"later.txt": "x"})
    report = run_clean(spawned)
    assert report.steps == ()
    (skipped,) = report.skipped
    reason = f"agent/demo/schema has 1 commit made after the verdict; its tip is {later[:12]}"
    assert skipped == ("schema", f"{reason} (to decide on them: orchestra review schema)")
    assert spawned.agent(1).git("rev-parse", "HEAD") == later


def test_a_discarded_head_is_kept_under_its_ref(spawned: Home) -> None:
    head = spawned.agent(1).commit("not wanted", {"x": "x"})
    set_refs(spawned, "schema", {Kind.DISCARDED: head})
    run_clean(spawned)
    assert branches(spawned) == ["agent/demo/api", "main"]
    assert spawned.checkout.read("x", "refs/orchestra/demo/schema/discarded") == "x"


def test_bringing_a_discarded_agent_back(spawned: Home) -> None:
    """As the remarks of discard say."""
    head = spawned.agent(1).commit("wanted after all", {"x": "x"})
    set_refs(spawned, "schema", {Kind.DISCARDED: head})
    run_clean(spawned)
    spawned.checkout.git("branch", "agent/demo/schema", "refs/orchestra/demo/schema/discarded")
    spawned.checkout.git("update-ref", "-d", "refs/orchestra/demo/schema/discarded")
    run_spawn(spawned, ["schema"])
    assert spawned.agent(1).git("rev-parse", "HEAD") == head
    assert spawned.agent(1).git("status", "--porcelain") == ""


def test_commits_on_a_detached_head_are_saved(spawned: Home) -> None:
    land(spawned)
    spawned.agent(1).git("switch", "--quiet", "--detach")
    stray = spawned.agent(1).commit("nobody's", {"stray.txt": "s"})
    run_clean(spawned)
    assert spawned.checkout.git("rev-parse", "refs/orchestra/demo/schema/saved/1") == stray


@pytest.mark.parametrize("reason", ["locked", "process", "rebase", "repository", "elsewhere"])
def test_who_cannot_go_is_skipped_with_the_reason(spawned: Home, reason: str) -> None:
    land(spawned, 1)
    land(spawned, 2)
    agent = spawned.agent(1)
    expected = {
        "locked": "is locked: hands off (if nothing uses it: git worktree unlock ",
        "process": "is in use by process",
        "rebase": "in the middle of a rebase",
        "repository": "has commits that no remote has",
        "elsewhere": "switch --detach)",
    }[reason]
    process = None
    if reason == "locked":
        spawned.checkout.git("worktree", "unlock", str(agent.path))
        spawned.checkout.git("worktree", "lock", "--reason", "hands off", str(agent.path))
    elif reason == "process":
        process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=agent.path, stdin=subprocess.PIPE)
    elif reason == "rebase":
        (Path(agent.git("rev-parse", "--absolute-git-dir")) / "rebase-merge").mkdir()
    elif reason == "repository":
        agent.git("init", "--quiet", "inner")
        inner = type(agent)(agent.path / "inner")
        inner.commit("its own", {"x": "x"})
    else:
        agent.git("switch", "--quiet", "--detach")
        spawned.checkout.git("switch", "--quiet", "agent/demo/schema")
    report = run_clean(spawned)
    if process is not None:
        process.communicate(b"\n")
    ((name, why),) = report.skipped
    assert name == "schema"
    assert expected in why
    assert (agent.path / "src/schema.txt").exists()
    assert not spawned.agent(2).path.exists()
    assert "agent/demo/schema" in branches(spawned)


def test_teardown_runs_first_and_what_it_changes_is_saved(make: MakeHome) -> None:
    teardown = "test -e ../allowed && echo $ORCHESTRA_AGENT > left-by-teardown.txt"
    home = make(BLUEPRINT.replace("    run:", f'    teardown: ["{teardown}"]\n    run:'))
    run_spawn(home)
    land(home)
    report = run_clean(home)
    ((name, why),) = report.skipped
    assert name == "schema"
    assert f"teardown: `{teardown}` failed with exit code 1; see " in why
    assert home.agent(1).path.exists()
    (home.path / "worktrees" / "allowed").touch()
    run_clean(home)
    assert not home.agent(1).path.exists()
    assert home.checkout.read("left-by-teardown.txt", "refs/orchestra/demo/schema/saved/1") == "schema"


def test_a_worktree_that_somebody_removed_already(spawned: Home) -> None:
    land(spawned)
    spawned.checkout.git("worktree", "unlock", str(spawned.agent(1).path))
    spawned.checkout.git("worktree", "remove", "--force", str(spawned.agent(1).path))
    run_clean(spawned)
    assert branches(spawned) == ["agent/demo/api", "main"]
    assert run_clean(spawned).steps == ()


def test_a_branch_that_is_not_ours_stays(make: MakeHome) -> None:
    """A fleet of the same name was never spawned here: no base ref, so nothing is ours."""
    home = make()
    home.checkout.git("branch", "agent/demo/schema")
    set_refs(home, "schema", {Kind.LANDED: home.checkout.git("rev-parse", "main")})
    assert run_clean(home).steps == ()
    assert "agent/demo/schema" in branches(home)


def test_gate_slots_beside_the_worktrees_stay(spawned: Home) -> None:
    land(spawned, 1)
    land(spawned, 2)
    slot = spawned.path / "worktrees" / "repo.gates" / "1"
    spawned.checkout.git("worktree", "add", "--quiet", "--detach", str(slot))
    run_clean(spawned)
    assert slot.exists()


def test_a_landed_agent_whose_folder_a_person_deleted_is_cleaned(spawned: Home) -> None:
    land(spawned)
    spawned.agent(1).write({"staged.txt": "s"})
    spawned.agent(1).git("add", "staged.txt")
    shutil.rmtree(spawned.agent(1).path)
    assert run_clean(spawned).skipped == ()
    assert branches(spawned) == ["agent/demo/api", "main"]
    assert spawned.checkout.git("worktree", "list", "--porcelain").count("worktree ") == 2
    assert spawned.checkout.read("staged.txt", "refs/orchestra/demo/schema/saved/1") == "s"


def test_the_dry_run_refuses_what_the_run_refuses(spawned: Home) -> None:
    land(spawned)
    land(spawned, 2)
    inner = Checkout(spawned.agent(1).path / "node_modules" / "inner")
    inner.path.mkdir(parents=True)
    inner.git("init", "--quiet")
    inner.write({"precious": "p"})
    plan = plan_clean(spawned.fleet())
    report = run_clean(spawned)
    assert [name for name, _ in plan.skipped] == [name for name, _ in report.skipped] == ["schema"]
    assert [removal.name for removal in plan.agents] == ["api"]
    assert (inner.path / "precious").exists()
    assert not spawned.agent(2).path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and deletes everything")
def test_a_folder_that_cannot_be_read_counts_as_work(spawned: Home) -> None:
    land(spawned)
    land(spawned, 2)
    closed = spawned.agent(1).path / "closed"
    closed.mkdir()
    (closed / "precious").write_text("p")
    closed.chmod(0)
    try:
        report = run_clean(spawned)
    finally:
        closed.chmod(0o700)
    assert [name for name, _ in report.skipped] == ["schema"]
    assert (closed / "precious").exists()
    assert not spawned.agent(2).path.exists()


def test_much_uncommitted_work_is_saved_on_request_only(spawned: Home) -> None:
    land(spawned)
    land(spawned, 2)
    for number in range(1001):
        spawned.agent(1).write({f"cache/{number}": "x"})
    spawned.agent(1).write({"other/one": "x" * 1_000_000})
    ((name, reason),) = run_clean(spawned).skipped
    assert name == "schema"
    assert reason == (
        f"{spawned.agent(1).path} has 1,002 uncommitted files of 1 MB to save, most of them in "
        f"{spawned.agent(1).path}/cache (1,001 files, 0 MB) "
        "(delete or ignore what is not needed, or save all of it: orchestra clean --save-all)"
    )
    assert plan_clean(spawned.fleet()).skipped == (("schema", reason),)
    assert not spawned.agent(2).path.exists()
    with LocalEngine(1) as engine:
        assert clean(spawned.fleet(), engine=engine, save_all=True).skipped == ()
    assert spawned.checkout.read("cache/7", "refs/orchestra/demo/schema/saved/1") == "x"
