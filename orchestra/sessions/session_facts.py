"""What the files say about each agent's sessions, and who is alive. Starts no process, asks nobody.

Invariant: reads only; a file that is missing or torn is a fact less, never an error. Cheap: a handful of small files
for each agent, and of logs no more than their size, time and last line.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestra.blueprint.model import AgentName
from orchestra.engine import process_tree
from orchestra.engine.process import Ending
from orchestra.fleet import Fleet
from orchestra.sessions.message import Course, course_of, read_message
from orchestra.sessions.state import Client, Digest, Exit, SessionFacts, Signal, Usage
from orchestra.sessions.store import AgentFolder, FleetFolder, Order, Run, RunFolder
from orchestra.sessions.tail import last_line
from orchestra.sessions.usage import total


@dataclass(frozen=True, slots=True)
class Pulse:
    """The fleet as a whole. ``held``: why queued sessions do not start; ``until``: POSIX time it may change at."""

    supervisor: int | None  # its pid, None when none runs
    held: str = ""
    until: float | None = None
    spent_usd: float | None = None
    budget_usd: float | None = None
    usage: Usage = field(default_factory=Usage)


def session_facts(fleet: Fleet) -> dict[AgentName, SessionFacts]:
    """Of every agent that ever had a session or has one queued."""
    folder = FleetFolder(fleet.folder)
    why = _why_queued(folder)
    clients = _clients(folder)
    found = (read_agent(agent, why, clients) for agent in folder.agents())
    return {AgentName(facts.agent): facts for facts in found if facts is not None}


def fleet_pulse(fleet: Fleet) -> Pulse:
    """Whether the queue is worked off, and the money."""
    folder = FleetFolder(fleet.folder)
    who, hold = folder.supervisor, folder.read("hold") or {}
    alive = who is not None and process_tree.is_alive(who)
    usage = total(digest for agent in folder.agents() for digest in _digests(agent))
    held = str((folder.read("weather") or {}).get("held") or hold.get("reason") or "")
    return Pulse(
        supervisor=who.pid if who is not None and alive else None,
        held=held,
        until=hold.get("until") if alive else None,
        spent_usd=usage.cost_usd,
        budget_usd=fleet.blueprint.limits.budget_usd,
        usage=usage,
    )


def read_agent(agent: AgentFolder, why_queued: str, clients: dict[str, Client]) -> SessionFacts | None:
    """One agent's facts; None when it never had a session and has none queued."""
    queued, newest = agent.order, agent.newest()
    order = newest.order if newest is not None else queued
    if order is None:
        return None
    session = _session(newest, order)
    runs = agent.runs()
    facts = SessionFacts(
        agent=agent.name,
        kind=order.kind,
        mode=order.mode,
        session_id=session,
        runs=len(runs),
        queued_at=queued.at if queued is not None else None,
        queued_why=_pause(queued) or why_queued,
        usage=total(_digests(agent)),
    )
    if newest is None:
        return facts
    if _is_half_started(newest):
        why = why_queued or "it is being started"
        return replace(facts, queued_at=(queued or order).at, queued_why=why)
    return _with_run(facts, agent, newest, clients.get(session))


def _is_half_started(newest: RunFolder) -> bool:
    """Between the taking of an order and the note of its process; the next supervisor undoes what one left so."""
    return newest.run is None and newest.ending is None and newest.stop is None


def _with_run(facts: SessionFacts, agent: AgentFolder, newest: RunFolder, client: Client | None) -> SessionFacts:
    run, ending, stop = newest.run, newest.ending, newest.stop
    alive = run is not None and ending is None and process_tree.is_alive(run.keeper)
    if not alive and ending is None:
        ending = newest.ending  # it may have written its last word and gone between our two looks
    started = run.started_at if run is not None else (ending.started_at if ending else None)
    message = read_message(agent)
    course = course_of(message, newest) if message is not None else None
    return replace(
        facts,
        started_at=started or (stop.at if stop else None),
        alive=alive,
        same_machine=run is None or run.keeper.machine == process_tree.this_machine(),
        exit=_exit(ending),
        stop=stop,
        digest=newest.digest,
        signal=_signal(agent, run),
        client=client if client is not None and started is not None and client.at > started else None,
        heard_at=_changed(newest.out),
        window=run.window if run is not None else "",
        message=str(course) if course is not None else "",
        message_stuck=course is Course.STUCK,
    )


def _session(newest: RunFolder | None, order: Order) -> str:
    digest = newest.digest if newest is not None else None
    return (digest.session_id if digest is not None else "") or order.session_id


def _digests(agent: AgentFolder) -> list[Digest]:
    return [digest for run in agent.runs() if (digest := run.digest) is not None]


def _exit(ending: Ending | None) -> Exit | None:
    if ending is None:
        return None
    name = ""
    if ending.signal is not None:
        valid = ending.signal in signal.valid_signals()
        name = signal.Signals(ending.signal).name if valid else f"signal {ending.signal}"
    return Exit(ending.why, ending.exit_code, name, ending.ended_at, ending.detail)


def _signal(agent: AgentFolder, run: Run | None) -> Signal | None:
    """The newest hook event of this run; what was there before it belongs to an earlier one."""
    return newest_signal(agent) if run is not None and agent.heard > run.heard else None


def newest_signal(agent: AgentFolder) -> Signal | None:
    """The newest hook event of any of the agent's runs; None where its line is none of ours."""
    try:
        event = json.loads(last_line(agent.events))
        return Signal(str(event["event"]), float(event["at"]), str(event.get("detail", "")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def takes_prompts(folder: FleetFolder, agent: AgentFolder, session: str, run: Run) -> bool:
    """Whether an interactive session waits for a prompt, and for nothing else: by its newest signal, or the client's
    word where that is newer."""
    found, client = _signal(agent, run), _clients(folder).get(session)
    if client is not None and client.at > (found.at if found is not None else run.started_at):
        return client.status == "idle"
    return found is not None and found.ends_turn


def is_turn_over(agent: AgentFolder, run: Run) -> bool:
    """Whether the last thing that the session's client signalled is the good end of a turn."""
    found = _signal(agent, run)
    return found is not None and found.ends_turn and not found.failed


def _changed(path: Path) -> float | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime if facts.st_size else None


def _pause(order: Order | None) -> str:
    if order is None or order.not_before <= time.time():
        return ""
    return f"the API turned it away {order.attempt} times; it waits before it goes on"


def _why_queued(folder: FleetFolder) -> str:
    who = folder.supervisor
    held = (folder.read("weather") or {}).get("held")
    if held:
        return f"{held}; mend that and run orchestra start"
    if who is None or not process_tree.is_alive(who):
        return "nobody works the queue off: orchestra start goes on with it"
    return str((folder.read("hold") or {}).get("reason") or "")


def _clients(folder: FleetFolder) -> dict[str, Client]:
    """What ``claude agents --json`` said last, by session id."""
    told = folder.read("clients") or {}
    try:
        at = float(told["at"])
        rows = [row for row in told["sessions"] if row.get("status")]
        return {str(row["sessionId"]): Client(row["status"], str(row.get("waitingFor") or ""), at) for row in rows}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
