"""Disk errors at every point where a command changes something: a message, and the next run ends well.

Each operation of the command's own process fails once with EIO, ENOSPC, EROFS or EACCES. By default a random choice of
points; ORCHESTRA_ALL_POINTS=1 takes all of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.faults.fleets import (
    AGENTS,
    ROOT,
    DiskFleet,
    approved,
    cleaned,
    copy_fleet,
    dirty,
    landed,
    make_fleet,
    with_own_branch,
    worked,
)
from tests.kill_points import chosen_points, count_points, run_failing

ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES)
COMMANDS: dict[str, tuple[Callable[[Path], DiskFleet], tuple[str, ...], int]] = {
    "spawn": (make_fleet, ("spawn",), 0),
    "approve": (worked, ("approve", "one"), 0),
    "merge": (approved, ("merge",), 1),  # 1: one agent's work fails the gate
    "clean": (landed, ("clean",), 0),
    "restore": (cleaned, ("restore", "one"), 0),
    "spawn --fresh": (dirty, ("spawn", "--fresh"), 0),
    "adopt": (with_own_branch, ("adopt", "mine"), 0),
    "request-changes": (worked, ("request-changes", "one", "smaller"), 0),
    "discard": (worked, ("discard", "one", "not needed"), 0),
}
SAMPLE = 4
LONG = pytest.mark.timeout(3600 if os.environ.get("ORCHESTRA_ALL_POINTS") else 240)
_numbers = count(1)


def count_changes(fleet: DiskFleet, words: tuple[str, ...], code: int) -> int:
    """Count the operations of an undisturbed run, which ends with ``code``."""
    argv = fleet.argv(*words)
    # merge ends with 1 here; a shell makes that 0 for the counter
    return count_points(["sh", "-c", f'"$@"; test $? -eq {code}', "sh", *argv], ROOT, ENVIRONMENT)


@LONG
@pytest.mark.parametrize("command", COMMANDS)
def test_a_failing_operation_is_reported_and_the_next_run_ends_well(command: str, tmp_path: Path) -> None:
    make, words, code = COMMANDS[command]
    start = make(tmp_path / "start")
    undisturbed = copy_fleet(start, tmp_path / "undisturbed")
    points = count_changes(undisturbed, words, code)
    for number, point in enumerate(chosen_points(points, SAMPLE)):
        error = ERRORS[number % len(ERRORS)]
        fleet = copy_fleet(start, tmp_path / f"failing-{next(_numbers)}")
        run = run_failing(fleet.argv(*words), ROOT, point, error, env=ENVIRONMENT)
        where = f"{errno.errorcode[error]} at point {point} of {points}: {run}"
        assert run.code in (0, 1, 3), where
        assert "Traceback" not in run.output, where
        assert "unexpected" not in run.output, where
        for agent in AGENTS:
            assert_no_loss(fleet, start, agent, where)
        assert fleet.holds_precious() or not start.holds_precious(), where
        again = fleet.run(*words)
        assert again.returncode == code, f"{where}\nthen: {again.stderr}"
        assert fleet.state() == undisturbed.state(), where


def assert_no_loss(fleet: DiskFleet, start: DiskFleet, agent: str, where: str) -> None:
    """Check that every commit of the agent is reachable."""
    branch = f"agent/web/{agent}"
    tip = start.git("rev-parse", "--quiet", "--verify", branch, check=False)
    if tip:
        refs = fleet.git("for-each-ref", "--contains", tip, "--format=%(refname)")
        held = [name for name in refs.splitlines() if name]
        landed_ref = fleet.git("rev-parse", "--quiet", "--verify", f"refs/orchestra/web/{agent}/landed", check=False)
        assert held or landed_ref, where
