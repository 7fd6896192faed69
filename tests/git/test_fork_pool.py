"""Work shared out to forked writers: all of it, errors with their place, and nobody left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.errors import DiskFull, GroundError
from orchestra.git.fork_pool import run_forked

ROOT = Path(__file__).resolve().parents[2]


def test_every_number_is_worked_on_once(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        (tmp_path / str(number)).touch(exist_ok=False)
        return number % 3 > 0

    assert sorted(run_forked(50, work, tmp_path)) == [number for number in range(50) if number % 3]
    assert len(list(tmp_path.iterdir())) == 50


def test_nothing_to_do(tmp_path: Path) -> None:
    assert list(run_forked(0, lambda _: True, tmp_path)) == []


def test_a_full_disk_is_a_full_disk(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match=str(tmp_path)):
        list(run_forked(3, work, tmp_path))


def test_an_error_names_its_file(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        return bool(os.open(tmp_path / "ünï" / ("x" * 200), os.O_RDONLY))

    with pytest.raises(GroundError, match=r"ünï.*No such file"):
        list(run_forked(3, work, tmp_path))


def test_a_fault_of_ours_is_told(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        raise KeyError("a fault")

    with pytest.raises(GroundError, match="KeyError: 'a fault'"):
        list(run_forked(3, work, tmp_path))


def test_a_writer_that_is_killed_is_noticed(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    with pytest.raises(GroundError, match="was killed"):
        list(run_forked(8, work, tmp_path))


def test_who_stops_early_leaves_no_writer(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        (tmp_path / str(os.getpid())).touch()
        if number > 1:
            signal.pause()
        return True

    with contextlib.closing(run_forked(8, work, tmp_path)) as numbers:
        assert next(numbers) in (0, 1)
    for entry in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(entry.name), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a writer looks between two orders")
def test_writers_die_with_their_owner(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from orchestra.git.fork_pool import share_out
def work(number):
    os.write(1, b"%d\\n" % os.getpid())
    signal.pause()
list(share_out(2, work, Path(".")))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=tmp_path) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
        owner.wait()
        # The pipe ends when the last process that holds it is gone: a writer that lived on would hold us here.
        owner.stdout.read()
