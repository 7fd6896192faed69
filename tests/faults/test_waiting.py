"""What a command waits for is on standard error after about a second: here a lock that another process holds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.fleets import ROOT, DiskFleet, approved, worked

_HOLD = """
import sys
from pathlib import Path
from orchestra.git.lock import exclusive
with exclusive(Path(sys.argv[1]), "spawn"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(fleet: DiskFleet) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock of the fleet's repository, until its standard input is closed."""
    folder = fleet.repository / ".git" / "orchestra"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def waited_for(holder: subprocess.Popen[str]) -> str:
    return f"waiting for orchestra spawn (process {holder.pid}, for "


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_verdict_says_whom_it_waits_for_and_gives_up(tmp_path: Path, more: tuple[str, ...]) -> None:
    fleet = worked(tmp_path / "start")
    with held(fleet) as holder:
        run = fleet.run("approve", "one", *more)
        assert run.returncode == 3, run.stderr
        waiting, error, hint = run.stderr.splitlines()
        assert waiting.startswith(waited_for(holder))
        assert f"is held by orchestra spawn (process {holder.pid}" in error
        assert hint.startswith("hint: ")
        assert run.stdout == ""
    assert fleet.run("approve", "one", *more).returncode == 0


@pytest.mark.parametrize("more", [(), ("--json",), ("--events",)])
def test_a_train_says_whom_it_waits_for_and_goes_on(tmp_path: Path, more: tuple[str, ...]) -> None:
    fleet = approved(tmp_path / "start")
    with held(fleet) as holder:
        merge = subprocess.Popen(
            fleet.argv("merge", "one", *more),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert merge.stderr is not None
        said = []
        for line in merge.stderr:
            said.append(line)
            text = json.loads(line)["text"] if "--events" in more else line
            if text.startswith(waited_for(holder)):
                break
        else:
            pytest.fail(f"no wait is reported: {said}")
    merge.stderr.read()
    merge.stderr.close()
    assert merge.wait() == 0, said
    assert fleet.git("rev-parse", "--verify", "refs/orchestra/web/one/landed")
