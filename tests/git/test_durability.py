"""Power cuts: what a command reported as done is on the disk when it returns.

The repository lives on an ext4 image that is mounted without writing anything more than the kernel was told to; the
image file, copied right after the command, is the disk after a power cut.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestra.git.refs import CommitId, RefName, RefUpdate, update
from orchestra.git.repository import Repository
from orchestra.git.unsaved_work import keep_snapshot, take_snapshot
from orchestra.git.worktree_admin import lock_reason
from orchestra.git.worktree_removal import remove
from orchestra.git.worktrees import Place, add_all
from tests.conftest import Checkout

REASON = "agent a of fleet demo"
SAVED = RefName("refs/orchestra/demo/a/saved/1")


def _can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or shutil.which("e2fsck") is None:
        return False
    return subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="needs root, loop devices and e2fsprogs")


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount an image here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    return path


@pytest.fixture
def disk(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """A repository on the image, on the medium already."""
    monkeypatch.delenv("ORCHESTRA_NO_SYNC", raising=False)
    with mounted(image, tmp_path / "disk") as folder:
        (folder / "repo").mkdir()
        checkout = Checkout(folder / "repo")
        checkout.git("init", "--quiet")
        checkout.commit("start", {"a": "a\n"})
        os.sync()
        yield checkout


def commit_names(disk: Checkout) -> None:
    """Sync a file of another program: all names are on the disk then, and no contents."""
    with (disk.path.parent / "another").open("w") as another:
        os.fsync(another.fileno())


@contextmanager
def after_a_power_cut(image: Path, tmp_path: Path) -> Iterator[Checkout]:
    copy = tmp_path / "copy"
    shutil.copyfile(image, copy)
    subprocess.run(["e2fsck", "-fy", copy], capture_output=True, check=False)
    with mounted(copy, tmp_path / "after") as folder:
        yield Checkout(folder / "repo")


def test_saved_work_survives_the_removal_of_its_worktree(disk: Checkout, image: Path, tmp_path: Path) -> None:
    repository = Repository.discover(disk.path)
    path = disk.path.parent / "worktrees" / "a"
    disk.git("branch", "work")
    add_all(repository, [Place(path, CommitId(disk.git("rev-parse", "work")), "work", REASON)])
    (path / "precious").write_text("a day of work\n" * 1000)
    snapshot = take_snapshot(path)
    keep_snapshot(path, snapshot, SAVED, "work")
    remove(repository, path, reason=REASON, keep=disk.path / ".git/kept", saved=snapshot)
    with after_a_power_cut(image, tmp_path) as after:
        assert after.read("precious", at=SAVED).startswith("a day of work")
        assert after.git("fsck", "--strict") == ""


def test_a_moved_ref_and_its_objects_are_on_the_disk(disk: Checkout, image: Path, tmp_path: Path) -> None:
    old = CommitId(disk.git("rev-parse", "main"))
    disk.git("checkout", "-q", "-b", "work")
    new = CommitId(disk.commit("unsynced work of an agent", {"b": "b\n" * 1000}))
    git = Repository.discover(disk.path).git
    update(git, [RefUpdate(RefName("refs/heads/main"), new, old)], reason="land")
    with after_a_power_cut(image, tmp_path) as after:
        assert after.git("rev-parse", "main") == new
        assert after.read("b", at="main").startswith("b\n")


def test_work_is_saved_whole_after_a_power_cut_while_it_was_saved(disk: Checkout, image: Path, tmp_path: Path) -> None:
    (disk.path / "precious").write_text("a day of work\n" * 1000)
    os.sync()
    take_snapshot(disk.path)
    commit_names(disk)
    with after_a_power_cut(image, tmp_path) as after:
        keep_snapshot(after.path, take_snapshot(after.path), SAVED, "work")
        assert after.git("fsck", "--strict") == ""
        assert after.read("precious", at=SAVED).startswith("a day of work")


def test_a_new_worktree_is_known_as_what_it_is_after_a_power_cut(disk: Checkout, image: Path, tmp_path: Path) -> None:
    repository = Repository.discover(disk.path)
    disk.git("branch", "work")
    path = disk.path.parent / "worktrees" / "a"
    add_all(repository, [Place(path, CommitId(disk.git("rev-parse", "work")), "work", REASON)])
    commit_names(disk)
    with after_a_power_cut(image, tmp_path) as after:
        (admin,) = (after.path / ".git/worktrees").iterdir()
        assert lock_reason(admin) == REASON
        assert (admin / "HEAD").read_text() == "ref: refs/heads/work\n"
