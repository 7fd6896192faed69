"""Script and tool take turns: what one decides the other honours, and neither works while the other does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestra.engine.local import LocalEngine
from orchestra.errors import LockHeld, UsageError
from orchestra.git.lock import exclusive
from orchestra.git.refs import NOTES
from orchestra.review import verdicts
from orchestra.review.approval import approve
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Verdict
from orchestra.train.merge import merge
from orchestra.workspace.clean import clean
from orchestra.workspace.spawn import spawn
from tests.conftest import Checkout
from tests.shell.conftest import SMALL_BLUEPRINT, SpawnedFleet, write_scripts
from tests.shell.shells import SHELLS, run


def test_the_tool_reads_a_fleet_that_a_script_spawned(spawned: SpawnedFleet) -> None:
    from orchestra.fleet import last_blueprint

    fleet = spawned.load_fleet()
    assert last_blueprint(fleet.repository) == str(spawned.scripts.blueprint)
    assert [standing.spawned for standing in read_branch_statuses(fleet, fleet.blueprint.agents)] == [True] * 3
    before = spawned.checkout.git("for-each-ref")
    with LocalEngine(1) as engine:
        report = spawn(fleet, engine=engine)
    assert all(step.startswith("remember ") for step in report.steps)
    assert spawned.checkout.git("for-each-ref") == before


@pytest.mark.parametrize("spawner", ["tool", "script"])
def test_the_first_spawn_records_the_target(repository: Checkout, tmp_path: Path, spawner: str) -> None:
    """Whatever somebody checks out later: for both, whoever spawned."""
    spawned = SpawnedFleet(repository, write_scripts(tmp_path, SMALL_BLUEPRINT.replace("target: main\n", "")))
    if spawner == "tool":
        with LocalEngine(1) as engine:
            spawn(spawned.load_fleet(), engine=engine)
    else:
        spawned.spawn()
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.checkout.git("switch", "--quiet", "--create", "feature")
    assert spawned.load_fleet().target == "main"
    spawned.merge_helper("approve", "one")
    spawned.merge_helper("merge", "one")
    assert spawned.checkout.read("src/one", "main") == "1"
    assert spawned.checkout.git("ls-tree", "--name-only", "feature", "src/one") == ""


def test_an_approved_proposal_is_left_to_the_tool(spawned: SpawnedFleet) -> None:
    """A proposal is a merge commit; the script does not land it as something else."""
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.commit_work("three", {"README.md": "of three\n"})
    spawned.checkout.commit("of main", {"README.md": "of main\n"})
    target, head = spawned.checkout.git("rev-parse", "main"), spawned.worktree("three").git("rev-parse", "HEAD")
    git = spawned.checkout.git
    git("switch", "--quiet", "--detach", head)
    git("merge", "--quiet", "main", ok=False)
    spawned.checkout.commit("resolved", {"README.md": "of both\n"})
    proposed = git("rev-parse", "HEAD")
    git("switch", "--quiet", "main")
    for kind in ("proposed", "approved"):
        git("update-ref", f"refs/orchestra/small/three/{kind}", proposed)
    assert git("rev-parse", f"{proposed}^@").split() == [head, target]
    done = spawned.merge_helper("merge", "three", ok=False)
    assert "three: waiting: its verdict is stale" in done.out
    assert git("rev-parse", "main") == target
    assert spawned.worktree("three").git("rev-parse", "HEAD") == head


def test_a_proposal_for_another_head_is_stale(spawned: SpawnedFleet) -> None:
    spawned.commit_work("three", {"README.md": "of three\n"})
    for kind in ("proposed", "approved"):
        spawned.checkout.git("update-ref", f"refs/orchestra/small/three/{kind}", "main")
    done = spawned.merge_helper("merge", "three", ok=False)
    assert "three: waiting: its verdict is stale" in done.out


def test_the_tool_reads_verdicts_of_a_script(spawned: SpawnedFleet) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.commit_work("three", {"three": "1\n"})
    spawned.merge_helper("approve", "1")
    spawned.merge_helper("request-changes", "three", "make it 'better'\n\n$(and) shorter")
    spawned.commit_work("two", {"two": "1\n"})
    spawned.merge_helper("discard", "two", "not wanted")
    fleet = spawned.load_fleet()
    found = {s.agent.name: s.verdict for s in read_branch_statuses(fleet, fleet.blueprint.agents)}
    assert found == {"one": Verdict.APPROVED, "two": Verdict.DISCARDED, "three": Verdict.CHANGES_REQUESTED}
    three = fleet.require_agent("three")
    assert verdicts.requested_changes(fleet, three) == "make it 'better'\n\n$(and) shorter"
    head = spawned.worktree("three").git("rev-parse", "HEAD")
    section = f"\n## Changes requested on {head[:10]}\n\nmake it 'better'\n\n$(and) shorter\n"
    assert (spawned.worktree("three").path / "TASK.md").read_text().endswith(section)
    report = merge(fleet)
    assert [item.agent for item in report.landed] == ["one"]
    with pytest.raises(UsageError, match="discarded"):
        approve(fleet, fleet.require_agent("two"))


def test_a_script_reads_verdicts_of_the_tool(spawned: SpawnedFleet) -> None:
    fleet = spawned.load_fleet()
    for name in ("one", "two", "three"):
        spawned.commit_work(name, {f"src/{name}": "1\n"})
    approve(fleet, fleet.require_agent("one"))
    verdicts.request_changes(fleet, fleet.require_agent("three"), "not yet")
    verdicts.discard(fleet, fleet.require_agent("two"), "no")
    done = spawned.merge_helper(ok=False)
    assert done.code == 1
    assert "one: landed as " in done.out
    assert "three: waiting: its verdict is changes-requested" in done.out
    spawned.commit_work("three", {"src/three": "2\n"})
    assert "three: waiting: its verdict is answered" in spawned.merge_helper(ok=False).out
    assert "two" not in done.out
    assert spawned.merge_helper("approve", "one", ok=False).code == 2
    assert "one has already landed as" in spawned.merge_helper("approve", "one", ok=False).err
    assert spawned.checkout.read("src/one", "main") == "1"
    note = spawned.checkout.git("notes", f"--ref={NOTES}", "show", "main")
    assert "The work of one." in note


def test_a_stale_approval_does_not_land(spawned: SpawnedFleet) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.merge_helper("approve", "one")
    spawned.commit_work("one", {"src/one": "2\n"})
    done = spawned.merge_helper("merge", ok=False)
    assert "one: waiting: its verdict is stale" in done.out
    assert spawned.checkout.git("log", "--format=%s", "main") == "commit 1"


def test_uncommitted_work_is_reported_by_approve_and_not_landed_by_yes(spawned: SpawnedFleet) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.worktree("one").write({"src/more": "1\n"})
    done = spawned.merge_helper("merge", "--yes", ok=False)
    assert "one: waiting: not finished: 1 uncommitted files" in done.out
    assert "not committed, so not part of it: 1 files" in spawned.merge_helper("approve", "one").err


def test_yes_approves_finished_work_that_passes(spawned: SpawnedFleet) -> None:
    for name in ("one", "two", "three"):
        spawned.commit_work(name, {f"src/{name}" if name == "one" else name: "1\n"})
    heads = {name: spawned.worktree(name).git("rev-parse", "HEAD") for name in ("one", "two", "three")}
    done = spawned.merge_helper("merge", "--yes")
    assert [line.partition(":")[0] for line in done.lines if "landed as" in line] == ["one", "two", "three"]
    assert {name: spawned.ref(f"{name}/approved") for name in heads} == heads
    assert not spawned.ref("one/candidate")
    assert spawned.checkout.git("status", "--porcelain") == ""
    assert (spawned.checkout.path / "src/one").read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_lands_and_cleans(spawned: SpawnedFleet, shell: str) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.commit_work("three", {"broken": "1\n"})
    done = run(shell, spawned.scripts.merge_helper, "merge", "--yes", cwd=spawned.checkout.path, ok=False)
    assert done.code == 1
    assert "one: landed as" in done.out
    assert "three: evicted, gate: tests failed" in done.out
    assert spawned.checkout.git("log", "-1", "--format=%s", "main") == "one works"
    done = run(shell, spawned.scripts.orchestrate, "clean", cwd=spawned.checkout.path)
    assert "agent-1 is removed" in done.out
    assert not spawned.worktree("one").path.exists()


def test_clean_after_a_script_and_by_a_script(spawned: SpawnedFleet) -> None:
    for name in ("one", "two"):
        spawned.commit_work(name, {f"src/{name}" if name == "one" else name: "1\n"})
    spawned.merge_helper("merge", "--yes", ok=False)
    spawned.worktree("one").write({"src/later": "not committed\n"})
    done = run("sh", spawned.scripts.orchestrate, "clean", cwd=spawned.checkout.path)
    assert "one: uncommitted work is saved as refs/orchestra/small/one/saved/1" in done.out
    assert spawned.checkout.read("src/later", "refs/orchestra/small/one/saved/1") == "not committed"
    left = spawned.checkout.git("worktree", "list", "--porcelain")
    assert [name for name in ("agent-1", "agent-2", "agent-3") if name in left] == ["agent-3"]
    assert spawned.checkout.git("for-each-ref", "refs/heads", "--format=%(refname)").splitlines() == [
        "refs/heads/agent/small/three",
        "refs/heads/main",
    ]
    fleet = spawned.load_fleet()
    with LocalEngine(1) as engine:
        assert clean(fleet, engine=engine).steps == ()


# -- the lock ----------------------------------------------------------------------------------------------------


def test_a_script_refuses_while_the_tool_holds_the_lock(spawned: SpawnedFleet, tmp_path: Path) -> None:
    env = machine_with(tmp_path, "flock")
    with exclusive(spawned.load_fleet().repository.state_folder, "merge"):
        done = run("sh", spawned.scripts.orchestrate, cwd=spawned.checkout.path, env=env, ok=False)
    assert done.code == 3
    assert '"command": "merge"' in done.err
    run("sh", spawned.scripts.orchestrate, cwd=spawned.checkout.path)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tool_refuses_while_a_script_holds_the_lock(repository: Checkout, tmp_path: Path, shell: str) -> None:
    """The script is held in its own set-up, which waits for us."""
    from tests.shell.conftest import SMALL_BLUEPRINT, write_scripts

    setup = f"worktrees: {{setup: {{run: ['echo >{tmp_path}/began; read -r x <{tmp_path}/go']}}}}\n"
    written = write_scripts(tmp_path / "held", SMALL_BLUEPRINT + setup)
    began, go = tmp_path / "began", tmp_path / "go"
    os.mkfifo(began)
    os.mkfifo(go)
    argv = [*SHELLS[shell], str(written.orchestrate), "spawn", "one"]
    with subprocess.Popen(argv, cwd=repository.path, stdout=subprocess.DEVNULL) as script:
        began.read_text()
        with pytest.raises(LockHeld, match="orchestra_spawn"), exclusive(repository.path / ".git/orchestra", "merge"):
            pass
        go.write_text("\n")
        assert script.wait() == 0
    with exclusive(repository.path / ".git/orchestra", "merge"):
        pass


NEEDED = (
    "git sh awk cat cmp comm cp date dd env find grep head mkdir mktemp mv paste printf readlink rm rmdir sed sort "
    "tail tee timeout tr wc"
)


def machine_with(tmp_path: Path, *more: str) -> dict[str, str]:
    """The environment of a machine that has git, the POSIX utilities and these programs; nobody waits there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in (*NEEDED.split(), *more):
        (folder / program).symlink_to(str(shutil.which(program)))
    (folder / "sleep").symlink_to("/bin/true")
    return {"PATH": str(folder)}


def test_without_flock_no_lock_can_be_taken(spawned: SpawnedFleet, tmp_path: Path) -> None:
    env = machine_with(tmp_path)
    done = run("sh", spawned.scripts.orchestrate, cwd=spawned.checkout.path, env=env, ok=False)
    assert done.code == 3
    assert "flock is missing" in done.err
