"""The ledger remembers, in the order things happened, for many writers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestra.ledger import Ledger

_WRITE = """
import sys
from pathlib import Path
from orchestra.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(20):
    ledger.record("gate.passed", sys.argv[2], number=number)
"""


def test_events_come_back_as_recorded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.events() == []
    ledger.record("verdict.approved", "schema", commit="abc", nested={"a": [1, None, True]})
    ledger.record("verdictless", None)
    ledger.record("verdict.discarded", "api", reason="ünï\n'")
    assert [event.kind for event in ledger.events("verdict")] == ["verdict.approved", "verdict.discarded"]
    assert ledger.events(agent="schema")[0].data == {"commit": "abc", "nested": {"a": [1, None, True]}}


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITE, str(tmp_path), f"agent-{n}"]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    events = Ledger(tmp_path).events("gate")
    assert len(events) == 80
    for number in range(4):
        own = [event.data["number"] for event in events if event.agent == f"agent-{number}"]
        assert own == list(range(20))


def _damage(path: Path, kind: str) -> None:
    if kind == "garbage":
        path.write_bytes(bytes(range(256)) * 80)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(path, 6000)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        db = sqlite3.connect(path)
        db.executescript("DROP TABLE events; CREATE TABLE events (a)")
        db.close()


@pytest.mark.parametrize("kind", ["garbage", "empty", "truncated", "folder", "other schema"])
def test_a_damaged_ledger_costs_history_and_nothing_else(tmp_path: Path, kind: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.record("gate", "a", number=1)
    for name in ("-wal", "-shm"):
        Path(f"{ledger.path}{name}").unlink(missing_ok=True)
    _damage(ledger.path, kind)
    assert ledger.events() == []
    ledger.record("gate", "a", number=2)
    assert [event.data["number"] for event in ledger.events()] == [2]
    assert list(tmp_path.glob("ledger.damaged-*.db"))


def test_rows_that_orchestra_did_not_write_are_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record("gate", "a", number=1)
    db = sqlite3.connect(ledger.path)
    rows = [
        (1e400, "gate", "a", "{}"),
        (1.0, "gate", "a", "not json"),
        (1.0, "gate", "a", "[]"),
        ("x", "gate", 5, "{}"),
    ]
    with db:
        db.executemany("INSERT INTO events (at, kind, agent, data) VALUES (?, ?, ?, ?)", rows)
    db.close()
    assert [event.data for event in ledger.events()] == [{"number": 1}]


def test_a_locked_ledger_loses_the_event_and_waits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra.ledger._PATIENCE_S", 0.2)
    ledger = Ledger(tmp_path)
    ledger.record("gate", "a", number=1)
    db = sqlite3.connect(ledger.path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    for _ in range(20):
        ledger.record("gate", "a", number=2)
    db.close()
    assert time.monotonic() - started < 2
    assert [event.data["number"] for event in ledger.events()] == [1]


def test_a_wait_for_a_locked_ledger_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra.ledger._SILENT_S", 0.1)
    ledger = Ledger(tmp_path)
    ledger.record("gate", "a", number=1)
    db = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    announced: list[str] = []

    def release(text: str) -> None:
        announced.append(text)
        db.close()

    monkeypatch.setattr(Ledger, "announce", release)
    ledger.record("gate", "a", number=2)
    assert announced == [
        f"waiting for {ledger.path}, which another process has locked, for at most 10 s; "
        "without it the history lacks this event"
    ]
    assert [event.data["number"] for event in ledger.events()] == [1, 2]
