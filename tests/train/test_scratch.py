"""The folder for temporary files that gates get: short, their own, and gone afterwards."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.blueprint.model import Regenerate, RunGate
from orchestra.git import worktree_admin
from orchestra.workspace.paths import slots_root
from tests.train.train_fixture import TrainFixture, landed


def test_a_gate_can_open_a_socket_there_however_deep_the_worktrees_are(train: TrainFixture) -> None:
    """The name of a UNIX socket has 107 bytes at most (unix(7)); a folder below the slot's may be longer."""
    deep = train.checkout.path.parent / ("deep-" * 10) / ("deeper-" * 10)
    opens = "import os, socket; socket.socket(socket.AF_UNIX).bind(os.environ['TMPDIR'] + '/s')"
    train.gates(RunGate("tests", f'{sys.executable} -c "{opens}"')).approved(one={"a": "1\n"})
    train.blueprint(worktrees=replace(train.fleet.blueprint.worktrees, root=str(deep)))
    assert landed(train.merge()) == ["one"]
    assert slots_root(train.fleet).is_relative_to(deep)


def test_what_gates_leave_there_goes_also_after_a_kill(train: TrainFixture, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    train.gates(RunGate("tests", f'echo "$TMPDIR" >>{seen}; touch "$TMPDIR/left"')).approved(one={"a": "1\n"})
    left = Path(tempfile.mkdtemp(prefix="orchestra-slot-"))
    slots = slots_root(train.fleet)
    slots.mkdir(parents=True)
    (slots / "1.tmp").symlink_to(left)  # as a killed train leaves it
    assert landed(train.merge()) == ["one"]
    assert not Path(seen.read_text("utf-8").strip()).exists()
    assert not left.exists()
    assert not (slots / "1.tmp").is_symlink()


def test_a_link_to_somewhere_else_is_not_followed(train: TrainFixture, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "work").write_text("unsaved\n", "utf-8")
    slot = slots_root(train.fleet) / "1.tmp"
    train.gates(RunGate("tests", f"ln -sfn {precious} {slot}")).approved(one={"a": "1\n"}, two={"b": "2\n"})
    assert landed(train.merge()) == ["one", "two"]
    assert (precious / "work").read_text("utf-8") == "unsaved\n"


def test_nothing_of_a_train_stays_in_the_temporary_folder(
    train: TrainFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of gates nor of what makes a conflicted file anew."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    train.merge_settings(conflicts={"made": Regenerate('touch "$TMPDIR/left"; cat *.in >made')})
    train.approved(one={"made": "1\n", "1.in": "1\n"}, two={"made": "2\n", "2.in": "2\n"})
    assert landed(train.merge()) == ["one", "two"]
    assert train.checkout.read("made") == "1\n2"
    assert list(temporary.iterdir()) == []
    assert [link.name for link in slots_root(train.fleet).iterdir() if link.is_symlink()] == []


def test_what_only_root_may_delete_there_stops_nobody(train: TrainFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that starts containers leaves such files; the next candidate gets another folder."""
    delete = worktree_admin.delete

    def refuse(folder: Path) -> None:
        if folder.name.startswith("orchestra-slot-"):
            raise PermissionError(13, "Permission denied", str(folder))
        delete(folder)

    monkeypatch.setattr(worktree_admin, "delete", refuse)
    train.gates(RunGate("tests", 'test -z "$(ls "$TMPDIR")" && touch "$TMPDIR/left"'))
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    assert landed(train.merge()) == ["one", "two"]
