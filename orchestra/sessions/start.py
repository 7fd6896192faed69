"""Put agents to work: queue their sessions, and start the one supervisor that works off the queue.

Invariant: an agent that is at work is never started twice; a fleet has one supervisor. Agents without a worktree, with
a failed set-up or with a decided branch are skipped, each with the reason and the fix.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from orchestra.blueprint.inline_templates import render_all, render_env
from orchestra.blueprint.model import PROGRAMS, Agent, AgentName, RunnerKind
from orchestra.engine import process, process_tree
from orchestra.errors import GroundError
from orchestra.files import read_tail
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId, read_fleet
from orchestra.sessions import prompts
from orchestra.sessions.change_requests import has_request
from orchestra.sessions.message import DeliveryState, append_message, delete_message, read_message
from orchestra.sessions.message_delivery import deliver
from orchestra.sessions.policy import make_policy
from orchestra.sessions.runners.registry import read_result, runner_of
from orchestra.sessions.scheduler import BackoffState, Budget, budget_refusal
from orchestra.sessions.session_facts import is_running
from orchestra.sessions.state import AgentState, State
from orchestra.sessions.store import AgentFolder, FleetFolder, Limits, SessionRequest, write_json
from orchestra.sessions.usage import spent_usd
from orchestra.workspace.paths import instruction_names
from orchestra.workspace.provision import SETUP_LOG, agent_environment

Environment = Callable[[Fleet, Agent], Mapping[str, str]]
"""Returns an agent's own variables, which are added to the user's."""
_AT_WORK = (State.STARTING, State.WORKING)
_RESUMED = (State.FAILED, State.STOPPED, State.LOST, State.UNKNOWN)
_SKIPPED = {
    State.DECLARED: "it has no worktree yet; run orchestra spawn {name}",
    State.NOT_READY: "its set-up failed; fix what {log} reports, then run orchestra spawn {name}",
    State.FINISHED: "it is finished; run orchestra review {name}, or orchestra start {name} --again",
    State.LANDED: "its work has landed",
    State.DISCARDED: "its work was discarded",
    State.WAITING: "its session waits for you; run orchestra attach {name}",
    State.IDLE: "its session is open and its turn is over; run orchestra attach {name}",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # these concern every agent
_LOOK_S = 0.02
_DELIVERY_S = 8.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class StartReport:
    """The outcome for each agent. ``by_hand``: commands to type; ``messages``: where a message to an open window is;
    ``supervisor``: the pid."""

    queued: list[AgentName] = field(default_factory=list)
    running: list[AgentName] = field(default_factory=list)
    skipped: list[tuple[AgentName, str]] = field(default_factory=list)
    by_hand: list[tuple[AgentName, tuple[str, ...]]] = field(default_factory=list)
    messages: list[tuple[AgentName, DeliveryState]] = field(default_factory=list)
    supervisor: int | None = None


def start_fleet(
    fleet: Fleet,
    states: Mapping[AgentName, AgentState],
    agents: Sequence[Agent] | None = None,
    *,
    include_finished: bool = False,
    environment: Environment = agent_environment,
) -> StartReport:
    """Queue a session for each of ``agents`` (None: all) that needs one, and start a supervisor if none runs.

    ``states``: of ``orchestra.status``. Failed, stopped and lost agents resume their own session, and with
    ``include_finished`` finished ones, too. Raises GroundError, before anything is queued, when the program of one of
    them cannot be started on this machine; or when the supervisor cannot be started.
    """
    report, folder = StartReport(), FleetFolder(fleet.folder)
    requests: list[tuple[Agent, SessionRequest]] = []
    budget_usd = fleet.blueprint.limits.budget_usd
    spent = sum(map(spent_usd, folder.agents())) if budget_usd is not None else 0.0
    budget = Budget(budget_usd, spent)
    with folder.control():
        # Decide for every agent first.
        for agent in fleet.blueprint.agents if agents is None else agents:
            state = states[agent.name]
            edited_by_hand = state.source == "git" and state.state is State.WORKING
            runs_unseen = state.state is State.UNKNOWN and is_running(folder.agent(agent.name))
            if (state.state in _AT_WORK and not edited_by_hand) or runs_unseen:
                report.running.append(agent.name)
            elif state.state is State.QUEUED:
                report.queued.append(agent.name)
            elif state.state in _SKIPPED and not (include_finished and state.state is State.FINISHED):
                log = fleet.agent_folder(agent.name) / SETUP_LOG
                report.skipped.append((agent.name, _SKIPPED[state.state].format(name=agent.name, log=log)))
            elif agent.runner.kind is RunnerKind.NONE:
                report.by_hand.append((agent.name, prompts.manual_commands(fleet.worktree(agent))))
            elif problem := folder.agent(agent.name).error():
                report.skipped.append((agent.name, f"its session files cannot be read: {problem}"))
            elif refusal := _budget_refusal(agent, folder.agent(agent.name), budget):
                report.skipped.append((agent.name, refusal))
            else:
                prompt = prompts.RESUME if edited_by_hand or state.state in _RESUMED else prompts.FIRST
                requests.append((agent, _new_request(fleet, agent, prompt, environment)))
        # Queue nothing when one program is missing.
        for _, request in requests:
            runner_of(request.kind).require(request)
        for agent, request in requests:
            try:
                _queue(fleet, agent, request, report)
            except OSError as error:
                if error.errno in _FULL:
                    raise
                report.skipped.append((agent.name, f"its session files cannot be written: {error}"))
    return _start_supervisor(fleet, folder, report)


def send_message(
    fleet: Fleet, agent: Agent, message: str, *, environment: Environment = agent_environment
) -> StartReport:
    """Send a reviewer's ``message`` to the agent's session: typed into its open window, else as the prompt that resumes
    it, or that starts its first session.

    A session that is at work gets it when its turn, or, headless, the session, has ended. After typing, this waits some
    seconds for the client to take it; the supervisor continues with what was not taken by then.
    """
    report, folder = StartReport(), FleetFolder(fleet.folder)
    agent_folder = folder.agent(agent.name)
    prompt = prompts.changes_requested(message)
    if agent.runner.kind is RunnerKind.NONE:
        report.by_hand.append((agent.name, prompts.manual_commands(fleet.worktree(agent))))
        return report
    with folder.control():
        newest = agent_folder.newest()
        run = newest.run if newest is not None else None
        if run is not None and not (run.window and process_tree.is_alive(run.keeper)):
            run = None
        if run is not None:
            append_message(agent_folder, prompt)
            report.running.append(agent.name)
        else:
            if (queued := agent_folder.request) is not None:
                prompt = f"{queued.prompt}\n\n{prompt}"
            _queue(fleet, agent, _new_request(fleet, agent, prompt, environment), report)
    if run is None:
        return _start_supervisor(fleet, folder, report)
    # Do not wait when the supervisor runs this (change_requests.py): it looks after nothing else meanwhile.
    supervisor = folder.supervisor
    patience = 0.0 if supervisor is not None and supervisor.pid == os.getppid() else _DELIVERY_S
    deadline = time.monotonic() + patience
    while True:
        with folder.control():
            delivery = deliver(folder, agent_folder)
        is_over = delivery is not DeliveryState.TYPED or time.monotonic() >= deadline
        if is_over or process.wait_gone(run.keeper, _LOOK_S * 5):
            break
    report.messages.append((agent.name, delivery))
    return replace(report, supervisor=ensure_supervisor(folder))


def _new_request(fleet: Fleet, agent: Agent, prompt: str, environment: Environment) -> SessionRequest:
    """Build the request that resumes the agent's last session, or starts its first, with any undelivered message."""
    folder, runner = FleetFolder(fleet.folder).agent(agent.name), agent.runner
    session_id, undelivered = _last_session(folder, runner.kind), read_message(folder)
    new_id = "" if runner.kind in PROGRAMS else str(uuid4())  # these programs name their sessions themselves
    refs = read_fleet(fleet.repository.git, fleet.name).get(agent.name)
    names = {"worktree": str(fleet.worktree(agent)), "repo": str(fleet.repository.home)}
    return SessionRequest(
        id=secrets.token_hex(6),
        at=time.time(),
        agent=agent.name,
        number=agent.number,
        kind=runner.kind,
        mode=runner.mode,
        home=str(fleet.repository.home),
        worktree=names["worktree"],
        base=str(refs.base) if refs is not None and refs.base is not None else "",
        prompt="\n\n".join((prompt, *(undelivered.texts if undelivered is not None else ()))),
        session_id=session_id or new_id,
        resume=session_id is not None,
        argv=render_all(runner.command, agent=agent, fleet=fleet.name, **names, ports=agent.ports),
        resume_argv=render_all(runner.resume, agent=agent, fleet=fleet.name, **names, ports=agent.ports),
        env={
            **environment(fleet, agent),
            **render_env(runner.env, agent=agent, fleet=fleet.name, **names, ports=agent.ports),
        },
        model=runner.model,
        max_turns=runner.max_turns,
        max_budget_usd=runner.max_budget_usd,
        timeout_s=runner.timeout_s,
        waiting=runner.waiting,
    )


def _budget_refusal(agent: Agent, folder: AgentFolder, budget: Budget) -> str:
    """Return why the supervisor would refuse the session for want of money."""
    if agent.runner.kind is not RunnerKind.CLAUDE:
        return ""
    own_limit = agent.runner.max_budget_usd
    return budget_refusal(None if own_limit is None else own_limit - spent_usd(folder), budget)


def _last_session(folder: AgentFolder, kind: RunnerKind) -> str | None:
    """Return the id of the newest session of that kind that can be resumed: its program really started and, for the
    client, printed something, or, for one that names its sessions itself, reported the id."""
    for run in reversed(folder.runs()):
        request, process_facts, ending = run.request, run.run, run.ending
        if request is None or process_facts is None or (ending is not None and ending.why == "unstarted"):
            continue
        if request.kind is not kind:
            continue
        if kind in PROGRAMS:
            if reported := read_result(request, run).session_id:
                return reported
            continue
        has_output = run.out.exists() and run.out.stat().st_size > 0
        if request.kind is RunnerKind.COMMAND or process_facts.window or has_output:
            result = run.result
            return (result.session_id if result else "") or request.session_id
    return None


def _queue(fleet: Fleet, agent: Agent, request: SessionRequest, report: StartReport) -> None:
    """Queue the session and write the agent's policy, each time, since the blueprint may have changed."""
    folder = FleetFolder(fleet.folder).agent(agent.name)
    base = request.base
    names = instruction_names(fleet.repository, fleet.blueprint, CommitId(base)) if base else None
    write_json(folder.policy, make_policy(fleet, agent, base, names.all if names else ()))
    folder.queue(request)
    delete_message(folder)
    fleet.ledger.record("session.queued", agent.name, session=request.session_id, resume=request.resume)
    report.queued.append(agent.name)


def _start_supervisor(fleet: Fleet, folder: FleetFolder, report: StartReport) -> StartReport:
    """Start a supervisor if there is work for it: queued sessions, requests for changes, or sessions to watch."""
    if not report.queued and not any(has_request(agent) or is_running(agent) for agent in folder.agents()):
        return report
    limits = fleet.blueprint.limits
    uses_client = any(agent.runner.kind is RunnerKind.CLAUDE for agent in fleet.blueprint.agents)
    folder.write("limits", Limits(limits.agents, limits.budget_usd, 1.0 if uses_client else 0.1))
    if (folder.read("backoff") or {}).get("held"):
        folder.write("backoff", BackoffState())  # a person who starts again has fixed the cause, such as a login
    return replace(report, supervisor=ensure_supervisor(folder))


def ensure_supervisor(folder: FleetFolder) -> int | None:
    """Start a supervisor unless one holds the lock; its pid, None when it finished before it could be read.

    When two are started at the same time, the second exits at once.
    """
    with folder.supervising() as free:
        if not free:
            supervisor = folder.supervisor
            return supervisor.pid if supervisor else None
    argv = (sys.executable, "-m", "orchestra.sessions.supervisor", str(folder.path))
    started = process.start_daemon(argv, cwd=_PACKAGE_ROOT, env=os.environ, log=folder.supervisor_log)
    while process_tree.is_alive(started):
        supervisor = folder.supervisor
        if supervisor is not None and process_tree.is_alive(supervisor):
            return supervisor.pid
        time.sleep(_LOOK_S)
    is_held = bool((folder.read("backoff") or {}).get("held"))
    if folder.supervisor != started and not is_held and any(agent.request for agent in folder.agents()):
        with folder.supervising() as free:
            if free:  # no other supervisor was faster: this one failed
                last_words = read_tail(folder.supervisor_log).decode("utf-8", "replace").strip().splitlines()[-1:]
                reason = f": {last_words[0]}" if last_words else ""
                raise GroundError(
                    f"the supervisor ended at once{reason}",
                    hint=f"fix that, then run orchestra start again; its log is {folder.supervisor_log}",
                )
    return None
