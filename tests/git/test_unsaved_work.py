"""What a worktree holds that no ref reaches, and that it can be brought back from the commit that saves it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import GroundError, MovedError
from orchestra.git.git_process import Git
from orchestra.git.refs import RefName, saved_ref
from orchestra.git.unsaved_work import (
    find_unsaved,
    has_work,
    keep_snapshot,
    next_saved,
    save_uncommitted,
    saved_as,
    take_snapshot,
)
from tests.conftest import Checkout, MakeRepository

FLEET, AGENT = FleetName("demo"), AgentName("schema")
REF = saved_ref(FLEET, AGENT, 1)


@pytest.fixture
def work(make_repository: MakeRepository) -> Checkout:
    """A linked worktree of a repository with a few files and an ignore rule."""
    repository = make_repository({"a.txt": "a\n", "b.txt": "b\n", "c.txt": "c\n", ".gitignore": ".env\nbuild/\n"})
    repository.git("worktree", "add", "--quiet", "-b", "work", "../work tree")
    return Checkout(repository.path.parent / "work tree")


def index_bytes(work: Checkout) -> bytes:
    return Path(work.git("rev-parse", "--git-path", "index")).read_bytes()


def test_nothing_to_save(work: Checkout) -> None:
    work.write({".env": "KEY=1\n", "build/out": "x"})
    assert save_uncommitted(work.path, REF, "m") is None
    assert work.git("for-each-ref", "refs/orchestra") == ""
    assert not has_work(work.path)


def test_changed_deleted_and_untracked_files_are_in_the_commit(work: Checkout) -> None:
    work.write({"a.txt": "changed\n", "b.txt": None, "new/ünï.txt": "new\n", ".env": "KEY=1\n"})
    (work.path / "run.sh").write_text("#!/bin/sh\n")
    (work.path / "run.sh").chmod(0o755)
    (work.path / "link").symlink_to("a.txt")
    before = index_bytes(work), work.git("status", "--porcelain")
    commit = save_uncommitted(work.path, REF, "what schema left")
    assert (index_bytes(work), work.git("status", "--porcelain")) == before
    assert commit == work.git("rev-parse", REF)
    assert work.tree(REF) == [".gitignore", "a.txt", "c.txt", "link", "new/ünï.txt", "run.sh"]
    assert work.read("a.txt", REF) == "changed"
    assert work.git("ls-tree", REF, "run.sh").startswith("100755")
    assert (
        work.git("log", "-1", "--format=%P %s %an", REF)
        == f"{work.git('rev-parse', 'HEAD')} what schema left orchestra"
    )


def test_what_is_staged_differently_is_kept_too(work: Checkout) -> None:
    work.write({"a.txt": "staged\n", "b.txt": "only staged\n"})
    work.git("add", "a.txt", "b.txt")
    work.write({"a.txt": "then changed\n"})
    work.git("checkout", "HEAD", "--", "c.txt")
    save_uncommitted(work.path, REF, "m")
    assert work.read("a.txt", REF) == "then changed"
    assert work.read("a.txt", f"{REF}^2") == "staged"
    assert work.read("b.txt", f"{REF}^2") == "only staged"
    work.git("reset", "--hard")
    work.git("stash", "apply", "--index", REF)  # the shape of a stash: git's own command brings all of it back
    assert work.git("status", "--porcelain").splitlines() == ["MM a.txt", "M  b.txt"]


def test_staged_and_taken_away_again(work: Checkout) -> None:
    """The files are as in HEAD, the index is not: there is something to save all the same."""
    work.write({"a.txt": "staged\n"})
    work.git("add", "a.txt")
    work.write({"a.txt": "a\n"})
    assert save_uncommitted(work.path, REF, "m") is not None
    assert work.read("a.txt", f"{REF}^2") == "staged"


def test_conflicted_files_are_kept_as_they_stand(work: Checkout) -> None:
    work.write({"a.txt": "<<<<<<< half solved\n"})
    blob = work.git("hash-object", "-w", "a.txt")
    entries = "".join(f"100644 {blob} {stage}\ta.txt\n" for stage in (1, 2, 3))
    work.git("update-index", "--index-info", stdin=f"0 {'0' * 40}\ta.txt\n{entries}".encode())
    assert len(work.git("ls-files", "--unmerged").splitlines()) == 3
    save_uncommitted(work.path, REF, "m")
    assert work.read("a.txt", REF) == "<<<<<<< half solved"
    assert len(work.git("ls-files", "--unmerged").splitlines()) == 3


def test_the_middle_of_a_merge_is_refused_with_the_mend(work: Checkout) -> None:
    work.git("switch", "--quiet", "-c", "other")
    work.commit("theirs", {"a.txt": "theirs\n"})
    work.git("switch", "--quiet", "work")
    work.commit("ours", {"a.txt": "ours\n"})
    work.git("merge", "other", ok=False)
    with pytest.raises(GroundError, match="in the middle of a merge") as refused:
        save_uncommitted(work.path, REF, "m")
    assert "status says how" in str(refused.value.hint)


def test_work_that_git_was_told_to_overlook(work: Checkout) -> None:
    work.git("update-index", "--assume-unchanged", "a.txt")
    work.git("update-index", "--skip-worktree", "b.txt")
    work.write({"a.txt": "hidden\n", "b.txt": "hidden too\n"})
    assert work.git("status", "--porcelain") == ""
    save_uncommitted(work.path, REF, "m")
    assert work.read("a.txt", REF) == "hidden"
    assert work.read("b.txt", REF) == "hidden too"
    assert work.git("ls-files", "-v", "a.txt") == "h a.txt"


def test_a_sparse_worktree_has_not_deleted_what_is_not_there(work: Checkout) -> None:
    work.commit("folders", {"in/x": "x", "out/y": "y"})
    work.git("sparse-checkout", "set", "in")
    assert take_snapshot(work.path).saved
    work.write({"in/x": "changed"})
    save_uncommitted(work.path, REF, "m")
    assert work.read("out/y", REF) == "y"


def test_commits_of_a_detached_head_are_work(work: Checkout) -> None:
    work.git("switch", "--quiet", "--detach")
    commit = work.commit("nobody's", {"d.txt": "d\n"})
    assert has_work(work.path)
    assert save_uncommitted(work.path, REF, "m") == commit
    assert not has_work(work.path)
    assert take_snapshot(work.path).saved


def test_an_unborn_branch_with_files(work: Checkout) -> None:
    work.git("switch", "--quiet", "--orphan", "fresh")
    work.write({"x.txt": "x\n"})
    commit = save_uncommitted(work.path, REF, "m")
    assert work.git("rev-list", "--count", str(commit)) == "1"
    assert work.tree(REF) == ["x.txt"]


def test_a_ref_that_exists_is_never_moved(work: Checkout) -> None:
    work.write({"a.txt": "one\n"})
    first = save_uncommitted(work.path, REF, "m")
    work.write({"a.txt": "two\n"})
    with pytest.raises(MovedError):
        save_uncommitted(work.path, REF, "m")
    assert work.git("rev-parse", REF) == first


def test_numbers_and_what_is_saved_already(work: Checkout) -> None:
    git = Git(work.path)
    assert next_saved(git, FLEET, AGENT) == REF
    work.write({"a.txt": "one\n"})
    snapshot = take_snapshot(work.path)
    assert saved_as(git, FLEET, AGENT, snapshot) is None
    keep_snapshot(work.path, snapshot, REF, "m")
    assert saved_as(git, FLEET, AGENT, snapshot) == REF
    assert next_saved(git, FLEET, AGENT) == RefName("refs/orchestra/demo/schema/saved/2")
    work.write({"b.txt": "two\n"})
    work.git("add", "b.txt")
    work.write({"b.txt": "three\n"})
    later = take_snapshot(work.path)
    assert saved_as(git, FLEET, AGENT, later) is None
    keep_snapshot(work.path, later, next_saved(git, FLEET, AGENT), "m")
    assert saved_as(git, FLEET, AGENT, take_snapshot(work.path)) == "refs/orchestra/demo/schema/saved/2"
    assert saved_as(git, FLEET, AGENT, snapshot) == REF


def test_a_repository_inside_is_refused_by_name(work: Checkout) -> None:
    inner = Checkout(work.path / "vendor" / "tool")
    inner.path.mkdir(parents=True)
    inner.git("init", "--quiet")
    inner.commit("its own", {"x": "x"})
    with pytest.raises(GroundError, match=r"vendor/tool is a repository of its own"):
        save_uncommitted(work.path, REF, "m")
    assert inner.read("x") == "x"


@pytest.fixture
def with_submodule(make_repository: MakeRepository) -> Checkout:
    """A linked worktree whose submodule is checked out."""
    make_repository({"lib.c": "int x;\n"}, name="lib")
    repository = make_repository({"a": "a"})
    allow = ("-c", "protocol.file.allow=always")
    repository.git(*allow, "submodule", "--quiet", "add", "../lib", "lib")
    repository.git("commit", "--quiet", "-m", "submodule")
    repository.git("worktree", "add", "--quiet", "-b", "work", "../work")
    work = Checkout(repository.path.parent / "work")
    work.git(*allow, "submodule", "--quiet", "update", "--init")
    return work


def test_a_clean_submodule_is_no_work(with_submodule: Checkout) -> None:
    assert take_snapshot(with_submodule.path).saved


@pytest.mark.parametrize("kind", ["uncommitted", "unpushed", "stashed"])
def test_work_in_a_submodule_is_refused(with_submodule: Checkout, kind: str) -> None:
    inner = Checkout(with_submodule.path / "lib")
    inner.write({"lib.c": "int y;\n"})
    if kind == "unpushed":
        inner.git("commit", "--quiet", "--all", "-m", "mine")
    if kind == "stashed":
        inner.git("stash", "--quiet")
    with pytest.raises(GroundError, match=f"the repository {inner.path} has"):
        take_snapshot(with_submodule.path)


def test_an_index_copied_by_a_killed_run_is_cleared_away(work: Checkout) -> None:
    admin = Path(work.git("rev-parse", "--absolute-git-dir"))
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f"orchestra-index.{ended.pid}", f"orchestra-index.{ended.pid}.lock"):
        (admin / name).write_text("old")
    (admin / f"orchestra-index.{os.getppid()}").write_text("somebody's")
    take_snapshot(work.path)
    assert [path.name for path in admin.glob("orchestra-index.*")] == [f"orchestra-index.{os.getppid()}"]


def test_listing_names_what_status_names(work: Checkout) -> None:
    work.write({"a.txt": "x", "new.txt": "n", "folder/one": "1", ".env": "e", "build/out": "o"})
    found = find_unsaved(work.path)
    assert found.changed == ("a.txt",)
    assert found.untracked == ("folder/one", "new.txt")
    assert found.ignored == (".env",)
    assert found.ignored_folders == ("build/",)


def test_a_change_of_the_same_size_in_the_second_of_the_index_is_saved(work: Checkout) -> None:
    """Git looks into such a file because the index is no newer than it; a copy of the index must keep its time."""
    index = Path(work.git("rev-parse", "--absolute-git-dir")) / "index"
    for number in range(10, 60):
        work.write({"a.txt": f"{number}\n"})
        work.git("add", "a.txt")
        work.write({"a.txt": f"{number}"[::-1] + "\n"})
        if int(index.stat().st_mtime) == int((work.path / "a.txt").stat().st_mtime) and number % 11:
            break
    expected = (work.path / "a.txt").read_text()
    time.sleep(1.1)
    snapshot = take_snapshot(work.path)
    assert f"{work.read('a.txt', snapshot.files)}\n" == expected
    assert snapshot.index != snapshot.files
