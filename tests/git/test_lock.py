"""One writer at a time, and a dead one is no obstacle."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.errors import LockHeld
from orchestra.git.lock import exclusive

_HOLD = """
import sys
from pathlib import Path
from orchestra.git.lock import exclusive
with exclusive(Path(sys.argv[1]), "merge"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_says_who_works_here(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockHeld) as caught, exclusive(tmp_path, "spawn"):
        pass
    assert f"orchestra merge (process {holder.pid}" in str(caught.value)
    holder.communicate()
    with exclusive(tmp_path, "spawn"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with exclusive(tmp_path, "spawn"):
        assert "spawn" in (tmp_path / "lock.holder").read_text()
    assert not (tmp_path / "lock.holder").exists()


def test_a_holder_file_with_garbage_is_survived(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    (tmp_path / "lock.holder").write_text("{half")
    with pytest.raises(LockHeld, match="has just started"), exclusive(tmp_path, "spawn"):
        pass
    holder.communicate()


def test_a_wait_of_more_than_a_second_is_announced_with_the_holder(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    said: list[str] = []
    with pytest.raises(LockHeld), exclusive(tmp_path, "approve", wait_s=1.2, announce=said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith(f"waiting for orchestra merge (process {holder.pid}, for ")
    with pytest.raises(LockHeld), exclusive(tmp_path, "approve", wait_s=0.2, announce=said.append):
        pass
    assert len(said) == 1
    holder.communicate()


def test_a_lock_that_becomes_free_while_waited_for_is_taken(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    said: list[str] = []

    def announce(text: str) -> None:
        said.append(text)
        holder.terminate()

    with exclusive(tmp_path, "approve", wait_s=30, announce=announce):
        assert holder.wait() == -signal.SIGTERM
    assert len(said) == 1
