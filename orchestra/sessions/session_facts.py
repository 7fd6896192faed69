"""Read each agent's session files and check which processes run. Starts no process and writes nothing.

Invariant: a file that is missing, torn or of another shape is a missing fact, never an error. Cheap: a handful of small
files for each agent, and of logs only their size, time and last line.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine import process_tree
from orchestra.files import open_regular, read_tail
from orchestra.fleet import Fleet
from orchestra.sessions.message import DeliveryState, delivery_state, read_message
from orchestra.sessions.runners.activity import newest_activity
from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.state import Client, Exit, SessionFacts, Signal, Usage
from orchestra.sessions.store import AgentFolder, FleetFolder, Run, RunFolder
from orchestra.sessions.usage import add, total
from orchestra.sessions.window_line import window_cost

_ACTIVITY = 1 << 14  # bytes of output that are read for what a program does
_MOST_EVENTS = 1 << 20  # bytes: of a longer run the older events say nothing about its state


def read_session_facts(fleet: Fleet) -> dict[AgentName, SessionFacts]:
    """Return the facts of every agent that ever had a session or has one queued."""
    folder = FleetFolder(fleet.folder)
    queue_reason, has_supervisor = _queue_reason(folder), _has_supervisor(folder)
    clients = client_rows(folder)
    all_facts = (read_agent(agent, queue_reason, clients, has_supervisor) for agent in folder.agents())
    return {AgentName(facts.agent): facts for facts in all_facts if facts is not None}


def read_agent(
    agent: AgentFolder, queue_reason: str, clients: dict[str, Client], has_supervisor: bool
) -> SessionFacts | None:
    """Return one agent's facts; None when it never had a session and has none queued."""
    if error := agent.error():
        return SessionFacts(agent.name, "", "", error=error)
    queued, newest = agent.request, agent.newest()
    request = newest.request if newest is not None else queued
    if request is None:
        return None
    runs = agent.runs()
    results = [result for run in runs if (result := run.result) is not None]
    result = newest.result if newest is not None else None
    session_id = (result.session_id if result is not None else "") or request.session_id
    paused = queued is not None and queued.not_before > time.time()
    facts = SessionFacts(
        agent=agent.name,
        kind=request.kind,
        mode=request.mode,
        session_id=session_id,
        runs=len(runs),
        queued_at=queued.at if queued is not None else None,
        queued_why=f"the API refused it {queued.attempt} times; it starts again after a pause"
        if queued is not None and paused
        else queue_reason,
        usage=total(results),
    )
    if newest is None:
        return facts
    if newest.run is None and newest.ending is None and newest.stop is None:
        # Between taking the request and noting its process. After a kill there, the next supervisor queues it again.
        return replace(facts, queued_at=(queued or request).at, queued_why=queue_reason or "it is being started")
    facts = _with_run(facts, agent, newest, clients.get(session_id))
    if result is None and facts.result is not None:  # written since: the usage is of the same moment
        facts = replace(facts, usage=total([*results, facts.result]))
    if facts.result is None and (spent := window_cost(newest.path)) is not None:
        facts = replace(facts, usage=add(facts.usage, Usage(spent)))
    has_ended = facts.exit is not None and facts.stop is None and facts.result is None
    return replace(facts, unread_end=has_ended and has_supervisor, supervised=has_supervisor or not facts.alive)


def _with_run(facts: SessionFacts, agent: AgentFolder, newest: RunFolder, client: Client | None) -> SessionFacts:
    run, ending, stop = newest.run, newest.ending, newest.stop
    alive = run is not None and ending is None and process_tree.is_alive(run.keeper)
    if not alive and ending is None:
        ending = newest.ending  # it may have been written between the two looks
    started = run.started_at if run is not None else (ending.started_at if ending else None)
    events = run_events(agent, run, facts.session_id) if run is not None else []
    message = read_message(agent)
    delivery = delivery_state(message, newest) if message is not None else None
    end = None
    if ending is not None:
        name = ""
        if ending.signal is not None:
            is_named = ending.signal in signal.valid_signals()
            name = signal.Signals(ending.signal).name if is_named else f"signal {ending.signal}"
        end = Exit(ending.why, ending.exit_code, name, ending.ended_at, ending.detail)
    try:
        output = newest.out.stat()
        last_output_at = output.st_mtime if output.st_size else None
    except OSError:
        last_output_at = None
    screen = newest.screen if run is not None and run.window else None
    if screen is not None:
        last_output_at = screen.active_at
    # Other programs report nothing but their output.
    is_watched = facts.kind != RunnerKind.CLAUDE and (screen is not None or facts.mode == RunnerMode.HEADLESS)
    silent_since = max(last_output_at or 0.0, started or 0.0) if alive and is_watched else 0.0
    return replace(
        facts,
        started_at=started or (stop.at if stop else None),
        alive=alive,
        same_machine=run is None or run.keeper.machine == process_tree.this_machine(),
        exit=end,
        stop=stop,
        result=newest.result,
        signal=_last_signal(events),
        refused_calls=sum(str(event.get("detail")).startswith("refused: ") for event in events),
        busy=newest.busy if alive else None,
        client=client if client is not None and started is not None and client.at > started else None,
        last_output_at=last_output_at,
        silent_s=max(0.0, time.time() - silent_since) if silent_since else 0.0,
        asks=screen.asks if screen is not None and alive else "",
        activity=newest_activity(read_tail(newest.out, _ACTIVITY)) if alive and is_watched else "",
        window=run.window if run is not None else "",
        message=str(delivery) if delivery is not None else "",
        message_stuck=delivery is DeliveryState.STUCK,
    )


def run_events(agent: AgentFolder, run: Run, session_id: str, *, after: int = 0) -> list[dict[str, Any]]:
    """Return the hook events of a run after byte ``after`` that come from its session, oldest first.

    A session whose history a person cleared continues under another id. Events of any other session are not believed:
    the user's daemon may continue a copy of this one, with its hooks.
    """
    try:
        with open_regular(agent.events) as file:
            position = file.seek(max(run.events_before, os.fstat(file.fileno()).st_size - _MOST_EVENTS))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return []
    events, ids = [], {session_id}
    for line in lines:
        event = as_object(line.decode("utf-8", "replace"))
        if event is not None and (event.get("event"), event.get("detail")) == ("SessionStart", "clear"):
            ids.add(str(event.get("session")))
        if event is not None and event.get("session") in ids and position >= after:
            events.append(event)
        position += len(line) + 1
    return events


def newest_signal(agent: AgentFolder, run: Run, session_id: str) -> Signal | None:
    """Return the newest hook event of this run; earlier ones belong to earlier runs."""
    return _last_signal(run_events(agent, run, session_id))


def _last_signal(events: Sequence[Mapping[str, Any]]) -> Signal | None:
    for event in reversed(events):
        try:
            return Signal(str(event["event"]), float(event["at"]), str(event.get("detail", "")))
        except (ValueError, KeyError, TypeError):
            continue
    return None


def is_running(agent: AgentFolder) -> bool:
    """Return True while the process of the agent's newest session runs."""
    newest = agent.newest()
    run = newest.run if newest is not None else None
    return run is not None and process_tree.is_alive(run.keeper)


def takes_prompts(folder: FleetFolder, agent: AgentFolder, session_id: str, run: Run) -> bool:
    """Return True when an interactive session waits for a prompt and nothing else.

    The newer of its last hook event and the client's own answer decides.
    """
    event, client = newest_signal(agent, run, session_id), client_rows(folder).get(session_id)
    if client is not None and client.at > (event.at if event is not None else run.started_at):
        return client.status == "idle"
    return event is not None and event.ends_turn


def is_turn_over(agent: AgentFolder, run: Run, session_id: str) -> bool:
    """Return True when the last hook event of the session is the good end of a turn."""
    event = newest_signal(agent, run, session_id)
    return event is not None and event.ends_turn and not event.failed


def _queue_reason(folder: FleetFolder) -> str:
    held = (folder.read("backoff") or {}).get("held")
    if held:
        return f"{held}; fix this, then run orchestra start"
    if not _has_supervisor(folder):
        return "no supervisor is running; orchestra start resumes the queue"
    return str((folder.read("hold") or {}).get("reason") or "")


def _has_supervisor(folder: FleetFolder) -> bool:
    supervisor = folder.supervisor
    return supervisor is not None and process_tree.is_alive(supervisor)


def client_rows(folder: FleetFolder) -> dict[str, Client]:
    """Return the last answer of ``claude agents --json``, by session id."""
    answer = folder.read("clients") or {}
    try:
        at = float(answer["at"])
        rows = [row for row in answer["sessions"] if row.get("status")]
        return {str(row["sessionId"]): Client(row["status"], str(row.get("waitingFor") or ""), at) for row in rows}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
