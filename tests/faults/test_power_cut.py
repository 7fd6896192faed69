"""A power cut during a command: a file system as the disk had it at that instant, and the next run on it.

The fleet is on an ext4 image behind a loop device. The command is killed at a point, and the file system is shut down
at once without a flush of its journal (FS_IOC_SHUTDOWN): what was not on the disk is lost, as in a power cut.
ORCHESTRA_POWER_CUTS=50 draws that many points of each command.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.fleets import (
    ROOT,
    DiskFleet,
    approved,
    cleaned,
    copy_fleet,
    dirty,
    landed,
    with_own_branch,
)
from tests.faults.test_errors import ENVIRONMENT, count_changes
from tests.kill_points import find_point, run_killed

CUTS = int(os.environ.get("ORCHESTRA_POWER_CUTS", "2"))
COMMANDS: dict[str, tuple[Callable[[Path], DiskFleet], int]] = {
    "merge": (approved, 1),
    "clean": (landed, 0),
    "restore one": (cleaned, 0),
    "spawn --fresh": (dirty, 0),
    "adopt mine": (with_own_branch, 0),
}
IMAGE_BYTES = 150 << 20
SHUT_DOWN, WITHOUT_FLUSH = 0x8004587D, 2  # FS_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
PATIENCE_S = 15.0
NEEDS_AN_IMAGE = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and mkfs.ext4"
)


def run(*words: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(word) for word in words], capture_output=True, check=False)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image at a folder; skip the test where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    # commit=300: nothing reaches the disk because time has passed
    done = run("mount", "-o", "loop,commit=300", image, folder)
    if done.returncode:
        pytest.skip(f"no loop mount here: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield folder
    finally:
        last = time.monotonic() + PATIENCE_S
        while (done := run("umount", folder)).returncode and time.monotonic() < last:
            time.sleep(0.1)  # a process that the killed command started may need a moment to end
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240 + 60 * CUTS)
@pytest.mark.parametrize("command", COMMANDS)
@NEEDS_AN_IMAGE
def test_a_power_cut_loses_nothing_and_the_next_run_finishes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRA_NO_SYNC", raising=False)  # other tests skip what is tested here
    mount = tmp_path / "mount"
    with mounted(make_file_system(tmp_path), mount):
        pass  # skip before the long part where it cannot be done
    make, code = COMMANDS[command]
    start = make(tmp_path / "start")
    undisturbed = copy_fleet(start, tmp_path / "undisturbed")
    total = count_changes(undisturbed, tuple(command.split()), code)
    seed = int(os.environ.get("ORCHESTRA_POINTS_SEED") or secrets.randbelow(1 << 30))
    points = random.Random(seed).sample(range(1, total + 1), min(total, CUTS))  # noqa: S311 - a draw
    print(f"ORCHESTRA_POINTS_SEED={seed} takes these points again")
    for point in points:
        image = cut_at(point, command, start, mount)
        where = f"{command} cut at point {point} of {total}"
        check = run("e2fsck", "-fy", image)
        assert check.returncode in (0, 1), f"{where}: {check.stdout!r}"
        with mounted(image, mount):
            fleet = DiskFleet(mount / "fleet")
            check_after_the_cut(fleet, start, where)
            again = fleet.run(*command.split())
            assert again.returncode == code, f"{where}\n{again.stdout}{again.stderr}"
            assert fleet.state() == undisturbed.state(), f"{where}\n{again.stdout}{again.stderr}"


@NEEDS_AN_IMAGE
def test_files_that_restore_brought_back_are_on_the_disk_before_their_copies_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRA_NO_SYNC", raising=False)
    mount = tmp_path / "mount"
    start = cleaned(tmp_path / "start")
    calm = copy_fleet(start, tmp_path / "calm")
    removal = find_point(calm.argv("restore", "one"), ROOT, "os.remove", "kept/precious.key")
    image = cut_at(removal, "restore one", start, mount, commits_names=True)
    run("e2fsck", "-fy", image)
    with mounted(image, mount):
        fleet = DiskFleet(mount / "fleet")
        assert not list(fleet.repository.rglob("kept/precious.env"))
        check_after_the_cut(fleet, start, "after the removal of the kept file")


def make_file_system(folder: Path) -> Path:
    """Return a new file in ``folder`` that holds an empty ext4 file system."""
    handle, image = tempfile.mkstemp(suffix=".img", dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", image).check_returncode()
    return Path(image)


def cut_at(point: int, command: str, start: DiskFleet, mount: Path, *, commits_names: bool = False) -> Path:
    """Run the command on a copy of ``start`` in a new file system, cut the power at a point, and return the disk.

    The disk is a copy of the image: another process's mount namespace (a sandbox that started meanwhile) may keep the
    image itself mounted after ``umount``, and to mount it again would show the file system that was shut down.

    ``commits_names``: another program syncs a file of its own just before. That commits the file system's journal, so
    that all names and removals are on the disk, and the contents of new files are not.
    """
    image = make_file_system(mount.parent)
    with mounted(image, mount):
        fleet = copy_fleet(start, mount / "fleet")
        os.sync()
        code = COMMANDS[command][1]
        words = ["sh", "-c", f'"$@"; test $? -eq {code}', "sh", *fleet.argv(*command.split())]
        run_killed(words, ROOT, point, env=ENVIRONMENT)
        if commits_names:
            with (mount / "another").open("wb") as another:
                another.write(b"another")
                another.flush()
                os.fsync(another.fileno())
        handle = os.open(mount, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)
    disk = image.with_suffix(".disk")
    run("cp", "--sparse=always", image, disk).check_returncode()
    image.unlink()
    return disk


def check_after_the_cut(fleet: DiskFleet, start: DiskFleet, where: str) -> None:
    """Check that the target and every ref are whole, and that the uncommitted work is in its folder or in a ref."""
    for ref in ["refs/heads/main", *fleet.git("for-each-ref", "--format=%(refname)").splitlines()]:
        done = run("git", "-C", fleet.repository, "rev-list", "--objects", "--quiet", ref)
        assert done.returncode == 0, f"{where}: {ref}: {done.stderr.decode(errors='replace')}"
    assert fleet.holds_precious() or not start.holds_precious(), where
