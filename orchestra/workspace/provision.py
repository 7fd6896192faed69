"""From a fresh worktree to one that builds: the commands of ``setup``, and the mark that says how they went.

Invariant: an agent is ready only when every command of its set-up ended with exit code 0; one that is not ready stops
no other, and the next spawn tries it again. Commands run in the agent's worktree with the user's environment, without
what leads into another checkout of the repository, and the agent's own variables. Their output is in a log.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.inline_templates import render_env
from orchestra.blueprint.model import Agent, AgentName, FleetName
from orchestra.engine.job import Engine, Finished, JobId, Outcome, Result, shell_job
from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.gates.environment import describe_removed, without_checkouts
from orchestra.git import worktree_admin
from orchestra.git.git_process import REDIRECTING
from orchestra.git.repository import Repository
from orchestra.workspace.paths import agent_folder
from orchestra.workspace.steps import RunCommand

SETUP_LOG, TEARDOWN_LOG, MARK = "setup.log", "teardown.log", "setup.json"


class Ready(StrEnum):
    READY = "ready"  # every set-up command passed, or there is none
    NOT_READY = "not-ready"  # one failed, or the run that made the worktree was ended before
    UNKNOWN = "unknown"  # no mark: not spawned, or not by orchestra


@dataclass(frozen=True, slots=True)
class Readiness:
    """How an agent's set-up went; ``reason`` in a person's words, ``log`` of its commands where there is one."""

    state: Ready
    reason: str = ""
    log: Path | None = None


def readiness(repository: Repository, fleet: FleetName, agent: AgentName) -> Readiness:
    """Return how an agent's set-up went."""
    folder = agent_folder(repository, fleet, agent)
    try:
        facts = json.loads((folder / MARK).read_text("utf-8"))
        state, reason = Ready(facts["state"]), str(facts["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return Readiness(Ready.UNKNOWN)
    log = folder / SETUP_LOG
    return Readiness(state, reason, log if log.exists() else None)


def mark(folder: Path, state: Ready, reason: str = "") -> None:
    """Say in an agent's folder how its set-up stands."""
    write_atomically(folder / MARK, json.dumps({"state": state, "reason": reason}) + "\n")


def agent_environment(fleet: Fleet, agent: Agent) -> dict[str, str]:
    """The agent's own variables, for its set-up, its sessions and its teardown: ``setup.env`` rendered, and who it is.

    Additions to an environment, not a whole one.
    """
    worktree, repo = str(fleet.worktree(agent)), str(fleet.repository.home)
    identity = {
        "ORCHESTRA_FLEET": fleet.name,
        "ORCHESTRA_AGENT": agent.name,
        "ORCHESTRA_AGENT_NUMBER": str(agent.number),
        "ORCHESTRA_WORKTREE": worktree,
        "ORCHESTRA_REPO": repo,
    }
    env = fleet.blueprint.worktrees.setup.env
    return identity | render_env(env, agent=agent, fleet=fleet.name, worktree=worktree, repo=repo)


# -- running -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """A command that did not pass, and its log."""

    command: str
    reason: str
    log: Path


@dataclass(slots=True)
class _Queue:
    """What is left to run for one agent."""

    agent: Agent
    steps: list[RunCommand]
    log: Path
    env: Mapping[str, str]
    removed: str  # from the environment, as a sentence
    failure: Failure | None = None

    def conclude(self, result: Result) -> None:
        """Take a command off; after one that did not pass there are none left."""
        step = self.steps.pop(0)
        if result.outcome is not Outcome.PASSED:
            remark = f" ({self.removed})" if self.removed else ""
            self.failure = Failure(step.command, _reason(step, result) + remark, self.log)
            self.steps.clear()


def run_commands(
    fleet: Fleet,
    steps: Sequence[RunCommand],
    *,
    engine: Engine,
    log_name: str,
    began: Callable[[RunCommand], None],
    ended: Callable[[AgentName, Failure | None], None],
) -> None:
    """Run each agent's commands in order, agents side by side as far as the engine has places.

    An agent's first failure ends its commands. ``began`` is called for each command, ``ended`` once for each agent.
    """
    checkouts = (fleet.repository.home, *worktree_admin.admins(fleet.repository))
    names = dict.fromkeys(step.agent for step in steps)
    queues = {name: _queue(fleet, name, steps, log_name, checkouts) for name in names}
    running: dict[JobId, _Queue] = {}
    for queue in queues.values():
        began(_submit(engine, queue, running))
    while running:
        for event in engine.wait():
            if isinstance(event, Finished) and (ended_queue := running.pop(event.job, None)) is not None:
                ended_queue.conclude(event.result)
                if ended_queue.steps:
                    began(_submit(engine, ended_queue, running))
                else:
                    ended(ended_queue.agent.name, ended_queue.failure)


def _queue(
    fleet: Fleet, name: AgentName, steps: Sequence[RunCommand], log_name: str, checkouts: Sequence[Path]
) -> _Queue:
    agent = fleet.require_agent(name)
    log = fleet.agent_folder(name) / log_name
    log.parent.mkdir(parents=True, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if key not in REDIRECTING}
    # An active virtual environment of the main checkout would be changed, and used, instead of the agent's own.
    own = fleet.worktree(agent).resolve()
    others = [path for path in checkouts if path.resolve() != own]
    removed = describe_removed(inherited, others)
    log.write_text(f"# {removed}\n" if removed else "", "utf-8", "surrogateescape")
    env = without_checkouts(inherited, others) | agent_environment(fleet, agent)
    return _Queue(agent, [step for step in steps if step.agent == name], log, env, removed)


def _submit(engine: Engine, queue: _Queue, running: dict[JobId, _Queue]) -> RunCommand:
    step = queue.steps[0]
    with queue.log.open("a", encoding="utf-8") as log:
        log.write(f"$ {step.command}\n")
    job = JobId(f"{queue.log.stem}/{step.agent}/{secrets.token_hex(4)}")
    running[job] = queue
    engine.submit(shell_job(job, step.command, step.worktree, queue.env, queue.log, timeout_s=step.timeout_s))
    return step


def _reason(step: RunCommand, result: Result) -> str:
    if result.outcome is Outcome.FAILED:
        return f"`{step.command}` failed with exit code {result.exit_code}"
    if result.outcome is Outcome.TIMED_OUT:
        return f"`{step.command}` did not end within {step.timeout_s:g} s"
    return f"`{step.command}` could not be run: {result.detail or result.outcome}"
