"""The disk that a fleet uses, as ``status --disk`` shows it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestra.cli.disk_table import print_disk
from orchestra.git.refs import saved_ref
from orchestra.git.unsaved_work import save_uncommitted
from orchestra.workspace.disk_usage import measure_disk, measure_folder
from orchestra.workspace.paths import slots_root
from tests.workspace.conftest import MakeHome, run_spawn
from tests.workspace.worlds import BLUEPRINT


def du(folder: Path) -> int:
    """Return the bytes below a folder as du(1) counts them, without the folder's own."""
    counted = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, check=True, text=True).stdout
    return int(counted.split()[0]) - folder.stat().st_blocks * 512


def test_a_folder_takes_what_du_counts(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below" / "deep").mkdir(parents=True)
    (folder / "a").write_bytes(os.urandom(10_000))
    (folder / "below" / "b").write_bytes(b"x")
    os.link(folder / "a", folder / "below" / "same")
    (folder / "below" / "sparse").write_bytes(b"")
    os.truncate(folder / "below" / "sparse", 10_000_000)
    (folder / "out").symlink_to("/usr", target_is_directory=True)
    measured = measure_folder(folder)
    assert (measured.bytes, measured.unreadable) == (du(folder), 0)
    assert measure_folder(tmp_path / "missing").bytes == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every folder")
def test_a_folder_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert measure_folder(tmp_path).unreadable == 1


def test_worktrees_slots_and_saved_work_are_measured(make: MakeHome, capsys: pytest.CaptureFixture[str]) -> None:
    home = make(BLUEPRINT)
    fleet = home.fleet()
    before = measure_disk(fleet)
    assert [(agent.worktree, agent.saved) for agent in before.agents] == [(None, 0)] * len(before.agents)
    assert (before.slots, before.used_bytes) == ((), 0)
    run_spawn(home)
    (slots_root(fleet) / "1").mkdir(parents=True)
    (slots_root(fleet) / "1" / "file").write_bytes(os.urandom(5_000))
    (slots_root(fleet) / "1.owner").write_text("not a slot\n")
    first, *_ = fleet.blueprint.agents
    (fleet.worktree(first) / "work").write_bytes(os.urandom(100_000))
    save_uncommitted(fleet.worktree(first), saved_ref(fleet.name, first.name, 1), "saved")
    usage = measure_disk(fleet)
    row = usage.agents[0]
    assert row.worktree is not None
    assert row.worktree.bytes == du(fleet.worktree(first))
    assert row.saved == 1
    assert 100_000 < (row.saved_bytes or 0) < 120_000
    assert [slot.path.name for slot in usage.slots] == ["1"]
    assert usage.used_bytes > 200_000
    assert usage.free_bytes > 0
    print_disk(fleet, usage)
    printed = capsys.readouterr().out
    assert "gate slot 1" in printed
    assert f"are free in {fleet.worktrees_root}" in printed
