"""Put agents to work: orders for the queue, and one supervisor that works it off.

Invariant: an agent that is at work is joined, never doubled; a fleet has one supervisor. Refuses agents that have no
worktree, whose set-up failed, or whose work is decided already; each refusal says what to do.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from orchestra.blueprint.inline_templates import render_all, render_env
from orchestra.blueprint.model import Agent, AgentName, RunnerKind
from orchestra.engine import process, process_tree
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId, read_fleet
from orchestra.sessions import prompts
from orchestra.sessions.change_requests import has_request
from orchestra.sessions.message import Course, forget_message, leave_message, read_message
from orchestra.sessions.message_delivery import carry
from orchestra.sessions.policy import make_policy
from orchestra.sessions.runners.manual import what_to_type
from orchestra.sessions.runners.protocol import runner_of
from orchestra.sessions.scheduler import Weather
from orchestra.sessions.state import AgentState, State
from orchestra.sessions.store import AgentFolder, FleetFolder, Limits, Order, Run, RunFolder, write_json
from orchestra.workspace.paths import instruction_names
from orchestra.workspace.provision import agent_environment

Environment = Callable[[Fleet, Agent], Mapping[str, str]]
"""What an agent's own variables are, on top of the user's."""
_AT_WORK = (State.STARTING, State.WORKING, State.WAITING, State.IDLE)
_INTERRUPTED = (State.FAILED, State.STOPPED, State.LOST, State.UNKNOWN)
_WHY_NOT = {
    State.DECLARED: "it has no worktree yet: orchestra spawn makes one",
    State.NOT_READY: "its set-up failed: see its setup.log, mend it, and run orchestra spawn again",
    State.FINISHED: "it is finished: orchestra review, or start with --again",
    State.LANDED: "its work has landed",
    State.DISCARDED: "its work was discarded",
    State.QUEUED: "it is queued already",
}


@dataclass(frozen=True)
class StartReport:
    """What became of each agent that was named. ``by_hand``: lines to type; ``messages``: what became of a message to
    an open window; ``supervisor``: its process."""

    queued: list[AgentName] = field(default_factory=list)
    running: list[AgentName] = field(default_factory=list)
    skipped: list[tuple[AgentName, str]] = field(default_factory=list)
    by_hand: list[tuple[AgentName, tuple[str, ...]]] = field(default_factory=list)
    messages: list[tuple[AgentName, Course]] = field(default_factory=list)
    supervisor: int | None = None


def start_fleet(
    fleet: Fleet,
    states: Mapping[AgentName, AgentState],
    agents: Sequence[Agent] | None = None,
    *,
    again: bool = False,
    environment: Environment = agent_environment,
) -> StartReport:
    """Queue a session for each of ``agents`` (None: all) that needs one, and see to it that the queue is worked off.

    ``states``: where each agent is (``orchestra.status``). What failed, was stopped or got lost is gone on with in its
    own session. ``again``: finished agents too. Raises GroundError, before anything is queued, when the program of one
    of them cannot be started on this machine; or when the supervisor cannot.
    """
    report, folder = StartReport(), FleetFolder(fleet.folder)
    chosen = fleet.blueprint.agents if agents is None else agents
    with folder.control():
        starts = [_Start(fleet, agent, folder.agent(agent.name), environment) for agent in chosen]
        wanted = [(start, _consider(report, start, states[start.agent.name], again)) for start in starts]
        for _, order in wanted:
            if order is not None:
                runner_of(order.kind).require(order)
        for start, order in wanted:
            if order is not None:
                start.queue(order, report)
    return _work_off(fleet, folder, report)


def send_back(
    fleet: Fleet,
    agent: Agent,
    message: str,
    *,
    environment: Environment = agent_environment,
) -> StartReport:
    """Give ``message`` to the agent's own session: typed where it is open in tmux, else as the prompt that resumes it.

    A session that is still at work gets it when its turn, or, headless, the session, has ended. An agent without a
    session starts one. Of a message that was typed this waits some seconds for the client to take it; the supervisor
    goes on with what was not taken by then.
    """
    report, folder = StartReport(), FleetFolder(fleet.folder)
    own = folder.agent(agent.name)
    prompt = prompts.sent_back(message)
    if agent.runner.kind is RunnerKind.NONE:
        report.by_hand.append((agent.name, what_to_type(fleet.worktree(agent))))
        return report
    with folder.control():
        newest = own.newest()
        run = newest.run if newest is not None else None
        if run is not None and run.window and process_tree.is_alive(run.keeper):
            leave_message(own, prompt)
            report.running.append(agent.name)
        else:
            start = _Start(fleet, agent, own, environment)
            if (waiting := own.order) is not None:
                prompt = f"{waiting.prompt}\n\n{prompt}"
            start.queue(start.order(prompt), report)
    if run is None or not report.running:
        return _work_off(fleet, folder, report)
    report.messages.append((agent.name, _see_taken(folder, own, run)))
    return replace(report, supervisor=ensure_supervisor(folder))


def _see_taken(folder: FleetFolder, agent: AgentFolder, run: Run) -> Course:
    """Carry the message as far as it goes within a few seconds; the supervisor's own helper (inbox.py) does not wait,
    since nothing else is looked after meanwhile."""
    who = folder.supervisor
    patience = 0.0 if who is not None and who.pid == os.getppid() else _PATIENCE_S
    deadline = time.monotonic() + patience
    while True:
        with folder.control():
            course = carry(folder, agent)
        if course is not Course.TYPED or time.monotonic() >= deadline or process.wait_gone(run.keeper, _LOOK_S * 5):
            return course


@dataclass(frozen=True)
class _Start:
    fleet: Fleet
    agent: Agent
    folder: AgentFolder
    environment: Environment

    def order(self, prompt: str) -> Order:
        """A session that goes on with the agent's last one, or its first; it is also told what the last one was not."""
        last, left = self._last_session(), read_message(self.folder)
        prompt = "\n\n".join((prompt, *(left.texts if left is not None else ())))
        fleet, agent, runner = self.fleet, self.agent, self.agent.runner
        names = {"worktree": str(fleet.worktree(agent)), "repo": str(fleet.repository.home)}
        return Order(
            id=secrets.token_hex(6),
            at=time.time(),
            agent=agent.name,
            number=agent.number,
            kind=runner.kind,
            mode=runner.mode,
            home=str(fleet.repository.home),
            worktree=names["worktree"],
            base=self._base(),
            prompt=prompt,
            session_id=last or str(uuid4()),
            resume=last is not None,
            argv=render_all(runner.command, agent=agent, fleet=fleet.name, **names),
            resume_argv=render_all(runner.resume, agent=agent, fleet=fleet.name, **names),
            env={**self.environment(fleet, agent), **render_env(runner.env, agent=agent, fleet=fleet.name, **names)},
            model=runner.model,
            max_turns=runner.max_turns,
            max_budget_usd=runner.max_budget_usd,
            timeout_s=runner.timeout_s,
        )

    def queue(self, order: Order, report: StartReport) -> None:
        """Want that session, and say what the agent may edit; anew each time, since the blueprint may have changed."""
        base = self._base()
        names = instruction_names(self.fleet.repository, self.fleet.blueprint, CommitId(base)) if base else None
        policy = make_policy(self.fleet, self.agent, base, names.all if names else ())
        write_json(self.folder.policy, policy)
        self.folder.queue(order)
        forget_message(self.folder)
        self.fleet.ledger.record("session.queued", self.agent.name, session=order.session_id, resume=order.resume)
        report.queued.append(self.agent.name)

    def _base(self) -> str:
        refs = read_fleet(self.fleet.repository.git, self.fleet.name).get(self.agent.name)
        return str(refs.base) if refs is not None and refs.base is not None else ""

    def _last_session(self) -> str | None:
        """The session to go on with: the newest that really began."""
        for run in reversed(self.folder.runs()):
            if (order := run.order) is not None and _has_begun(run):
                digest = run.digest
                return (digest.session_id if digest else "") or order.session_id
        return None


def _has_begun(run: RunFolder) -> bool:
    """Whether the program came so far that there is a session to resume; the client says one word when it did."""
    order, ending = run.order, run.ending
    if order is None or run.run is None or (ending is not None and ending.why == "unstarted"):
        return False
    return order.kind is RunnerKind.COMMAND or run.run.window != "" or (run.out.exists() and run.out.stat().st_size > 0)


def _consider(report: StartReport, start: _Start, state: AgentState, again: bool) -> Order | None:
    """The session that this agent needs, if it needs one; what else there is to say goes into the report."""
    name, runner = start.agent.name, start.agent.runner
    by_hand = state.source == "git" and state.state is State.WORKING
    if state.state in _AT_WORK and not by_hand:
        report.running.append(name)
    elif state.state is State.QUEUED:
        report.queued.append(name)
    elif state.state in _WHY_NOT and not (again and state.state is State.FINISHED):
        report.skipped.append((name, _WHY_NOT[state.state]))
    elif runner.kind is RunnerKind.NONE:
        report.by_hand.append((name, what_to_type(start.fleet.worktree(start.agent))))
    else:
        return start.order(prompts.GO_ON if by_hand or state.state in _INTERRUPTED else prompts.FIRST)
    return None


def _work_off(fleet: Fleet, folder: FleetFolder, report: StartReport) -> StartReport:
    if not report.queued and not any(has_request(agent) for agent in folder.agents()):
        return report
    limits = fleet.blueprint.limits
    claude = any(agent.runner.kind is RunnerKind.CLAUDE for agent in fleet.blueprint.agents)
    folder.write("limits", Limits(limits.agents, limits.budget_usd, 1.0 if claude else 0.1))
    _forgive(folder)
    return replace(report, supervisor=ensure_supervisor(folder))


def _forgive(folder: FleetFolder) -> None:
    """A person who starts again has mended what held the fleet, such as a login."""
    if (folder.read("weather") or {}).get("held"):
        folder.write("weather", Weather())


def ensure_supervisor(folder: FleetFolder) -> int | None:
    """Start a supervisor unless one holds the lock; its pid, None when it was done before we could ask.

    Of two that start at the same time one goes at once, which does no harm.
    """
    with folder.supervising() as free:
        if not free:
            who = folder.supervisor
            return who.pid if who else None
    argv = (sys.executable, "-m", "orchestra.sessions.supervisor", str(folder.path))
    started = process.start_daemon(argv, cwd=_PACKAGE_ROOT, env=os.environ, log=folder.supervisor_log)
    while process_tree.is_alive(started):
        who = folder.supervisor
        if who is not None and process_tree.is_alive(who):
            return who.pid
        time.sleep(_LOOK_S)
    return None


_LOOK_S = 0.02
_PATIENCE_S = 8.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
