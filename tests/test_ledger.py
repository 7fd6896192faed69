"""The ledger remembers, in the order things happened, for many writers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
