"""The line below the prompt of a Claude Code session in a tmux window: who it is, what it cost, who waits for a person.

The client runs ``hook.py line RUN_FOLDER`` with its ``statusLine`` event and shows what is printed. The same event is
the only report of what a session in a window costs (seen with 2.1.197 and 2.1.330), so it is kept in ``cost.json`` of
the run; of a window that is closed, the cost since the last event is missing. Standard library only: the hook starts
with each change of the line.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from orchestra.files import read_regular, write_atomically
from orchestra.text import format_list, one_line

_COST_FILE = "cost.json"
_WAITING_FILE = "waiting.json"
_MOST_NAMES = 3


def window_line(event: dict[str, Any], run: Path) -> str:
    """Return the line for one event of the client, after its cost was recorded."""
    agent, fleet = run.parents[1], run.parents[3]
    spent = record_cost(event, run)
    policy = _read(agent / "policy.json")
    waiting = [str(name) for name in _read(fleet / _WAITING_FILE).get("agents") or () if name != agent.name]
    parts = [f"{fleet.name}/{agent.name}"]
    if policy.get("scope_text"):
        parts.append(f"scope {format_list(policy['scope_text'], most=_MOST_NAMES)}")
    if spent is not None:
        parts.append(f"{spent:.2f} USD")
    if waiting:
        parts.append(f"waiting for you: {format_list(waiting, most=_MOST_NAMES)} (tmux prefix, then N)")
    return one_line(" · ".join(parts), 300)


def record_cost(event: dict[str, Any], run: Path) -> float | None:
    """Add what was spent since the last event of this run; return the US dollars of the run, None if unreported.

    The client reports the total of its session, which starts with the earlier runs of a resumed session, and at 0 where
    it does not remember them, or after ``/clear``.
    """
    reported = (event.get("cost") or {}).get("total_cost_usd")
    if not isinstance(reported, int | float) or not 0 <= reported < math.inf:
        return window_cost(run)
    before = _read(run / _COST_FILE)
    if "total_usd" in before:
        previous, spent = float(before["total_usd"]), float(before["spent_usd"])
        spent += reported - previous if reported >= previous else reported
    else:
        spent = 0.0 if _read(run / "request.json").get("resume") else float(reported)
    write_atomically(run / _COST_FILE, json.dumps({"total_usd": reported, "spent_usd": spent}))
    return spent


def window_cost(run: Path) -> float | None:
    """Return the US dollars that a run in a window reported, None where it reported nothing."""
    spent = _read(run / _COST_FILE).get("spent_usd")
    return float(spent) if isinstance(spent, int | float) and 0 <= spent < math.inf else None


def write_waiting(fleet: Path, agents: list[str]) -> None:
    """Note which agents wait for a person, for the lines of all windows."""
    write_atomically(fleet / _WAITING_FILE, json.dumps({"agents": agents}))


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, an empty one where it is missing or unreadable."""
    try:
        value = json.loads(read_regular(path) or b"null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
