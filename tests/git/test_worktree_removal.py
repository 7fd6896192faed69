"""Worktrees go as a whole, and only when nothing in them would be missed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.git import worktree_admin, worktree_removal, worktrees
from orchestra.git.refs import saved_ref
from orchestra.git.repository import Repository
from orchestra.git.unsaved_work import keep_snapshot, take_snapshot
from orchestra.git.worktree_admin import retired
from orchestra.git.worktree_removal import NotRemovable, Removed
from orchestra.git.worktrees import Place
from tests.conftest import Checkout, MakeRepository

REASON = "orchestra: demo/schema"


@pytest.fixture
def main(make_repository: MakeRepository) -> Checkout:
    return make_repository({"a.txt": "a\n", "src/b.txt": "b\n", ".gitignore": ".env\nbuild/\n*.db\n"})


@pytest.fixture
def work(main: Checkout) -> Checkout:
    opened = Repository.discover(main.path)
    main.git("branch", "work")
    place = Place(main.path.parent / "trees" / "one", opened.require_commit("HEAD"), "work", REASON)
    worktrees.add_all(opened, [place])
    return Checkout(place.path)


def remove(main: Checkout, work: Checkout, **options: object) -> Removed:
    keep = main.path.parent / "keep"
    return worktree_removal.remove(Repository.discover(main.path), work.path, reason=REASON, keep=keep, **options)  # type: ignore[arg-type]


def is_gone(main: Checkout, work: Checkout) -> bool:
    opened = Repository.discover(main.path)
    left = retired(work.path).parent.exists() or (opened.common_dir / "worktrees").exists()
    return not work.path.exists() and worktree_admin.entry(opened, work.path) is None and not left


def test_a_clean_worktree_goes_and_its_branch_stays(main: Checkout, work: Checkout) -> None:
    head = work.commit("done", {"c.txt": "c"})
    remove(main, work)
    assert is_gone(main, work)
    assert main.git("rev-parse", "work") == head
    assert remove(main, work) == Removed()


@pytest.mark.parametrize("what", ["changed", "staged", "untracked", "deleted", "stray"])
def test_work_that_no_ref_holds_stays(main: Checkout, work: Checkout, what: str) -> None:
    if what == "deleted":
        (work.path / "a.txt").unlink()
    elif what == "stray":
        work.git("switch", "--quiet", "--detach")
        work.commit("nobody's", {"c.txt": "c"})
    else:
        work.write({"new.txt" if what == "untracked" else "a.txt": "x\n"})
    if what == "staged":
        work.git("add", "--all")
        work.write({"a.txt": "a\n"})
    before = work.git("status", "--porcelain")
    with pytest.raises(NotRemovable, match="not saved"):
        remove(main, work)
    assert work.git("status", "--porcelain") == before
    assert not retired(work.path).parent.exists()


def test_saved_work_goes_later_work_stays(main: Checkout, work: Checkout) -> None:
    work.write({"a.txt": "mine\n", "new.txt": "n\n"})
    snapshot = take_snapshot(work.path)
    keep_snapshot(work.path, snapshot, saved_ref("demo", "schema", 1), "m")  # type: ignore[arg-type]
    work.write({"later.txt": "l\n"})
    with pytest.raises(NotRemovable, match="not saved"):
        remove(main, work, saved=snapshot)
    work.write({"later.txt": None})
    remove(main, work, saved=snapshot)
    assert is_gone(main, work)
    assert main.read("new.txt", "refs/orchestra/demo/schema/saved/1") == "n"


def test_what_is_written_while_it_is_removed_brings_it_back(main: Checkout, work: Checkout) -> None:
    """A program that still has a file open, or its folder in hand, writes behind the first look."""
    handle = os.open(work.path, os.O_RDONLY)
    looks: list[str] = []
    work.write({".env": "x"})

    def disposable(name: str, _file: Path) -> bool:
        looks.append(name)
        os.close(os.open("late.txt", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        raise NotRemovable("seen in between")

    with pytest.raises(NotRemovable):
        remove(main, work, disposable=disposable)
    os.close(handle)
    assert looks == [".env"]
    assert (work.path / "late.txt").exists()
    assert (work.path / ".env").read_text() == "x"
    assert worktree_admin.entry(Repository.discover(main.path), work.path) is not None


def test_a_lock_of_somebody_else_is_respected(main: Checkout, work: Checkout) -> None:
    main.git("worktree", "unlock", str(work.path))
    main.git("worktree", "lock", "--reason", "my experiment", str(work.path))
    with pytest.raises(NotRemovable, match="my experiment"):
        remove(main, work)
    main.git("worktree", "unlock", str(work.path))
    remove(main, work)
    assert is_gone(main, work)


def test_a_process_at_work_inside_is_respected(main: Checkout, work: Checkout) -> None:
    waits = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waits, cwd=work.path / "src", stdin=subprocess.PIPE) as process:
        with pytest.raises(NotRemovable, match=rf"in use by process {process.pid}"):
            remove(main, work)
        process.communicate(b"\n")
    remove(main, work)
    assert is_gone(main, work)


def test_ignored_files_are_kept_ignored_folders_go(main: Checkout, work: Checkout) -> None:
    work.write({".env": "KEY=1\n", "src/local.db": "rows", "build/out.o": "x", "copied.db": "same"})
    removed = remove(main, work, disposable=lambda name, _file: name == "copied.db")
    keep = main.path.parent / "keep"
    assert removed.kept_files == (keep / ".env", keep / "src/local.db")
    assert removed.deleted_folders == ("build/",)
    assert [path.read_text() for path in removed.kept_files] == ["KEY=1\n", "rows"]
    assert is_gone(main, work)


def test_a_repository_in_an_ignored_folder_with_work_of_its_own(main: Checkout, work: Checkout) -> None:
    inner = Checkout(work.path / "build" / "deep" / "tool")
    inner.path.mkdir(parents=True)
    inner.git("init", "--quiet")
    inner.commit("its own", {"x": "x"})
    with pytest.raises(GroundError, match="deep/tool has commits that no remote has"):
        remove(main, work)
    assert inner.read("x") == "x"


def test_repositories_in_ignored_folders_that_are_safe_go(main: Checkout, work: Checkout) -> None:
    """A clone that equals its remote, and something called .git that is no repository."""
    main.git("clone", "--quiet", ".", str(work.path / "build" / "clone"))
    work.write({"build/fixture/.git/HEAD": "nonsense", "build/other/.git": "gitdir: /no/where"})
    remove(main, work)
    assert is_gone(main, work)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_folders_that_nobody_may_write_in_go(tmp_path: Path) -> None:
    """As a Go module cache. Root may write anywhere, so this is done as nobody."""
    folder = tmp_path / "cache"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    for path in (folder / "a" / "b" / "file", folder / "a" / "b", folder / "a", folder, tmp_path):
        os.chown(path, nobody, -1)
        path.chmod(0o500 if path != tmp_path else 0o700)
    parents = [parent for parent in tmp_path.parents if parent.stat().st_uid == os.geteuid() == 0]
    modes = [parent.stat().st_mode for parent in parents]
    try:
        for parent in parents:
            parent.chmod(0o755)
        os.seteuid(nobody)
        worktree_admin.delete(folder)
    finally:
        os.seteuid(os.getuid())
        for parent, mode in zip(parents, modes, strict=True):
            parent.chmod(mode)
    assert not folder.exists()


def test_an_interrupted_removal_whose_place_is_taken_is_told(main: Checkout, work: Checkout) -> None:
    retired(work.path).parent.mkdir()
    work.path.rename(retired(work.path))
    work.path.mkdir()
    with pytest.raises(NotRemovable, match="something else in its place"):
        worktree_removal.settle(Repository.discover(main.path), work.path)
    assert (retired(work.path) / "a.txt").exists()


def test_what_was_kept_earlier_is_not_replaced(main: Checkout, work: Checkout) -> None:
    keep = main.path.parent / "keep"
    keep.mkdir()
    (keep / ".env").write_text("older")
    work.write({".env": "newer", "one.db": "same"})
    (keep / "one.db").write_text("same")
    removed = remove(main, work)
    assert removed.kept_files == (keep / ".env.2", keep / "one.db")
    assert (keep / ".env").read_text() == "older"
    assert sorted(path.name for path in keep.iterdir()) == [".env", ".env.2", "one.db"]


def test_an_ignored_link_is_kept_as_a_link(main: Checkout, work: Checkout, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (work.path / "link.db").symlink_to(precious)
    (kept,) = remove(main, work).kept_files
    assert kept.readlink() == precious
    assert precious.read_text() == "x"


def test_a_folder_that_is_no_worktree_of_ours_stays(main: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "x").write_text("x")
    with pytest.raises(NotRemovable, match="no worktree"):
        remove(main, Checkout(folder))
    other = Checkout(tmp_path / "other")
    other.path.mkdir()
    other.git("init", "--quiet")
    with pytest.raises(NotRemovable, match="no worktree"):
        remove(main, other)


def test_another_folder_in_its_place_stays(main: Checkout, work: Checkout) -> None:
    shutil.move(work.path, work.path.with_name("moved"))
    work.path.mkdir()
    (work.path / "theirs").write_text("x")
    with pytest.raises(NotRemovable, match="not the worktree"):
        remove(main, work)
    assert (work.path / "theirs").exists()


def test_a_removal_killed_before_git_forgot_it_is_taken_back(main: Checkout, work: Checkout) -> None:
    retired(work.path).parent.mkdir()
    work.path.rename(retired(work.path))
    worktree_removal.settle(Repository.discover(main.path), work.path)
    assert work.git("status", "--porcelain") == ""
    assert not retired(work.path).parent.exists()


def test_a_removal_killed_after_git_forgot_it_is_finished(main: Checkout, work: Checkout) -> None:
    opened = Repository.discover(main.path)
    admin = worktree_admin.admin_of(work.path)
    retired(work.path).parent.mkdir()
    work.path.rename(retired(work.path))
    worktree_admin.forget(opened, admin, work.path)
    worktree_removal.settle(opened, work.path)
    assert is_gone(main, work)


@pytest.mark.parametrize("checked_out", [False, True])
def test_a_repository_with_submodules(make_repository: MakeRepository, checked_out: bool) -> None:
    """Git's own removal refuses every worktree of such a repository."""
    make_repository({"lib.c": "int x;\n"}, name="lib")
    main = make_repository({"a": "a"})
    main.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../lib", "lib")
    main.git("commit", "--quiet", "-m", "submodule")
    main.git("branch", "work")
    opened = Repository.discover(main.path)
    place = Place(main.path.parent / "trees" / "one", opened.require_commit("HEAD"), "work", REASON)
    worktrees.add_all(opened, [place])
    work = Checkout(place.path)
    if checked_out:
        work.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
        inner = Checkout(work.path / "lib")
        inner.write({"lib.c": "int mine;\n"})
        with pytest.raises(GroundError, match="uncommitted work"):
            remove(main, work)
        inner.git("checkout", "--quiet", "lib.c")
    remove(main, work)
    assert is_gone(main, work)


def test_a_registration_older_than_a_day(main: Checkout, work: Checkout) -> None:
    """Git writes the note of where a worktree is anew when it is a day old: also from the place of removal."""
    gitdir = worktree_admin.admin_of(work.path) / "gitdir"
    os.utime(gitdir, (1_600_000_000, 1_600_000_000))
    work.write({"new.txt": "x"})
    with pytest.raises(NotRemovable):
        remove(main, work)
    assert gitdir.read_text() == f"{work.path}/.git\n"
    work.write({"new.txt": None})
    os.utime(gitdir, (1_600_000_000, 1_600_000_000))
    remove(main, work)
    assert is_gone(main, work)


_DROPPED = "-dac_override,-dac_read_search,-fowner,-chown"
_REMOVE = """
import sys
from pathlib import Path
from orchestra.errors import GroundError
from orchestra.git.repository import Repository
from orchestra.git.worktree_removal import remove
try:
    remove(Repository.discover(Path(sys.argv[1])), Path(sys.argv[2]), reason=sys.argv[3], keep=Path(sys.argv[4]))
except GroundError as error:
    print(error.message)
"""


def remove_as_ordinary_user(main: Checkout, work: Checkout) -> str:
    """Remove it in a process that permissions apply to; return the refusal."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv")
        prefix = ["setpriv", "--bounding-set", _DROPPED, "--inh-caps", _DROPPED]
    words = [str(main.path), str(work.path), REASON, str(main.path.parent / "keep")]
    command = [*prefix, sys.executable, "-c", _REMOVE, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["out", "build"])
def test_a_folder_that_cannot_be_read_counts_as_work(main: Checkout, work: Checkout, name: str) -> None:
    work.write({f"{name}/result": "a day of work"})
    (work.path / name).chmod(0)
    refusal = remove_as_ordinary_user(main, work)
    (work.path / name).chmod(0o755)
    assert name in refusal
    assert work.path.joinpath(name, "result").read_text() == "a day of work"


def test_files_of_another_user_stop_the_removal_before_anything_is_deleted(main: Checkout, work: Checkout) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    work.write({"build/cache": "x", "build/deep/file": "x"})
    os.chown(work.path / "build/deep", 12345, 12345)
    refusal = remove_as_ordinary_user(main, work)
    assert "another user" in refusal
    assert (work.path / "build/cache").exists()
    assert (work.path / "a.txt").exists()


def test_a_path_too_long_for_git_counts_as_work(main: Checkout, work: Checkout) -> None:
    folder = os.open(work.path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(os.open("work", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    with pytest.raises(GroundError):
        remove(main, work)
    assert work.path.exists()


def test_an_ignored_file_in_a_folder_that_no_rule_ignores_is_kept(main: Checkout, work: Checkout) -> None:
    work.write({"results/run.db": "by hand"})
    removed = remove(main, work)
    assert [path.read_text() for path in removed.kept_files] == ["by hand"]


def test_a_nested_repository_that_git_cannot_open_counts_as_work(main: Checkout, work: Checkout) -> None:
    inner = work.path / "build" / "inner"
    inner.mkdir(parents=True)
    Checkout(inner).git("init", "--quiet")
    Checkout(inner).commit("only here", {"x": "x"})
    (inner / ".git/HEAD").write_text("garbage")
    with pytest.raises(GroundError, match="inner"):
        remove(main, work)
    assert (inner / "x").exists()
