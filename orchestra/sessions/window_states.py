"""Show in tmux and in the client's own line which agents of the fleet work and which wait for a person.

Each window's option ``@state`` is shown after its name, and the session's option ``@next`` is the window that has
waited longest, to which prefix N goes (tmux.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from orchestra.sessions import tmux
from orchestra.sessions.monitor import MonitoredSession
from orchestra.sessions.session_facts import client_rows, read_agent
from orchestra.sessions.state import State, WorkFacts, derive_state
from orchestra.sessions.store import FleetFolder
from orchestra.sessions.window_line import write_waiting

_EVERY_S = 2.0
_ENDED = "ended"


class WindowStates:
    """Look at the fleet's windows every 2 s, and publish what has changed."""

    def __init__(self, fleet: FleetFolder) -> None:
        self._fleet = fleet
        self._polled = float("-inf")
        self._shown: dict[str, str] = {}  # the state by pane id
        self._waiting: list[str] | None = None

    def poll(self, sessions: Sequence[MonitoredSession]) -> None:
        """Publish the state of these sessions, and the end of those that were there before."""
        now = time.monotonic()
        shown_open = {pane for pane, state in self._shown.items() if state != _ENDED}
        has_changed = shown_open != {session.run.window for session in sessions}
        if not has_changed and (not sessions or now - self._polled < _EVERY_S):
            return
        self._polled = now
        clients = client_rows(self._fleet)
        states: dict[str, str] = dict.fromkeys(self._shown, _ENDED)
        waiting: list[tuple[float, str, str]] = []
        for session in sessions:
            facts = read_agent(session.home, "", clients, has_supervisor=True)
            state = derive_state(WorkFacts(spawned=True), facts)  # the work matters only for turns that are over
            states[session.run.window] = state.state.value
            if state.state is State.WAITING:
                waiting.append((state.at or 0.0, session.agent, session.run.window))
        waiting.sort()
        names = [agent for _, agent, _ in waiting]
        if names != self._waiting:
            write_waiting(self._fleet.path, names)
        if states != self._shown or names != self._waiting:
            next_pane = waiting[0][2] if waiting else ""
            tmux.show_states(tmux.session_name(self._fleet.path), states, next_pane)
        self._shown, self._waiting = states, names
