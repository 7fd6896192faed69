"""The scripts lose no work, follow no link of an agent, and say what is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestra.shell.quoting import here_document
from tests.conftest import Checkout
from tests.shell.conftest import SpawnedFleet
from tests.shell.shells import SHELLS, run


@pytest.fixture
def landed(spawned: SpawnedFleet) -> SpawnedFleet:
    """The first agent's work has landed; its worktree still exists."""
    spawned.commit_work("one", {"src/one": "1\n", ".gitignore": "*.log\n"})
    spawned.merge_helper("approve", "one")
    head = spawned.worktree("one").git("rev-parse", "HEAD")
    spawned.checkout.git("merge", "--quiet", "--ff-only", head)
    spawned.checkout.git("update-ref", "refs/orchestra/small/one/landed", head)
    return spawned


def clean(spawned: SpawnedFleet) -> str:
    done = run("sh", spawned.scripts.orchestrate, "clean", cwd=spawned.checkout.path)
    return done.out + done.err


def test_clean_keeps_a_worktree_with_another_repository_in_it(landed: SpawnedFleet) -> None:
    inner = landed.worktree("one").path / "nested"
    inner.mkdir()
    Checkout(inner).git("init", "-q")
    assert "one stays: " in clean(landed)
    assert (inner / ".git").is_dir()


def test_clean_keeps_an_agent_whose_work_the_target_lost(landed: SpawnedFleet) -> None:
    landed.checkout.git("reset", "--quiet", "--hard", "HEAD~1")
    assert "one stays: main does not contain what landed" in clean(landed)
    assert landed.worktree("one").path.exists()


def test_clean_saves_staged_and_changed_work(landed: SpawnedFleet) -> None:
    there = landed.worktree("one")
    there.write({"src/one": "staged\n"})
    there.git("add", "src/one")
    there.write({"src/one": "changed\n"})
    assert "saved/1" in clean(landed)
    assert landed.checkout.read("src/one", "refs/orchestra/small/one/saved/1") == "changed"
    assert landed.checkout.read("src/one", "refs/orchestra/small/one/saved/1^2") == "staged"
    assert not there.path.exists()


def test_clean_run_again_after_a_kill_saves_the_work_once(landed: SpawnedFleet) -> None:
    """The worktree's HEAD is the saved commit already, as a kill before the removal leaves it."""
    there = landed.worktree("one")
    there.write({"late": "late\n"})
    there.git("add", "late")
    there.git("switch", "--quiet", "--detach")
    there.git("commit", "--quiet", "-m", "saved")
    landed.checkout.git("update-ref", "refs/orchestra/small/one/saved/1", there.git("rev-parse", "HEAD"))
    assert "saved/2" not in clean(landed)
    assert not there.path.exists()


def test_clean_keeps_ignored_files_in_a_new_folder(landed: SpawnedFleet) -> None:
    landed.worktree("one").write({"fresh/a": "a\n", "fresh/b.log": "b\n"})
    assert "kept/fresh/b.log" in clean(landed)
    kept = landed.checkout.path / ".git/orchestra/fleets/small/agents/one/kept/fresh/b.log"
    assert kept.read_text() == "b\n"
    assert landed.checkout.read("fresh/a", "refs/orchestra/small/one/saved/1") == "a"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_clean_keeps_a_worktree_that_cannot_be_read(landed: SpawnedFleet) -> None:
    locked = landed.worktree("one").path / "locked"
    locked.mkdir(mode=0)
    assert "one stays: " in clean(landed)
    locked.chmod(0o755)


def test_clean_deletes_no_ref_through_a_symbolic_one(landed: SpawnedFleet) -> None:
    landed.checkout.git("symbolic-ref", "refs/orchestra/small/one/candidate", "refs/heads/main")
    landed.checkout.git("worktree", "unlock", str(landed.worktree("one").path))
    landed.checkout.git("worktree", "remove", "--force", str(landed.worktree("one").path))
    landed.checkout.git("branch", "-D", "agent/small/one")
    landed.checkout.git("symbolic-ref", "refs/heads/agent/small/one", "refs/heads/main")
    assert "is a symbolic ref" in clean(landed)
    assert landed.checkout.git("rev-parse", "main")


def test_status_of_a_cleaned_agent_has_no_counts(landed: SpawnedFleet) -> None:
    clean(landed)
    done = run("sh", landed.scripts.orchestrate, "status", cwd=landed.checkout.path)
    assert done.err == ""
    assert done.lines[1].split() == ["one", "-", "landed", "-", "-", "-"]


def test_rehearse_leaves_out_agents_without_commits(spawned: SpawnedFleet) -> None:
    done = spawned.merge_helper("rehearse", ok=False)
    assert done.out.count("waiting: not started: no commits yet") == 3
    assert "evicted" not in done.out


def test_a_verb_without_its_agent_says_so(spawned: SpawnedFleet) -> None:
    done = spawned.merge_helper("approve", ok=False)
    assert done.code == 2
    assert "orchestra_approve needs an AGENT" in done.err


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_instruction_files_that_are_no_files_are_not_opened(spawned: SpawnedFleet, tmp_path: Path, kind: str) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    for name in ("TASK.md", "AGENT_NOTES.md", "CLAUDE.md"):
        file = spawned.worktree("one").path / name
        file.unlink()
        os.mkfifo(file) if kind == "pipe" else file.symlink_to(outside)
    assert spawned.spawn().code == 0
    assert "precious" not in spawned.merge_helper("review", "one").out
    done = spawned.merge_helper("request-changes", "one", "more", ok=False)
    assert done.code == 3
    assert "is not replaced" in done.err
    assert outside.read_text() == "precious\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", ["E\u00f6l\nD\u00f1\n", "END_OF_TEXT\u00e9\n", "E\x80\n", "END_OF_TEXT\n"])
def test_every_shell_reads_a_text_that_starts_like_an_end_mark(shell: str, text: str) -> None:
    source = f"cat {here_document(text)}\n"
    done = subprocess.run([*SHELLS[shell]], input=source.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == text
