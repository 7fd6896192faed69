"""``clean --gates``: gate slots go, never one in use, and the next train makes them again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestra.errors import LockHeld
from orchestra.git.lock import exclusive
from orchestra.train.slot_removal import plan_slot_removal, remove_slots
from orchestra.workspace.paths import slots_root
from orchestra.workspace.ports import slot_ports, slot_records
from tests.train.train_fixture import RunGate, TrainFixture, landed


@pytest.fixture
def used(train: TrainFixture) -> TrainFixture:
    """A fleet whose first agent landed through a gate slot that holds what its set-up made."""
    train.gates(RunGate("tests", "true")).setup(run=("dd if=/dev/zero of=made bs=1000 count=200 2>/dev/null",))
    assert landed(train.approved(one={"a": "1\n"}).merge()) == ["one"]
    assert (slots_root(train.fleet) / "1" / "made").exists()
    return train


def registered(train: TrainFixture) -> str:
    return train.checkout.git("worktree", "list", "--porcelain")


def test_slots_go_with_their_registration_and_come_back(used: TrainFixture) -> None:
    root = slots_root(used.fleet)
    plan = plan_slot_removal(used.fleet)
    assert root.exists()  # planning changes nothing
    done = remove_slots(used.fleet)
    assert (done.lines(), done.freed_bytes) == (plan.lines(), plan.freed_bytes)
    assert done.lines() == [f"git worktree remove {root / '1'}"]
    assert 200_000 <= done.freed_bytes < 400_000
    assert not root.exists()
    assert str(root) not in registered(used)
    assert remove_slots(used.fleet).lines() == []
    assert landed(used.approved(two={"b": "2\n"}).merge()) == ["two"]


def test_a_slot_in_use_stays_with_its_user(used: TrainFixture) -> None:
    user = subprocess.Popen([sys.executable, "-c", "input()"], cwd=slots_root(used.fleet) / "1", stdin=subprocess.PIPE)
    try:
        for removal in (plan_slot_removal(used.fleet), remove_slots(used.fleet)):
            assert [slot.reason for slot in removal.slots] == [f"in use by process {user.pid} ({_name(user.pid)})"]
            assert (removal.lines(), removal.freed_bytes) == ([], 0)
        assert (slots_root(used.fleet) / "1" / "made").exists()
    finally:
        user.kill()
        user.communicate()
    assert len(remove_slots(used.fleet).removed) == 1


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()


def test_nothing_is_removed_while_a_train_runs(used: TrainFixture) -> None:
    with exclusive(used.fleet.repository.state_folder / "train", "merge"):
        for act in (plan_slot_removal, remove_slots):
            with pytest.raises(LockHeld, match="orchestra merge"):
                act(used.fleet)
    assert (slots_root(used.fleet) / "1" / "made").exists()


def test_a_dry_run_leaves_the_lock_as_it_was(used: TrainFixture) -> None:
    folder = used.fleet.repository.state_folder / "train"
    plan_slot_removal(used.fleet)
    with exclusive(folder, "merge"):
        pass


def test_what_orchestra_did_not_make_stays(used: TrainFixture) -> None:
    root = slots_root(used.fleet)
    (root / "mine").mkdir()
    (root / "mine" / "work").write_text("unsaved\n", "utf-8")
    used.checkout.git("worktree", "add", "-q", "--detach", str(root / "9"))
    done = remove_slots(used.fleet)
    stays = {slot.path.name: slot.reason for slot in done.slots if slot.reason}
    assert stays == dict.fromkeys(("9", "mine"), "orchestra did not make it for this repository")
    assert [slot.path.name for slot in done.removed] == ["1"]
    assert (root / "mine" / "work").read_text("utf-8") == "unsaved\n"


def test_a_slot_whose_folder_is_gone_is_settled(used: TrainFixture) -> None:
    root = slots_root(used.fleet)
    used.checkout.git("worktree", "unlock", str(root / "1"))  # as a removal that was killed leaves it
    subprocess.run(["rm", "-rf", root / "1"], check=True)
    assert len(remove_slots(used.fleet).removed) == 1
    assert str(root) not in registered(used)
    assert not root.exists()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_killed_removal_continues(used: TrainFixture, after_s: float) -> None:
    pid = os.fork()
    if pid == 0:
        remove_slots(used.fleet)
        os._exit(0)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    remove_slots(used.fleet)
    assert not slots_root(used.fleet).exists()
    assert "gates" not in registered(used)
    assert used.checkout.git("fsck", "--no-dangling") == ""
    assert landed(used.approved(two={"b": "2\n"}).merge()) == ["two"]


def test_a_gate_sees_the_ports_of_its_slot_until_the_slots_are_removed(used: TrainFixture, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    used.gates(RunGate("tests", f'echo "$WEB $URL" >>{seen}')).setup(ports=("WEB",), env={"URL": "x:{{ ports.WEB }}"})
    assert landed(used.approved(two={"b": "2\n"}).merge()) == ["two"]
    port = slot_ports(used.fleet, 1)["WEB"]
    assert seen.read_text("utf-8") == f"{port} x:{port}\n"
    assert slot_records(used.fleet).exists()
    remove_slots(used.fleet)
    assert not slot_records(used.fleet).exists()
