"""Watch running sessions: their output, their end, and the client's own answer where its hooks are silent.

Invariant: no check waits, but for the client's answer, which is requested seldom.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine import process, process_tree
from orchestra.sessions import tmux
from orchestra.sessions.runners.claude import PROGRAM
from orchestra.sessions.runners.protocol import Alert, AlertKind
from orchestra.sessions.runners.registry import runner_of
from orchestra.sessions.session_facts import newest_signal
from orchestra.sessions.state import SessionResult
from orchestra.sessions.store import AgentFolder, FleetFolder, Run, RunFolder, Screen, SessionRequest
from orchestra.sessions.tail import Tail
from orchestra.text import one_line

_STOPS_WITHIN_S = 30.0  # the shim's grace period, and a margin
_SIGNAL_WITHIN_S = 90.0  # a client that has not run its SessionStart hook by then has not loaded the settings
_QUIET_S = 8.0
_BUSY = re.compile(r"\b(429|5\d\d)\b|rate_limit|overloaded|server_error")
_SCREEN_EVERY_S = 2.0
_LAST_LINES, _LONGEST_QUESTION = 5, 200
_POLL_EVERY_S = 20.0


class MonitoredSession:
    """A session that runs, or that has ended and is not summed up yet."""

    def __init__(self, home: AgentFolder, folder: RunFolder, request: SessionRequest, run: Run) -> None:
        self.home, self.folder, self.request, self.run = home, folder, request, run
        self._reader, self._tail = runner_of(request.kind).reader(request), Tail(folder.out)
        self._events_size, self._failed_at = 0, 0.0

    @property
    def agent(self) -> AgentName:
        return self.home.name

    @property
    def has_ended(self) -> bool:
        return self.folder.ending is not None or not process_tree.is_alive(self.run.keeper)

    @property
    def is_interactive(self) -> bool:
        """True for a session of the client in a tmux window."""
        return self.request.kind is RunnerKind.CLAUDE and self.request.mode is RunnerMode.TMUX

    @property
    def is_overdue(self) -> bool:
        """True when it was stopped so long ago that the stop itself must have been killed."""
        stop = self.folder.stop
        return stop is not None and time.time() - stop.at > _STOPS_WITHIN_S

    @property
    def is_unguarded(self) -> bool:
        """True when its client has not signalled in time that it loaded orchestra's settings."""
        if self.request.kind is not RunnerKind.CLAUDE:
            return False
        if not 0 <= time.time() - self.run.started_at - _SIGNAL_WITHIN_S < _SIGNAL_WITHIN_S:
            return False
        return self.home.events_size <= self.run.events_before

    @property
    def is_quiet(self) -> bool:
        """True when its state may have changed without a hook event: it is in a turn, and silent for some seconds."""
        signal = newest_signal(self.home, self.run, self.request.session_id)
        if signal is None or signal.ends_turn or signal.event == "SessionEnd":
            return False
        return time.time() - signal.at > _QUIET_S

    def new_alerts(self) -> list[Alert]:
        """Return the alerts in the output, or in a window's hook events, since the last call."""
        alerts = [alert for line in self._tail.lines() if (alert := self._reader.feed(line)) is not None]
        size = self.home.events_size
        if self.is_interactive and size != self._events_size:
            self._events_size = size
            signal = newest_signal(self.home, self.run, self.request.session_id)
            if signal is not None and signal.failed and signal.at > self._failed_at:
                self._failed_at = signal.at
                if _BUSY.search(signal.detail):
                    alerts.append(Alert(AlertKind.BUSY, signal.detail))
        return alerts

    def proves_login(self, result: SessionResult) -> bool:
        """Return True when the API let that session work to its end, so that the login works."""
        end = self.folder.ending
        headless = self.request.kind is not RunnerKind.COMMAND and self.request.mode is RunnerMode.HEADLESS
        return headless and not result.is_error and end is not None and (end.why, end.exit_code) == ("exited", 0)


class ClientPoll:
    """Ask ``claude agents --json`` about interactive sessions whose hooks are silent, at most every 20 s.

    After Esc, or after a permission that was refused, no hook fires (seen with 2.1.197 and 2.1.330), and the last
    signal would say "working" for hours. An answer takes 0.3 to 1.3 seconds, so status never waits for one: it is
    stored with its time in ``clients.json``.
    """

    def __init__(self, fleet: FleetFolder) -> None:
        self._fleet = fleet
        self._polled = float("-inf")

    def poll(self, interactive: list[MonitoredSession]) -> None:
        """Store the client's answer if one of these sessions has been quiet for a while."""
        now = time.monotonic()
        if now - self._polled < _POLL_EVERY_S or not any(session.is_quiet for session in interactive):
            return
        self._polled = now
        sessions = list_client_sessions()
        if sessions is not None:
            self._fleet.write("clients", {"at": time.time(), "sessions": sessions})


class ScreenPoll:
    """Look at the windows of programs that report nothing by themselves, every 2 s: ``screen.json`` of their runs."""

    def __init__(self) -> None:
        self._polled = float("-inf")

    def poll(self, sessions: Sequence[MonitoredSession]) -> None:
        """Store when each window last changed, and its line that matches the runner's ``waiting`` pattern."""
        now = time.monotonic()
        if not sessions or now - self._polled < _SCREEN_EVERY_S:
            return
        self._polled = now
        screens = tmux.read_screens()
        for session in sessions:
            active_at, mark = screens.get(session.run.window, (0.0, ""))
            if mark != session.run.mark:
                continue
            asks = ""
            if session.request.waiting is not None:
                lines = [line.strip() for line in tmux.read_text(session.run.window).splitlines() if line.strip()]
                matching = (line for line in reversed(lines[-_LAST_LINES:]) if re.search(session.request.waiting, line))
                asks = one_line(next(matching, ""), _LONGEST_QUESTION)
            screen = Screen(active_at, asks)
            if session.folder.screen != screen:
                session.folder.write("screen", screen)


def list_client_sessions() -> list[dict[str, Any]] | None:
    """Return the rows of this user's open sessions; None when the client does not answer."""
    try:
        answer = process.capture((PROGRAM, "agents", "--json"), env=os.environ, timeout_s=10.0)
        rows = json.loads(answer.stdout) if answer.code == 0 else None
    except (OSError, ValueError):
        return None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None
