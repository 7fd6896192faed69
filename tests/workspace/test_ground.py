"""Spawn and clean on ground that is not a plain checkout, beside other commands, and on a disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.engine.local import LocalEngine
from orchestra.errors import DiskFull, GitError, LockHeld
from orchestra.fleet import make_fleet
from orchestra.git.lock import exclusive
from orchestra.git.repository import Repository
from orchestra.git.worktree_admin import retired
from orchestra.workspace.spawn import spawn
from orchestra.workspace.spawn_plan import SpawnRefused, plan_spawn
from tests.conftest import Checkout
from tests.workspace.conftest import MakeHome, run_clean, run_spawn
from tests.workspace.test_clean import land
from tests.workspace.test_kills import drive
from tests.workspace.worlds import BLUEPRINT, OVERLAPPING, Home

ROOT = Path(__file__).resolve().parents[2]
PLAIN = BLUEPRINT.partition("  setup:")[0] + "agents:" + BLUEPRINT.partition("agents:")[2]


def check(home: Home) -> None:
    """A whole round, and nothing left of it."""
    report = run_spawn(home)
    for number in (1, 2):
        assert home.agent(number).git("status", "--porcelain") == ""
    assert report.not_ready == ()
    assert run_spawn(home).steps == ()
    land(home, 1)
    land(home, 2)
    assert run_clean(home).skipped == ()
    assert not (home.path / "worktrees").exists()
    assert home.checkout.git("fsck", "--no-dangling") == ""


@pytest.mark.parametrize("name", ["with space", "ünï cödé 日本", 'quote"back\\slash', "$HOME `x` 'y'", "-dash"])
def test_a_folder_of_any_name(make: MakeHome, name: str) -> None:
    check(make(name=name))


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    from tests.workspace.worlds import make_home

    check(make_home(Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9"))))


def test_a_linked_worktree_as_the_current_folder(make: MakeHome) -> None:
    home = make()
    home.checkout.git("worktree", "add", "--quiet", "-b", "own", "../own")
    fleet = make_fleet(Repository.discover(home.path / "own"), load_blueprint(home.blueprint))
    assert fleet.worktrees_root == home.path / "worktrees"
    with LocalEngine(2) as engine:
        spawn(fleet, engine=engine)
    assert (home.agent(1).path / ".env").exists()
    assert home.agent(1).git("status", "--porcelain") == ""


def test_git_variables_that_point_elsewhere(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    report = run_spawn(home)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.delenv(name)
    assert len(report.places) == 2
    assert home.agent(1).git("status", "--porcelain") == ""


def test_a_bare_repository(make: MakeHome) -> None:
    home = make(PLAIN)
    home.checkout.git("clone", "--quiet", "--bare", ".", "../bare.git")
    shutil.move(home.checkout.path, home.path / "away")
    shutil.move(home.path / "bare.git", home.checkout.path)
    check(home)


def test_a_symlinked_root_and_repository(make: MakeHome, tmp_path: Path) -> None:
    home = make()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home.path / "worktrees").symlink_to(elsewhere)
    run_spawn(home)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["agent-1", "agent-2"]
    assert run_spawn(home).steps == ()
    assert Checkout(elsewhere / "agent-1").git("status", "--porcelain") == ""
    land(home, 1)
    assert run_clean(home).skipped == ()
    assert [path.name for path in elsewhere.iterdir()] == ["agent-2"]


def test_a_repository_reached_through_a_link(make: MakeHome, tmp_path: Path) -> None:
    home = make(name="real")
    (tmp_path / "alias").symlink_to(home.path)
    check(Home(tmp_path / "alias"))


def test_a_shallow_clone(make: MakeHome) -> None:
    home = make()
    home.checkout.commit("second", {"second.txt": "2"})
    shutil.move(home.checkout.path, home.path / "origin")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{home.path}/origin", str(home.checkout.path)], check=True
    )
    for name in (".env", "node_modules"):
        shutil.move(home.path / "origin" / name, home.checkout.path / name)
    check(home)


def test_a_repository_in_the_middle_of_a_merge(home: Home) -> None:
    home.checkout.git("switch", "--quiet", "-c", "other")
    home.checkout.commit("theirs", {"src/a.txt": "theirs\n"})
    home.checkout.git("switch", "--quiet", "main")
    home.checkout.commit("ours", {"src/a.txt": "ours\n"})
    home.checkout.git("merge", "other", ok=False)
    before = home.checkout.git("status", "--porcelain")
    run_spawn(home)
    assert home.checkout.git("status", "--porcelain") == before
    assert home.agent(1).read("src/a.txt") == "ours"


def test_hooks_of_the_repository_do_not_run(home: Home) -> None:
    hook = home.checkout.path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hook.parent / name).write_text(f"#!/bin/sh\ntouch {home.path}/hooked\nexit 1\n")
        (hook.parent / name).chmod(0o755)
    run_spawn(home)
    assert not (home.path / "hooked").exists()


def test_a_branch_with_a_gitlink_and_odd_names(make: MakeHome) -> None:
    """A submodule that nobody can fetch, and names that look like options, devices and home folders."""
    home = make(PLAIN)
    blob = home.checkout.git("hash-object", "-w", "--stdin", stdin=b"x\n")
    names = ["-rf", "a/b\tc", "CON", "~tilde", "x" * 250]
    for name in names:
        home.checkout.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    head = home.checkout.git("rev-parse", "HEAD")
    home.checkout.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    home.checkout.git("commit", "--quiet", "-m", "odd")
    run_spawn(home)
    for number in (1, 2):
        assert home.agent(number).git("status", "--porcelain") == ""
        assert all((home.agent(number).path / name).read_text() == "x\n" for name in names)


@pytest.mark.parametrize("name", [".git", ".GIT"])
def test_a_commit_that_would_write_into_git_is_refused_by_git(make: MakeHome, name: str) -> None:
    """Nothing of it is written, nothing is left; what can be spawned is spawned when the branch is put right."""
    home = make(PLAIN)
    blob = home.checkout.git("hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch /tmp/hacked\n")
    inner = home.checkout.git("mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    tree = home.checkout.git("mktree", stdin=f"040000 tree {inner}\t{name}\n".encode())
    commit = home.checkout.git("commit-tree", tree, "-p", "main", "-m", "evil")
    home.checkout.git("update-ref", "refs/heads/main", commit)
    home.checkout.git("config", "core.protectNTFS", "true")
    with pytest.raises(GitError, match=r"invalid path|'.git' would be overwritten"):
        run_spawn(home)
    assert not home.agent(1).path.exists()
    assert home.checkout.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert list((home.path / "worktrees").iterdir()) == []


def test_errors_in_the_blueprint_alone_end_with_exit_code_2(make: MakeHome) -> None:
    home = make(OVERLAPPING)
    with pytest.raises(SpawnRefused) as caught:
        run_spawn(home)
    assert caught.value.exit_code == 2
    home.checkout.git("branch", "agent")
    with pytest.raises(SpawnRefused) as caught:
        run_spawn(home)
    assert caught.value.exit_code == 3


def test_a_target_without_a_required_file_stops_spawn_before_anything_is_made(make: MakeHome) -> None:
    home = make(f'requires: ["src/*.txt", package.json, go.sum]\n{BLUEPRINT}')
    before = home.look()
    for _ in range(2):
        with pytest.raises(SpawnRefused) as caught:
            run_spawn(home)
        assert caught.value.exit_code == 2
        assert caught.value.problems == (
            "main has no package.json and go.sum, which demo requires; "
            "commit package.json and go.sum to main, or remove it from `requires`",
        )
        assert home.look() == before
    home.checkout.commit("needs", {"package.json": "{}", "go.sum": ""})
    assert not run_spawn(home).not_ready
    home.checkout.commit("removed", {"package.json": None})
    assert run_spawn(home).steps == ()  # nothing to make: nothing is required


def test_a_spawn_after_a_clean_that_was_killed_brings_the_worktree_back(home: Home) -> None:
    """It was out of sight for a second look when the kill came; what is in it is nowhere else."""
    run_spawn(home)
    worktree = home.agent(1)
    worktree.write({"only-here.txt": "x"})
    retired(worktree.path).parent.mkdir()
    worktree.path.rename(retired(worktree.path))
    run_spawn(home)
    assert (worktree.path / "only-here.txt").exists()
    assert sorted(path.name for path in worktree.path.parent.iterdir()) == ["agent-1", "agent-2"]


# -- beside other commands ---------------------------------------------------------------------------------------------


def test_the_second_spawn_says_who_works_here(home: Home) -> None:
    with exclusive(home.fleet().repository.state_folder, "merge"), pytest.raises(LockHeld, match="orchestra merge"):
        run_spawn(home)


def test_two_spawns_at_once(home: Home) -> None:
    """As processes: one works; the other works after it, or says who holds the lock. Together they make it once."""
    running = [
        subprocess.Popen(drive("spawn", home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(process.communicate(), process.returncode) for process in running]
    codes = sorted(code for _, code in ends)
    assert codes in ([0, 0], [0, 3]), ends
    if codes == [0, 3]:
        assert any("is held by orchestra spawn" in err for (_, err), code in ends if code == 3), ends
    assert sum(out.count("git worktree add") for (out, _), _ in ends) == 2
    assert run_spawn(home).steps == ()


def test_a_lock_of_a_dead_process_is_no_obstacle(home: Home) -> None:
    state = home.fleet().repository.state_folder
    state.mkdir()
    (state / "lock").touch()
    (state / "lock.holder").write_text('{"pid": 1, "command": "spawn", "since": 0}')
    assert len(run_spawn(home).places) == 2


def test_agents_at_work_while_more_are_spawned(home: Home) -> None:
    """The worktrees of the first agents are nobody's business while others are made."""
    run_spawn(home, ["schema"])
    stop = threading.Event()
    agent = home.agent(1)

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            agent.commit(f"step {number}", {"work.txt": str(number)})

    worker = threading.Thread(target=work)
    worker.start()
    try:
        run_spawn(home)
    finally:
        stop.set()
        worker.join()
    assert agent.git("status", "--porcelain") == ""
    assert home.agent(2).git("status", "--porcelain") == ""
    assert not (home.agent(2).path / "work.txt").exists()


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    return folder


def resize(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


@pytest.mark.parametrize("where", ["worktrees", "everything"])
def test_a_full_disk_in_the_middle_of_spawn(make: MakeHome, small_disk: Path, tmp_path: Path, where: str) -> None:
    """The estimate is met, then what is copied along does not fit. Nothing is lost, and with space it goes on."""
    home = make(BLUEPRINT.replace("../worktrees", str(small_disk / "trees")))
    if where == "everything":
        shutil.move(home.path, small_disk / "home")
        home = Home(small_disk / "home")
    (home.checkout.path / "node_modules" / "big").write_bytes(os.urandom(1_600_000))
    committed = home.checkout.commit("more", {"src/more.txt": "m" * 1000})
    try:
        with pytest.raises((DiskFull, SpawnRefused)) as caught:
            run_spawn(home)
        assert "space" in str(caught.value)
        assert home.checkout.git("rev-parse", "main") == committed
        assert home.checkout.git("fsck", "--no-dangling") == ""
        assert home.checkout.git("status", "--porcelain") == ""
        resize(small_disk, "30m")
        assert run_spawn(home).not_ready == ()
        assert plan_spawn(home.fleet()).lines() == []
        for number in (1, 2):
            worktree = Checkout(small_disk / "trees" / f"agent-{number}")
            assert worktree.git("status", "--porcelain") == ""
            assert (worktree.path / "node_modules" / "big").stat().st_size == 1_600_000
    finally:
        subprocess.run(["umount", "-l", small_disk], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(make: MakeHome, small_disk: Path) -> None:
    home = make(PLAIN.replace("../worktrees", str(small_disk / "trees")))
    home.checkout.commit("big", {"big.bin": b"x" * 2_000_000})
    try:
        with pytest.raises(SpawnRefused, match=r"2 worktrees need about 4\.\d MB in .*, where 3\.1 MB are free"):
            run_spawn(home)
        assert list(small_disk.iterdir()) == []
        assert home.checkout.git("for-each-ref", "refs/orchestra", "refs/heads/agent") == ""
        assert len(run_spawn(home, ["api"]).places) == 1
    finally:
        subprocess.run(["umount", "-l", small_disk], check=True)


def test_planning_a_spawn_downloads_nothing_into_a_partial_clone(make: MakeHome, tmp_path: Path) -> None:
    home = make(PLAIN)
    home.checkout.git("config", "uploadpack.allowFilter", "true")
    folder = tmp_path / "partial"
    home.checkout.git("clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{home.checkout.path}", str(folder))
    partial = Checkout(folder)
    partial.git("sparse-checkout", "set", "--no-cone", "/none/")
    partial.git("checkout", "-q")
    missing = partial.git("rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing
    plan_spawn(make_fleet(Repository.discover(folder), load_blueprint(home.blueprint)))
    assert partial.git("rev-list", "--objects", "--all", "--missing=print").count("?") == missing
