"""Landing by script: remotes, checkouts, targets that move, and who is blamed."""

from __future__ import annotations

import pytest

from tests.conftest import Checkout
from tests.shell.conftest import SpawnedFleet


@pytest.fixture
def ready(spawned: SpawnedFleet) -> SpawnedFleet:
    """One agent, approved."""
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.merge_helper("approve", "one")
    return spawned


def clone(spawned: SpawnedFleet) -> Checkout:
    """A bare remote called origin, and a colleague's clone of it."""
    folder = spawned.checkout.path.parent
    spawned.checkout.git("clone", "-q", "--bare", str(spawned.checkout.path), str(folder / "origin.git"))
    spawned.checkout.git("remote", "add", "origin", str(folder / "origin.git"))
    spawned.checkout.git("fetch", "-q", "origin")
    spawned.checkout.git("clone", "-q", str(folder / "origin.git"), str(folder / "colleague"))
    return Checkout(folder / "colleague")


def test_push_goes_first_and_arrives(ready: SpawnedFleet) -> None:
    colleague = clone(ready)
    done = ready.merge_helper("merge", "--push", "one")
    assert "pushed" in done.lines[-1]
    colleague.git("pull", "-q")
    assert colleague.git("rev-parse", "main") == ready.checkout.git("rev-parse", "main")


def test_work_lands_on_what_a_colleague_pushed(ready: SpawnedFleet) -> None:
    colleague = clone(ready)
    colleague.commit("theirs", {"theirs": "1\n"})
    colleague.git("push", "-q")
    ready.merge_helper("merge", "--push", "one")
    assert ready.checkout.tree("main") == ["README.md", "package.json", "src/a", "src/one", "theirs"]
    assert ready.checkout.git("status", "--porcelain") == ""


def test_a_diverged_target_is_refused(ready: SpawnedFleet) -> None:
    colleague = clone(ready)
    colleague.commit("theirs", {"theirs": "1\n"})
    colleague.git("push", "-q")
    ready.checkout.commit("ours", {"ours": "1\n"})
    done = ready.merge_helper("merge", "one", ok=False)
    assert done.code == 3
    assert "have diverged" in done.err


def test_a_remote_that_declines_lands_nothing(ready: SpawnedFleet) -> None:
    clone(ready)
    hook = ready.checkout.path.parent / "origin.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    before = ready.checkout.git("rev-parse", "main")
    done = ready.merge_helper("merge", "--push", "one", ok=False)
    assert done.code == 1
    assert "declines the push" in done.out
    assert ready.checkout.git("rev-parse", "main") == before
    assert not ready.ref("one/candidate")
    assert not (ready.checkout.path / ".git/orchestra/train/intent.json").exists()


@pytest.mark.parametrize("tracked", [True, False], ids=["changed", "untracked"])
def test_work_in_the_way_keeps_a_branch_from_landing(ready: SpawnedFleet, tracked: bool) -> None:
    name = "src/a" if tracked else "src/one"
    ready.worktree("one").commit("more", {"src/a": "theirs\n"})
    ready.merge_helper("approve", "one")
    ready.checkout.write({name: "mine\n"})
    done = ready.merge_helper("merge", "one", ok=False)
    assert done.code == 1
    assert "has changes in the way of what lands" in done.out
    assert name in done.out
    assert (ready.checkout.path / name).read_text() == "mine\n"
    assert ready.checkout.git("log", "-1", "--format=%s", "main") == "commit 1"


def test_other_changes_of_the_user_stay(ready: SpawnedFleet) -> None:
    ready.checkout.write({"README.md": "mine\n", "untracked": "mine\n"})
    ready.checkout.git("add", "README.md")
    ready.merge_helper("merge", "one")
    assert ready.checkout.git("status", "--porcelain") == "M  README.md\n?? untracked"
    assert (ready.checkout.path / "src/one").exists()


def test_a_failing_target_evicts_no_branch_and_a_branch_may_fix_it(spawned: SpawnedFleet) -> None:
    spawned.checkout.commit("red", {"broken": "1\n"})
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.worktree("three").git("reset", "-q", "--hard", "main")
    spawned.worktree("three").commit("fixes it", {"broken": None})
    spawned.commit_work("three", {"src/three": "1\n"})
    for name in ("one", "three"):
        spawned.merge_helper("approve", name)
    done = spawned.merge_helper("merge", "one", ok=False)
    assert "one: waiting: main itself does not pass its gates" in done.out
    done = spawned.merge_helper("merge", "one", "three", ok=False)
    assert [line.partition(":")[0] for line in done.lines if "landed as" in line] == ["three"]
    assert "one: landed as" in spawned.merge_helper("merge", "one").out


def test_a_rehearsal_lands_nothing_and_says_what_would(ready: SpawnedFleet) -> None:
    before = ready.checkout.git("for-each-ref")
    done = ready.merge_helper("rehearse", "one")
    assert "one: would land as" in done.out
    assert "main would go from" in done.lines[-1]
    assert ready.checkout.git("for-each-ref") == before
    ready.commit_work("three", {"broken": "1\n"})
    assert "three: evicted, gate: tests failed" in ready.merge_helper("rebase-and-test", "three", ok=False).out


def test_a_landing_that_was_cut_off_after_the_swap_is_finished(ready: SpawnedFleet) -> None:
    ready.merge_helper("merge", "one")
    checkout, landed = ready.checkout, ready.ref("one/landed")
    checkout.git("update-ref", "-d", "refs/orchestra/small/one/landed")
    checkout.git("update-ref", "refs/orchestra/small/one/candidate", landed)
    ready.merge_helper("merge", ok=False)
    assert ready.ref("one/landed") == landed
    assert not ready.ref("one/candidate")


def test_a_push_that_was_cut_off_before_the_swap_is_finished(ready: SpawnedFleet) -> None:
    """The remote has the candidate, the target here does not."""
    clone(ready)
    ready.merge_helper("merge", "--push", "one")
    checkout, landed = ready.checkout, ready.ref("one/landed")
    checkout.git("reset", "-q", "--hard", f"{landed}~1")
    checkout.git("update-ref", "-d", "refs/orchestra/small/one/landed")
    checkout.git("update-ref", "refs/orchestra/small/one/candidate", landed)
    ready.merge_helper("merge", ok=False)
    assert ready.ref("one/landed") == landed == checkout.git("rev-parse", "main")
    assert checkout.git("status", "--porcelain") == ""


def test_a_cut_off_landing_of_the_tool_is_left_to_it(ready: SpawnedFleet) -> None:
    (ready.checkout.path / ".git/orchestra/train").mkdir(parents=True, exist_ok=True)
    (ready.checkout.path / ".git/orchestra/train/intent.json").write_text("{}")
    done = ready.merge_helper("merge", ok=False)
    assert done.code == 3
    assert "orchestra merge" in done.err
