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
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.verdicts import Verdict
from orchestra.train.merge import merge
from orchestra.workspace.clean import clean
from orchestra.workspace.spawn import spawn
from tests.conftest import Checkout
from tests.shell.conftest import SMALL, Ground, write_scripts
from tests.shell.shells import SHELLS, run


def test_a_fleet_that_a_script_spawned_is_seen_by_the_tool(ground: Ground) -> None:
    from orchestra.fleet import last_blueprint

    fleet = ground.fleet()
    assert last_blueprint(fleet.repository) == str(ground.written.blueprint)
    assert [standing.spawned for standing in read_branch_statuses(fleet, fleet.blueprint.agents)] == [True] * 3
    before = ground.checkout.git("for-each-ref")
    with LocalEngine(1) as engine:
        report = spawn(fleet, engine=engine)
    assert [type(step).__name__ for step in report.steps] in ([], ["Remember"])
    assert ground.checkout.git("for-each-ref") == before


@pytest.mark.parametrize("spawner", ["tool", "script"])
def test_where_work_lands_is_settled_by_the_first_spawn(repository: Checkout, tmp_path: Path, spawner: str) -> None:
    """Whatever somebody checks out later: for both, whoever spawned."""
    ground = Ground(repository, write_scripts(tmp_path, SMALL.replace("target: main\n", "")))
    if spawner == "tool":
        with LocalEngine(1) as engine:
            spawn(ground.fleet(), engine=engine)
    else:
        ground.spawn()
    ground.work("one", {"src/one": "1\n"})
    ground.checkout.git("switch", "--quiet", "--create", "feature")
    assert ground.fleet().target == "main"
    ground.helper("approve", "one")
    ground.helper("merge", "one")
    assert ground.checkout.read("src/one", "main") == "1"
    assert ground.checkout.git("ls-tree", "--name-only", "feature", "src/one") == ""


def test_a_proposal_that_was_taken_is_left_to_the_tool(ground: Ground) -> None:
    """A proposal is a merge commit; the script does not land it as something else."""
    ground.work("one", {"src/one": "1\n"})
    ground.work("three", {"README.md": "of three\n"})
    ground.checkout.commit("of main", {"README.md": "of main\n"})
    target, head = ground.checkout.git("rev-parse", "main"), ground.at("three").git("rev-parse", "HEAD")
    git = ground.checkout.git
    git("switch", "--quiet", "--detach", head)
    git("merge", "--quiet", "main", ok=False)
    ground.checkout.commit("resolved", {"README.md": "of both\n"})
    proposed = git("rev-parse", "HEAD")
    git("switch", "--quiet", "main")
    for kind in ("proposed", "approved"):
        git("update-ref", f"refs/orchestra/small/three/{kind}", proposed)
    assert git("rev-parse", f"{proposed}^@").split() == [head, target]
    done = ground.helper("merge", "three", ok=False)
    assert "three: evicted, conflict: the branch holds merge commits: use orchestra merge" in done.out
    assert git("rev-parse", "main") == target
    assert ground.at("three").git("rev-parse", "HEAD") == head


def test_a_proposal_for_another_head_is_stale_to_the_script(ground: Ground) -> None:
    ground.work("three", {"README.md": "of three\n"})
    for kind in ("proposed", "approved"):
        ground.checkout.git("update-ref", f"refs/orchestra/small/three/{kind}", "main")
    done = ground.helper("merge", "three", ok=False)
    assert "three: waiting: its approval is stale: it has commits since" in done.out


def test_a_verdict_given_by_a_script_is_honoured_by_the_tool(ground: Ground) -> None:
    ground.work("one", {"src/one": "1\n"})
    ground.work("three", {"three": "1\n"})
    ground.helper("approve", "1")
    ground.helper("request-changes", "three", "  make it 'better'\n\n$(and) shorter \n")
    ground.work("two", {"two": "1\n"})
    ground.helper("discard", "two", "not wanted")
    fleet = ground.fleet()
    found = {s.agent.name: s.verdict for s in read_branch_statuses(fleet, fleet.blueprint.agents)}
    assert found == {"one": Verdict.APPROVED, "two": Verdict.DISCARDED, "three": Verdict.CHANGES_REQUESTED}
    three = fleet.require_agent("three")
    assert verdicts.requested_changes(fleet, three) == "make it 'better'\n\n$(and) shorter"
    head = ground.at("three").git("rev-parse", "HEAD")
    section = f"\n## Changes requested on {head[:10]}\n\nmake it 'better'\n\n$(and) shorter\n"
    assert (ground.at("three").path / "TASK.md").read_text().endswith(section)
    report = merge(fleet)
    assert [item.agent for item in report.landed] == ["one"]
    with pytest.raises(UsageError, match="discarded"):
        verdicts.approve(fleet, fleet.require_agent("two"))


def test_a_verdict_given_by_the_tool_is_honoured_by_a_script(ground: Ground) -> None:
    fleet = ground.fleet()
    for name in ("one", "two", "three"):
        ground.work(name, {f"src/{name}": "1\n"})
    verdicts.approve(fleet, fleet.require_agent("one"))
    verdicts.request_changes(fleet, fleet.require_agent("three"), "not yet")
    verdicts.discard(fleet, fleet.require_agent("two"), "no")
    done = ground.helper(ok=False)
    assert done.code == 1
    assert "one: landed as " in done.out
    assert "three: waiting: changes were requested" in done.out
    assert "two" not in done.out
    assert ground.helper("approve", "one", ok=False).code == 2
    assert "one has already landed as" in ground.helper("approve", "one", ok=False).err
    assert ground.checkout.read("src/one", "main") == "1"
    note = ground.checkout.git("notes", f"--ref={NOTES}", "show", "main")
    assert "The work of one." in note


def test_a_stale_approval_does_not_land(ground: Ground) -> None:
    ground.work("one", {"src/one": "1\n"})
    ground.helper("approve", "one")
    ground.work("one", {"src/one": "2\n"})
    done = ground.helper("merge", ok=False)
    assert "one: waiting: its approval is stale: it has commits since" in done.out
    assert ground.checkout.git("log", "--format=%s", "main") == "commit 1"


def test_uncommitted_work_is_told_at_approval_and_keeps_yes_from_landing_it(ground: Ground) -> None:
    ground.work("one", {"src/one": "1\n"})
    ground.at("one").write({"src/more": "1\n"})
    done = ground.helper("merge", "--yes", ok=False)
    assert "one: waiting: not finished: 1 uncommitted files" in done.out
    assert "not committed, so not part of it: 1 files" in ground.helper("approve", "one").err


def test_yes_approves_what_is_finished_and_green(ground: Ground) -> None:
    for name in ("one", "two", "three"):
        ground.work(name, {f"src/{name}" if name == "one" else name: "1\n"})
    heads = {name: ground.at(name).git("rev-parse", "HEAD") for name in ("one", "two", "three")}
    done = ground.helper("--yes")
    assert [line.partition(":")[0] for line in done.lines if "landed as" in line] == ["one", "two", "three"]
    assert {name: ground.ref(f"{name}/approved") for name in heads} == heads
    assert not ground.ref("one/candidate")
    assert ground.checkout.git("status", "--porcelain") == ""
    assert (ground.checkout.path / "src/one").read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_lands_and_cleans(ground: Ground, shell: str) -> None:
    ground.work("one", {"src/one": "1\n"})
    ground.work("three", {"broken": "1\n"})
    done = run(shell, ground.written.merge_helper, "--yes", cwd=ground.checkout.path, ok=False)
    assert done.code == 1
    assert "one: landed as" in done.out
    assert "three: evicted, gate: tests failed" in done.out
    assert ground.checkout.git("log", "-1", "--format=%s", "main") == "one works"
    done = run(shell, ground.written.orchestrate, "clean", cwd=ground.checkout.path)
    assert "agent-1 is removed" in done.out
    assert not ground.at("one").path.exists()


def test_clean_after_a_script_and_by_a_script(ground: Ground) -> None:
    for name in ("one", "two"):
        ground.work(name, {f"src/{name}" if name == "one" else name: "1\n"})
    ground.helper("merge", "--yes", ok=False)
    ground.at("one").write({"src/later": "not committed\n"})
    done = run("sh", ground.written.orchestrate, "clean", cwd=ground.checkout.path)
    assert "one: uncommitted work is saved as refs/orchestra/small/one/saved/1" in done.out
    assert ground.checkout.read("src/later", "refs/orchestra/small/one/saved/1") == "not committed"
    left = ground.checkout.git("worktree", "list", "--porcelain")
    assert [name for name in ("agent-1", "agent-2", "agent-3") if name in left] == ["agent-3"]
    assert ground.checkout.git("for-each-ref", "refs/heads", "--format=%(refname)").splitlines() == [
        "refs/heads/agent/small/three",
        "refs/heads/main",
    ]
    fleet = ground.fleet()
    with LocalEngine(1) as engine:
        assert clean(fleet, engine=engine).steps == ()


# -- the lock ----------------------------------------------------------------------------------------------------


def test_a_script_stands_back_while_the_tool_works(ground: Ground, tmp_path: Path) -> None:
    env = machine_with(tmp_path, "flock")
    with exclusive(ground.fleet().repository.state_folder, "merge"):
        done = run("sh", ground.written.orchestrate, cwd=ground.checkout.path, env=env, ok=False)
    assert done.code == 3
    assert '"command": "merge"' in done.err
    run("sh", ground.written.orchestrate, cwd=ground.checkout.path)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tool_stands_back_while_a_script_works(repository: Checkout, tmp_path: Path, shell: str) -> None:
    """The script is held in its own set-up, which waits for us."""
    from tests.shell.conftest import SMALL, write_scripts

    setup = f"worktrees: {{setup: {{run: ['echo >{tmp_path}/began; read -r x <{tmp_path}/go']}}}}\n"
    written = write_scripts(tmp_path / "held", SMALL + setup)
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
    "git sh cat cmp comm cp date dd env find grep head ls mkdir mv printf readlink rm rmdir sed sort tail tee tr wc awk"
)


def machine_with(tmp_path: Path, *more: str) -> dict[str, str]:
    """The environment of a machine that has git, the POSIX utilities and these programs; nobody waits there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in (*NEEDED.split(), *more):
        (folder / program).symlink_to(str(shutil.which(program)))
    (folder / "sleep").symlink_to("/bin/true")
    return {"PATH": str(folder)}


def test_without_flock_and_perl_no_lock_can_be_taken(ground: Ground, tmp_path: Path) -> None:
    env = machine_with(tmp_path)
    done = run("sh", ground.written.orchestrate, cwd=ground.checkout.path, env=env, ok=False)
    assert done.code == 3
    assert "flock and perl are missing" in done.err


def test_without_flock_perl_takes_the_same_lock(ground: Ground, tmp_path: Path) -> None:
    env = machine_with(tmp_path, "perl")
    assert run("sh", ground.written.orchestrate, cwd=ground.checkout.path, env=env).code == 0
    with exclusive(ground.fleet().repository.state_folder, "merge"):
        assert run("sh", ground.written.orchestrate, cwd=ground.checkout.path, env=env, ok=False).code == 3
