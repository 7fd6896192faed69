"""What the client itself says of its open sessions: ``claude agents --json``, for when its hooks are silent.

After Esc, or after a permission that was refused, no hook fires, and the last signal would say "working" for hours
(client facts, 3). So an interactive session whose last signal has some age is asked about, seldom: an answer costs
between 0.3 and 1.3 seconds. The answer is a file with its time; status never waits for one.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from orchestra.engine import process
from orchestra.sessions.runners.claude import PROGRAM
from orchestra.sessions.session_facts import newest_signal
from orchestra.sessions.store import AgentFolder, FleetFolder

_QUIET_S = 8.0
_EVERY_S = 20.0


class Asking:
    """Asks when it is worth it, no more often than every 20 s."""

    def __init__(self, fleet: FleetFolder) -> None:
        self._fleet = fleet
        self._asked = float("-inf")

    def ask(self, interactive: list[AgentFolder]) -> None:
        """Write what the client says to ``clients.json`` if one of these sessions has gone quiet."""
        now = time.monotonic()
        if now - self._asked < _EVERY_S or not any(_is_quiet(agent) for agent in interactive):
            return
        self._asked = now
        sessions = ask_client()
        if sessions is not None:
            self._fleet.write("clients", {"at": time.time(), "sessions": sessions})


def ask_client() -> list[dict[str, Any]] | None:
    """The client's open sessions, of this user; None when it does not answer."""
    try:
        said = process.capture((PROGRAM, "agents", "--json"), env=os.environ, timeout_s=10.0)
        rows = json.loads(said.stdout) if said.code == 0 else None
    except (OSError, ValueError):
        return None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _is_quiet(agent: AgentFolder) -> bool:
    """After the end of a turn or of the session nothing changes without another signal."""
    found = newest_signal(agent)
    if found is None or found.ends_turn or found.event == "SessionEnd":
        return False
    return time.time() - found.at > _QUIET_S
