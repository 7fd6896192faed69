"""The fleet's supervisor: a process of its own that starts queued sessions, and outlives the terminal.

``python -m orchestra.sessions.supervisor FLEET_FOLDER``. There is at most one for a fleet: it holds a lock for its
whole life, and a second one goes at once. It keeps nothing in memory that matters: sessions run under keepers of
their own, orders and runs are files, so when it is killed the next one finds everything as it is and goes on.

Invariant: an order becomes a run by one rename, under the control lock; a process is started after its mark was
written, so that it can be found again at whatever instant the supervisor dies. Refuses: to restart by itself what
ended, but for sessions that the API turned away.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.engine import process_tree
from orchestra.errors import GroundError, OrchestraError
from orchestra.ledger import Ledger
from orchestra.sessions import prompts, scheduler
from orchestra.sessions.autosave import Save, save_work
from orchestra.sessions.budget import Treasury
from orchestra.sessions.change_requests import hand_over, has_request
from orchestra.sessions.client_poll import Asking
from orchestra.sessions.launch import end_session, launch, recover_half_started
from orchestra.sessions.message import read_message
from orchestra.sessions.message_delivery import carry_on
from orchestra.sessions.monitor import Watched
from orchestra.sessions.runners.protocol import Notice, Trouble, read_digest
from orchestra.sessions.scheduler import Hold, Refuse, Situation, Start, Weather
from orchestra.sessions.state import Digest, Stop
from orchestra.sessions.store import AgentFolder, FleetFolder, Order

_POLL_S = 0.2
_AGAIN_S = 5.0  # after a session could not be started for want of space or the like
_MOST_TRIES = 100  # of a request for changes, five seconds apart: longer than a spawn holds the lock
_log = logging.getLogger("orchestra.supervisor")


class Supervisor:
    """Runs a fleet's queue until it is empty. ``turn`` does what can be done now and never waits."""

    def __init__(self, folder: Path, save: Save = save_work) -> None:
        self.fleet = FleetFolder(folder)
        self._ledger = Ledger(folder)
        self._save = save
        self._name = FleetName(folder.name)
        self._asking = Asking(self.fleet)
        self._money = Treasury(self.fleet)
        self._troubles: dict[AgentName, str] = {}
        self._later: dict[AgentName, float] = {}
        self._tries: Counter[AgentName] = Counter()
        self._watched: dict[AgentName, Watched] = {}
        self._weather = _weather(self.fleet)
        self._last_start = 0.0

    def run(self) -> None:
        """Until nothing runs and nothing that could start is queued."""
        me = process_tree.identity(os.getpid())
        self.fleet.write("supervisor", asdict(me) if me else {})
        self.adopt()
        while self.turn():
            time.sleep(_POLL_S)

    def adopt(self) -> None:
        """Take over what an earlier supervisor left: sessions that run, that ended unseen, that half began."""
        for agent in self.fleet.agents():
            newest = agent.newest()
            if newest is None or newest.digest is not None:
                continue
            with self.fleet.control():
                recover_half_started(agent, newest)
            order, run = newest.order, newest.run
            if order is not None and run is not None:
                watched = self._watched[agent.name] = Watched(agent, newest, order, run)
                for _ in watched.notices():
                    pass  # old troubles are no news
                _log.info("%s: found run %s", agent.name, newest.number)

    def turn(self) -> bool:
        """One look at everything; whether there is more to come."""
        for watched in tuple(self._watched.values()):
            self._guarded(watched.agent, partial(self._look_after, watched))
        better = scheduler.improve(self._weather, time.time())
        if better != self._weather:
            self._set_weather(better)
        for agent in self.fleet.agents():
            if has_request(agent) and not self._pauses(agent.name):
                self._guarded(agent.name, partial(self._send_back, agent))
        opened = [one.home for one in self._watched.values() if one.is_open]
        self._asking.ask(opened)
        for agent in opened:
            if read_message(agent) is not None:
                self._guarded(agent.name, partial(carry_on, self.fleet, agent))
        decision = self._start_due()
        self._guarded(AgentName(""), partial(self._tell_why, decision))
        return not self.is_done()

    def is_done(self) -> bool:
        """Whether nothing runs and nothing that could start is queued."""
        if self._watched or any(has_request(agent) and agent.newest() for agent in self.fleet.agents()):
            return False
        return self._weather.held != "" or not self._queue()

    def _guarded(self, agent: AgentName, act: Callable[[], None]) -> None:
        """One agent's trouble, such as a full disk, is logged and tried again; it does not end the others."""
        try:
            act()
        except (OrchestraError, OSError, sqlite3.Error) as error:
            if self._troubles.get(agent) != str(error):
                _log.warning("%s: %s", agent, error)
            self._troubles[agent] = str(error)
            self._later[agent] = time.time() + _AGAIN_S
        else:
            self._troubles.pop(agent, None)

    def _pauses(self, agent: AgentName) -> bool:
        """Whether something for it failed a moment ago; a clock that was set back makes no pause longer."""
        return 0 < self._later.get(agent, 0.0) - time.time() <= _AGAIN_S

    # -- sessions that run --------------------------------------------------------------------------------------

    def _look_after(self, watched: Watched) -> None:
        over = watched.is_over  # asked first: what it said until then is read below
        for notice in watched.notices():
            self._heed(watched, notice)
        if over:
            self._settle(watched)
        elif watched.is_overdue:
            end_session(watched.run)
        elif watched.is_unguarded:
            self._heed(watched, Notice(Trouble.UNGUARDED, "its client did not take orchestra's settings"))

    def _heed(self, watched: Watched, notice: Notice) -> None:
        _log.info("%s: %s: %s", watched.agent, notice.trouble, notice.reason)
        if notice.trouble is Trouble.UNGUARDED:
            if watched.folder.stop is None:
                watched.folder.write("stop", Stop(notice.reason, time.time()))
            end_session(watched.run)
        elif notice.trouble is Trouble.LOGIN:
            self._set_weather(replace(self._weather, held=notice.reason))
        else:
            running, now = len(self._watched), time.time()
            worse = scheduler.worsen(self._weather, now, running=running, reason=notice.reason, wait_s=notice.wait_s)
            self._set_weather(worse)

    def _settle(self, watched: Watched) -> None:
        """Sum up a session that is over, queue it again if the API turned it away, keep its work if it fell."""
        if watched.folder.ending is None:  # its keeper was killed: nobody else ends what the session began
            end_session(watched.run)
        digest = read_digest(watched.order, watched.folder)
        watched.folder.write("digest", digest)
        del self._watched[watched.agent]
        end = watched.folder.ending
        again = self._again(watched, digest)
        if again is not None:
            with self.fleet.control():
                if watched.home.order is None and watched.folder.stop is None:
                    watched.home.queue(again)
        elif end is None or end.why != "exited" or end.exit_code != 0:
            self._keep(watched.order, "its session ended badly")
        if self._weather.held and watched.got_through(digest):
            self._set_weather(Weather())
        self._ledger.record(
            "session.ended",
            watched.agent,
            run=watched.folder.number,
            why=end.why if end else "lost",
            exit_code=end.exit_code if end else None,
            signal=end.signal if end else None,
            reason=digest.reason,
            cost_usd=digest.usage.cost_usd,
            input_tokens=digest.usage.input_tokens,
            output_tokens=digest.usage.output_tokens,
            cache_tokens=digest.usage.cache_tokens,
            again=again is not None,
        )

    def _keep(self, order: Order, why: str) -> None:
        saved = self._save(self._name, order.agent, Path(order.worktree), why)
        _log.info("%s: uncommitted work: %s", order.agent, f"saved as {saved}" if saved else "none")

    def _again(self, watched: Watched, digest: Digest) -> Order | None:
        """The order that goes on with a session which ended for no fault of its own; None where it should not."""
        order = watched.order
        if watched.folder.stop is not None or not digest.is_error:
            return None
        capped, left = watched.run.cap_usd is not None, self._money.left(order)
        tried, weather, now = order.attempt, self._weather, time.time()
        go_on = scheduler.again(digest.fault, attempt=tried, left_usd=left, capped=capped, weather=weather, now=now)
        if go_on is None:
            return None
        session = digest.session_id or order.session_id
        resumed = replace(order, at=now, resume=True, session_id=session, prompt=prompts.GO_ON)
        return replace(resumed, attempt=go_on.attempt, not_before=go_on.not_before)

    def _send_back(self, agent: AgentFolder) -> None:
        """A request for changes that somebody left as a file, through the same command that a person would type."""
        newest, source = agent.newest(), (self.fleet.read("blueprint") or {}).get("source")
        order = newest.order if newest is not None else None
        if order is None or source is None:
            raise GroundError("a request for changes was left for it, and it never had a session to send back")
        self._tries[agent.name] += 1
        last = self._tries[agent.name] >= _MOST_TRIES
        _log.info("%s: request-changes: %s", agent.name, hand_over(agent, order.home, str(source), last=last))
        del self._tries[agent.name]

    # -- sessions to start --------------------------------------------------------------------------------------

    def _queue(self) -> list[Order]:
        """Orders of agents that have nothing running."""
        orders = (agent.order for agent in self.fleet.agents() if agent.name not in self._watched)
        return [order for order in orders if order is not None]

    def _start_due(self) -> Hold:
        while True:
            limits, queue = self.fleet.limits, self._queue()
            due = {order.agent: max(order.not_before, self._later.get(order.agent, 0.0)) for order in queue}
            promised = sum(watched.run.cap_usd or 0.0 for watched in self._watched.values())
            facts = Situation(
                now=time.time(),
                queue=tuple(self._money.candidate(order, due[order.agent]) for order in queue),
                running=len(self._watched),
                limit=limits.agents,
                last_start=self._last_start,
                stagger_s=limits.stagger_s,
                weather=self._weather,
                purse=self._money.purse(limits.budget_usd, promised),
            )
            decision = scheduler.decide(facts)
            if isinstance(decision, Hold):
                return decision
            self._guarded(AgentName(decision.agent), partial(self._act, decision))

    def _act(self, decision: Start | Refuse) -> None:
        agent = self.fleet.agent(decision.agent)
        with self.fleet.control():
            order = agent.order
            if order is None:
                return
            if isinstance(decision, Refuse):
                folder = agent.take(order)
                folder.write("stop", Stop(decision.reason, time.time()))
                folder.write("digest", Digest(session_id=order.session_id))
                self._keep(order, decision.reason)
                return
            self._last_start = time.time()
            folder, run = launch(agent, order, decision.cap_usd)
        if run is None:
            folder.write("digest", Digest(session_id=order.session_id))
        else:
            self._watched[agent.name] = Watched(agent, folder, order, run)
            _log.info("%s: started run %s", agent.name, folder.number)
        self._ledger.record("session.started", agent.name, run=folder.number, session=order.session_id)

    def _set_weather(self, weather: Weather) -> None:
        self._weather = weather
        self.fleet.write("weather", weather)

    def _tell_why(self, hold: Hold) -> None:
        """Why what is queued is not started, for status."""
        if self.fleet.read("hold") != (told := {"reason": hold.reason, "until": hold.until}):
            self.fleet.write("hold", told)


def _weather(fleet: FleetFolder) -> Weather:
    try:
        return Weather(**(fleet.read("weather") or {}))
    except TypeError:  # written by another version
        return Weather()


def main() -> int:
    """Run the queue of the fleet whose folder is the first argument; 0 also when another one already does."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    folder = Path(sys.argv[1])
    fleet = FleetFolder(folder)
    while True:
        with fleet.supervising() as mine:
            if not mine:
                return 0
            supervisor = Supervisor(folder)
            supervisor.run()
        # An order that came while the lock was still held was left to us, so look once more without it.
        if supervisor.is_done():
            _log.info("nothing left to run")
            return 0


if __name__ == "__main__":
    sys.exit(main())
