"""A power cut during merge and clean: a file system as the disk had it at that instant, and the next run on it.

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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.fleets import AGENTS, ROOT, DiskFleet, approved, copy_fleet, landed
from tests.faults.test_errors import ENVIRONMENT, count_changes
from tests.kill_points import run_killed

CUTS = int(os.environ.get("ORCHESTRA_POWER_CUTS", "2"))
COMMANDS: dict[str, tuple[Callable[[Path], DiskFleet], int]] = {"merge": (approved, 1), "clean": (landed, 0)}
IMAGE_BYTES = 150 << 20
SHUT_DOWN, WITHOUT_FLUSH = 0x8004587D, 2  # FS_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
PATIENCE_S = 15.0


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
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and mkfs.ext4")
def test_a_power_cut_loses_nothing_and_the_next_run_finishes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRA_NO_SYNC", raising=False)  # other tests skip what is tested here
    image, mount = tmp_path / "disk.img", tmp_path / "mount"
    make_file_system(image)
    with mounted(image, mount):
        pass  # skip before the long part where it cannot be done
    make, code = COMMANDS[command]
    start = make(tmp_path / "start")
    undisturbed = copy_fleet(start, tmp_path / "undisturbed")
    total = count_changes(undisturbed, (command,), code)
    seed = int(os.environ.get("ORCHESTRA_POINTS_SEED") or secrets.randbelow(1 << 30))
    points = random.Random(seed).sample(range(1, total + 1), min(total, CUTS))  # noqa: S311 - a draw
    print(f"ORCHESTRA_POINTS_SEED={seed} takes these points again")
    for point in points:
        cut_at(point, command, start, image, mount)
        where = f"{command} cut at point {point} of {total}"
        check = run("e2fsck", "-fy", image)
        assert check.returncode in (0, 1), f"{where}: {check.stdout!r}"
        with mounted(image, mount):
            fleet = DiskFleet(mount / "fleet")
            check_after_the_cut(fleet, start, where)
            again = fleet.run(command)
            assert again.returncode == code, f"{where}\n{again.stdout}{again.stderr}"
            assert fleet.state() == undisturbed.state(), f"{where}\n{again.stdout}{again.stderr}"


def make_file_system(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", image).check_returncode()


def cut_at(point: int, command: str, start: DiskFleet, image: Path, mount: Path) -> None:
    """Run the command on a copy of ``start`` in a new file system, and cut the power at a point."""
    make_file_system(image)
    with mounted(image, mount):
        fleet = copy_fleet(start, mount / "fleet")
        os.sync()
        code = COMMANDS[command][1]
        words = ["sh", "-c", f'"$@"; test $? -eq {code}', "sh", *fleet.argv(command)]
        run_killed(words, ROOT, point, env=ENVIRONMENT)
        handle = os.open(mount, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)


def check_after_the_cut(fleet: DiskFleet, start: DiskFleet, where: str) -> None:
    """Check that the target and every ref are whole, and that the uncommitted work is in its folder or in a ref."""
    for ref in ["refs/heads/main", *fleet.git("for-each-ref", "--format=%(refname)").splitlines()]:
        done = run("git", "-C", fleet.repository, "rev-list", "--objects", "--quiet", ref)
        assert done.returncode == 0, f"{where}: {ref}: {done.stderr.decode(errors='replace')}"
    for agent in AGENTS:
        work = start.worktree(agent) / "precious.txt"
        if not work.exists():
            continue
        copies = [path.read_text("utf-8") for path in (fleet.folder / "worktrees").rglob("precious.txt")]
        saved = fleet.git("for-each-ref", "--format=%(refname)", f"refs/orchestra/web/{agent}/saved").splitlines()
        copies += [fleet.git("show", f"{ref}:precious.txt", check=False) + "\n" for ref in saved]
        assert work.read_text("utf-8") in copies, where
