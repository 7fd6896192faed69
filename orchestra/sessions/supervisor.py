"""The fleet's supervisor: a process of its own that starts queued sessions, and outlives the terminal.

``python -m orchestra.sessions.supervisor FLEET_FOLDER``. There is at most one for a fleet: it holds a lock for its
whole life, and a second one exits at once. Nothing that matters is only in its memory: each session runs under a shim
of its own, requests and runs are files; after a kill the next supervisor reads them and continues.

Invariant: a request becomes a run by one rename, under the control lock; a process is started after its mark was
written, so that it can always be found. A session that has ended is not restarted, unless the API refused it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from sqlite3 import Error as SqliteError

from orchestra.blueprint.model import AgentName, FleetName, RunnerKind
from orchestra.engine import process_tree
from orchestra.errors import GroundError, OrchestraError
from orchestra.ledger import Ledger
from orchestra.sessions import prompts, scheduler
from orchestra.sessions.change_requests import has_request, run_request_changes
from orchestra.sessions.launch import end_session, launch, recover_half_started
from orchestra.sessions.message import DeliveryState, read_message
from orchestra.sessions.message_delivery import deliver
from orchestra.sessions.monitor import ClientPoll, MonitoredSession, ScreenPoll
from orchestra.sessions.runners.protocol import Alert, AlertKind
from orchestra.sessions.runners.registry import read_result
from orchestra.sessions.scheduler import BackoffState, Budget, Candidate, Hold, Refuse, SchedulerInput, Start
from orchestra.sessions.state import Busy, SessionResult, Stop
from orchestra.sessions.stop import Save, save_work
from orchestra.sessions.store import AgentFolder, FleetFolder, SessionRequest
from orchestra.sessions.usage import spent_usd
from orchestra.sessions.window_states import WindowStates

_POLL_S = 0.2
_RETRY_S = 5.0  # after a step for an agent failed, as for want of space
_MOST_TRIES = 100  # of a request for changes, five seconds apart: longer than a spawn holds the lock
_log = logging.getLogger("orchestra.supervisor")


class Supervisor:
    """Works off a fleet's queue until it is empty. ``turn`` does what can be done now and never waits."""

    def __init__(self, folder: Path, save: Save = save_work) -> None:
        self.fleet = FleetFolder(folder)
        self._name = FleetName(folder.name)
        self._ledger = Ledger(folder)
        self._save = save
        self._client_poll = ClientPoll(self.fleet)
        self._screen_poll = ScreenPoll()
        self._window_states = WindowStates(self.fleet)
        self._sessions: dict[AgentName, MonitoredSession] = {}
        self._errors: dict[str, str] = {}
        self._not_before: dict[str, float] = {}
        self._tries: Counter[AgentName] = Counter()
        self._last_start = 0.0
        self._backoff = BackoffState()
        with suppress(TypeError):  # written by another version
            self._backoff = BackoffState(**(self.fleet.read("backoff") or {}))

    def run(self) -> None:
        """Work until nothing runs and nothing that could start is queued."""
        me = process_tree.identity(os.getpid())
        self.fleet.write("supervisor", asdict(me) if me else {})
        for agent in self.fleet.agents():
            self._try(agent.name, partial(self._adopt, agent))
        while self.turn():
            time.sleep(_POLL_S)

    def turn(self) -> bool:
        """Do everything that can be done now; return False when nothing is left to do."""
        # Running sessions: what they report, and whether they have ended.
        for session in tuple(self._sessions.values()):
            self._try(session.agent, partial(self._check, session))
        # The back-off relaxes with time.
        relaxed = scheduler.relax(self._backoff, time.time())
        if relaxed != self._backoff:
            self._try("back-off", partial(self._set_backoff, relaxed))
        # Requests for changes that were left as files.
        for agent in self.fleet.agents():
            wait_s = self._not_before.get(agent.name, 0.0) - time.time()
            is_paused = 0 < wait_s <= _RETRY_S  # longer: the clock was set back
            if has_request(agent) and not is_paused:
                self._try(agent.name, partial(self._request_changes, agent))
        # Messages to interactive sessions, and the client's own answer about them.
        interactive = [session for session in self._sessions.values() if session.is_interactive]
        self._try("client", partial(self._client_poll.poll, interactive))
        windows = [session for session in self._sessions.values() if session.run.window]
        screens = [session for session in windows if not session.is_interactive]
        self._try("screens", partial(self._screen_poll.poll, screens))
        self._try("windows", partial(self._window_states.poll, windows))
        for agent in (session.home for session in interactive):
            if read_message(agent) is not None:
                self._try(agent.name, partial(self._deliver, agent))
        # Start what is due, one session after the other.
        while not isinstance(decision := scheduler.decide(self._scheduler_input()), Hold):
            self._try(decision.agent, partial(self._act, decision))
        self._try("queue", partial(self._publish_hold, decision))
        return not self.is_done()

    def is_done(self) -> bool:
        """Return True when nothing runs and nothing that could start is queued."""
        if self._sessions or any(has_request(agent) and agent.newest() for agent in self.fleet.agents()):
            return False
        return self._backoff.held != "" or not self._queue()

    def _try(self, subject: str, act: Callable[[], None]) -> None:
        """Run one step for an agent or the fleet. An error in it is logged once and retried; the others continue."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever one agent's files cause must not end the others
            if self._errors.get(subject) != str(error):
                expected = isinstance(error, OrchestraError | OSError | SqliteError)
                _log.warning("%s: %s", subject, error, exc_info=None if expected else error)
            self._errors[subject] = str(error)
            self._not_before[subject] = time.time() + _RETRY_S
        else:
            self._errors.pop(subject, None)

    # -- sessions that run --------------------------------------------------------------------------------------

    def _adopt(self, agent: AgentFolder) -> None:
        """Take over what an earlier supervisor left: sessions that run, that have ended, or that were half started."""
        newest = agent.newest()
        if newest is None or newest.result is not None:
            return
        with self.fleet.control():
            recover_half_started(agent, newest)
        request, run = newest.request, newest.run
        if request is not None and run is not None:
            session = self._sessions[agent.name] = MonitoredSession(agent, newest, request, run)
            session.new_alerts()  # skipped: they are old
            _log.info("%s: found run %s", agent.name, newest.number)

    def _check(self, session: MonitoredSession) -> None:
        ended = session.has_ended  # checked first: all output until then is read below
        for alert in session.new_alerts():
            self._handle(session, alert)
        if ended:
            self._finish(session)
        elif session.is_overdue:
            end_session(session.run)
        elif session.is_unguarded:
            self._handle(session, Alert(AlertKind.UNGUARDED, "the client did not load orchestra's settings"))

    def _handle(self, session: MonitoredSession, alert: Alert) -> None:
        _log.info("%s: %s: %s", session.agent, alert.kind, alert.reason)
        if alert.kind is AlertKind.UNGUARDED:
            if session.folder.stop is None:
                session.folder.write("stop", Stop(alert.reason, time.time()))
            end_session(session.run)
        elif alert.kind is AlertKind.LOGIN:
            self._set_backoff(replace(self._backoff, held=alert.reason))
        elif alert.kind is AlertKind.LIMIT:
            self._set_backoff(scheduler.record_limit(self._backoff, alert.reason, alert.until))
        else:
            running, now, wait_s = len(self._sessions), time.time(), alert.wait_s
            session.folder.write("busy", Busy(alert.reason, now))
            self._set_backoff(
                scheduler.record_refusal(self._backoff, now, running=running, reason=alert.reason, wait_s=wait_s)
            )

    def _finish(self, session: MonitoredSession) -> None:
        """Sum up a session that has ended; queue it again if the API refused it, save its work if it failed."""
        if session.folder.ending is None:  # its shim was killed: end what the session started
            end_session(session.run)
        result = read_result(session.request, session.folder)
        session.folder.write("result", result)
        del self._sessions[session.agent]
        end = session.folder.ending
        if result.fault == "limit" and not scheduler.is_limited(self._backoff, time.time()):
            # An earlier supervisor read the alert.
            limited = scheduler.record_limit(self._backoff, "the account's usage limit is reached", result.resets_at)
            self._set_backoff(limited)
        retry = self._retry(session, result)
        if retry is not None:
            with self.fleet.control():
                if session.home.request is None and session.folder.stop is None:
                    session.home.queue(retry)
        elif end is None or end.why != "exited" or end.exit_code != 0:
            self._save_work(session.request, "its session ended badly")
        if self._backoff.held and session.proves_login(result):
            self._set_backoff(BackoffState(limit=self._backoff.limit, limited_until=self._backoff.limited_until))
        self._ledger.record(
            "session.ended",
            session.agent,
            run=session.folder.number,
            why=end.why if end else "lost",
            exit_code=end.exit_code if end else None,
            signal=end.signal if end else None,
            reason=result.reason,
            cost_usd=result.usage.cost_usd,
            input_tokens=result.usage.input_tokens,
            output_tokens=result.usage.output_tokens,
            cache_tokens=result.usage.cache_tokens,
            again=retry is not None,
        )

    def _retry(self, session: MonitoredSession, result: SessionResult) -> SessionRequest | None:
        """Return the request that resumes a session which failed through the API; None where it should not resume."""
        request = session.request
        if session.folder.stop is not None or not result.is_error:
            return None
        remaining = self._remaining_usd(request)
        retry = scheduler.retry_after(
            result.fault,
            attempt=request.attempt,
            remaining_usd=float("inf") if remaining is None else remaining,
            capped=session.run.cap_usd is not None,
            backoff=self._backoff,
            now=time.time(),
        )
        if retry is None:
            return None
        return replace(
            request,
            at=time.time(),
            resume=True,  # a program that names its sessions itself and has not yet begins a new one
            session_id=result.session_id or request.session_id,
            prompt=prompts.RESUME,
            attempt=retry.attempt,
            not_before=retry.not_before,
        )

    def _save_work(self, request: SessionRequest, reason: str) -> None:
        ref = self._save(self._name, request.agent, Path(request.worktree), reason)
        _log.info("%s: uncommitted work: %s", request.agent, f"saved as {ref}" if ref else "none")

    def _request_changes(self, agent: AgentFolder) -> None:
        """Hand over a request for changes that was left as a file, by the same command that a person would type."""
        newest, source = agent.newest(), (self.fleet.read("blueprint") or {}).get("source")
        request = newest.request if newest is not None else None
        if request is None or source is None:
            raise GroundError("request-changes.md was left for it, but it has had no session that could resume")
        self._tries[agent.name] += 1
        last = self._tries[agent.name] >= _MOST_TRIES
        output = run_request_changes(agent, request.home, str(source), last=last)
        _log.info("%s: request-changes: %s", agent.name, output)
        del self._tries[agent.name]

    def _deliver(self, agent: AgentFolder) -> None:
        """Continue the delivery of a message that its sender did not see taken."""
        with self.fleet.control():
            delivery = deliver(self.fleet, agent)
        if delivery is DeliveryState.TAKEN:
            _log.info("%s: %s", agent.name, delivery)

    # -- sessions to start --------------------------------------------------------------------------------------

    def _queue(self) -> list[SessionRequest]:
        """Return the queued requests of agents that have nothing running."""
        requests = (agent.request for agent in self.fleet.agents() if agent.name not in self._sessions)
        return [request for request in requests if request is not None]

    def _scheduler_input(self) -> SchedulerInput:
        limits = self.fleet.limits
        candidates = tuple(
            Candidate(
                request.agent,
                request.at,
                max(request.not_before, self._not_before.get(request.agent, 0.0)),
                self._remaining_usd(request),
                reports_cost=request.kind is RunnerKind.CLAUDE,  # only the client reports costs and keeps to a limit
            )
            for request in self._queue()
        )
        budget = Budget()
        if limits.budget_usd is not None:
            spent = sum(spent_usd(agent) for agent in self.fleet.agents())
            reserved = sum(session.run.cap_usd or 0.0 for session in self._sessions.values())
            budget = Budget(limits.budget_usd, spent, reserved)
        return SchedulerInput(
            now=time.time(),
            queue=candidates,
            running=len(self._sessions),
            limit=limits.agents,
            last_start=self._last_start,
            stagger_s=limits.stagger_s,
            backoff=self._backoff,
            budget=budget,
        )

    def _remaining_usd(self, request: SessionRequest) -> float | None:
        """Return what the agent may still cost; None without a limit of its own."""
        if request.max_budget_usd is None:
            return None
        return request.max_budget_usd - spent_usd(self.fleet.agent(request.agent))

    def _act(self, decision: Start | Refuse) -> None:
        agent = self.fleet.agent(decision.agent)
        with self.fleet.control():
            request = agent.request
            if request is None:  # stop was faster; or the file is unreadable, and must not be decided on at once again
                self._not_before[agent.name] = time.time() + _RETRY_S
                return
            if isinstance(decision, Refuse):
                folder = agent.take(request)
                folder.write("stop", Stop(decision.reason, time.time()))
                folder.write("result", SessionResult(session_id=request.session_id))
                self._save_work(request, decision.reason)
                return
            self._last_start = time.time()
            folder, run = launch(agent, request, decision.cap_usd)
        if run is None:
            folder.write("result", SessionResult(session_id=request.session_id))
        else:
            self._sessions[agent.name] = MonitoredSession(agent, folder, request, run)
            _log.info("%s: started run %s", agent.name, folder.number)
        self._ledger.record("session.started", agent.name, run=folder.number, session=request.session_id)

    def _set_backoff(self, backoff: BackoffState) -> None:
        self._backoff = backoff
        self.fleet.write("backoff", backoff)

    def _publish_hold(self, hold: Hold) -> None:
        """Write why queued sessions do not start, for status."""
        value = {"reason": hold.reason, "until": hold.until}
        if self.fleet.read("hold") != value:
            self.fleet.write("hold", value)


def main() -> int:
    """Work off the queue of the fleet whose folder is the first argument; 0, too, when another supervisor runs."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    folder = Path(sys.argv[1])
    fleet = FleetFolder(folder)
    while True:
        with fleet.supervising() as is_free:
            if not is_free:
                return 0
            supervisor = Supervisor(folder)
            supervisor.run()
        # A request that came while the lock was still held was left to us, so look once more without it.
        if supervisor.is_done():
            _log.info("nothing left to run")
            return 0


if __name__ == "__main__":
    sys.exit(main())
