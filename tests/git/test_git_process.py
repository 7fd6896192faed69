"""The door to git: what it lets through and what it keeps out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.errors import DiskFull, GitError, GroundError
from orchestra.git.git_process import Git, Output, version
from orchestra.git.objects import Objects
from tests.conftest import Checkout, MakeRepository


def test_a_redirecting_environment_does_not_reach_git(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user with GIT_DIR set, as in a hook or a bisect script, must not have another repository changed."""
    here, elsewhere = make_repository(name="here"), make_repository({"b": "b"}, {"c": "c"}, name="elsewhere")
    monkeypatch.setenv("GIT_DIR", str(elsewhere.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(elsewhere.path / "index"))
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    git = Git(here.path)
    assert git.text("rev-list", "--count", "HEAD") == "1"
    assert git.text("rev-parse", "--absolute-git-dir") == str(here.path / ".git")


def test_an_environment_that_buffers_or_traces_does_not_stop_a_conversation(
    repository: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_FLUSH=0 keeps answers in git's buffer; a trace on standard error fills a pipe that is read at the end."""
    repository.git("gc", "--quiet")
    monkeypatch.setenv("GIT_FLUSH", "0")
    for name in ("GIT_TRACE", "GIT_TRACE_PACK_ACCESS", "GIT_TRACE_SETUP"):
        monkeypatch.setenv(name, "1")
    head = repository.git("rev-parse", "HEAD")
    with Objects(Git(repository.path)) as objects:
        for number in range(200):
            objects.write_blob(b"%d" % number)
        for _ in range(2000):
            objects._commits.clear()
            assert objects.commit(head).tree


def test_a_configuration_file_of_the_environment_hides_no_program(
    repository: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``git config --list`` reads GIT_CONFIG alone, so that a filter of the repository would not be seen."""
    (repository.path / "other.config").write_text("[user]\n\tname = A\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG", str(repository.path / "other.config"))
    repository.git("config", "--file", ".git/config", "filter.x.clean", f"touch {repository.path}/ran; cat")
    repository.write({".gitattributes": "* filter=x\n", "new": "text"})
    Git(repository.path).run("add", "--", "new")
    assert not (repository.path / "ran").exists()


def test_hooks_of_the_repository_do_not_run(repository: Checkout) -> None:
    hook = repository.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {repository.path}/ran\n")
    hook.chmod(0o755)
    Git(repository.path).run("update-ref", "refs/heads/other", "HEAD")
    assert not (repository.path / "ran").exists()
    repository.git("update-ref", "refs/heads/third", "HEAD")
    assert (repository.path / "ran").exists(), "the hook must be able to run, or this test says nothing"


def test_a_command_outside_the_inventory_is_refused(repository: Checkout) -> None:
    with pytest.raises(ValueError, match="SUBCOMMANDS"):
        Git(repository.path).run("gc")


def test_a_failure_carries_command_code_and_words(repository: Checkout) -> None:
    with pytest.raises(GitError, match="cat-file -t nonsense failed with 128") as caught:
        Git(repository.path).run("cat-file", "-t", "nonsense")
    assert caught.value.code == 128
    assert "nonsense" in caught.value.stderr


def test_a_missing_folder_and_a_missing_git_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GroundError, match="is not a folder"):
        Git(tmp_path / "gone").run("version")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GroundError, match="cannot start git"):
        Git(tmp_path).run("version")


def test_bytes_that_are_not_text_survive(make_repository: MakeRepository) -> None:
    repository = make_repository({"a": "a"})
    odd = os.fsdecode(b"caf\xe9 \n name")
    (repository.path / odd).write_text("x")
    repository.git("add", "--all")
    assert odd in Git(repository.path).run("ls-files", "-z").fields


def test_output_of_nothing_has_no_lines_and_no_fields() -> None:
    empty = Output(("x",), 0, b"", "")
    assert (empty.text, empty.lines, empty.fields) == ("", [], [])


def test_no_space_is_its_own_error(tmp_path: Path, make_repository: MakeRepository) -> None:
    """/dev/full answers every write with ENOSPC: git's own words for it must be recognised."""
    repository = make_repository()
    (repository.path / ".git" / "info").mkdir(exist_ok=True)
    git = Git(repository.path).with_env(GIT_INDEX_FILE=str(tmp_path / "full.index"))
    (tmp_path / "full.index.lock").symlink_to("/dev/full")
    with pytest.raises((DiskFull, GitError)):
        git.run("read-tree", "HEAD")
    with pytest.raises(DiskFull):
        git._checked(Output(("x",), 128, b"", "fatal: write error: No space left on device"), (0,))


def test_the_version_is_numbers() -> None:
    assert version() >= (2, 38)


def test_a_conversation_ends_with_its_block(repository: Checkout) -> None:
    head = repository.git("rev-parse", "HEAD")
    with Git(repository.path).conversation("cat-file", "--batch-check") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(head.encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(head.encode())
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize("content", [None, b"gitdir: \0nonsense\n", b"\0" * (1 << 20)], ids=["pipe", "nul", "large"])
def test_a_worktree_whose_link_is_a_pipe_or_nonsense_is_refused_at_once(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        os.mkfifo(tmp_path / ".git")
    else:
        (tmp_path / ".git").write_bytes(content)
    with pytest.raises(GitError):
        Git(tmp_path).run("status")


def test_grafts_of_the_repository_do_not_change_who_is_an_ancestor(repository: Checkout) -> None:
    repository.git("switch", "--quiet", "--create", "work")
    repository.commit("work", {"work": "1"})
    tip, main = repository.git("rev-parse", "work"), repository.git("rev-parse", "main")
    (repository.path / ".git/info").mkdir(exist_ok=True)
    (repository.path / ".git/info/grafts").write_text(f"{tip}\n{main} {tip}\n")
    output = Git(repository.path).run("merge-base", "--is-ancestor", tip, main, ok=(0, 1))
    assert (output.code, output.stderr) == (1, "")
