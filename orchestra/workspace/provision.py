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
from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine, Finished, JobId, Outcome, shell_job
from orchestra.files import read_regular, read_tail, write_atomically
from orchestra.fleet import Fleet
from orchestra.gates.environment import describe_removed, without_checkouts
from orchestra.git import worktree_admin
from orchestra.git.git_process import REDIRECTING
from orchestra.text import first_error_line

SETUP_LOG, TEARDOWN_LOG, MARK = "setup.log", "teardown.log", "setup.json"
_LOG_BYTES = 256_000  # of the end of a log, in which the first error line is looked for


class Ready(StrEnum):
    READY = "ready"  # every set-up command passed, or there is none
    NOT_READY = "not-ready"  # one failed, or the run that made the worktree was ended before
    UNKNOWN = "unknown"  # no mark: not spawned, or not by orchestra


@dataclass(frozen=True, slots=True)
class Readiness:
    """How an agent's set-up went; ``reason`` in a person's words, ``log`` of its commands where there is one.

    ``error_line``: the first error line of the command that failed; ``elapsed_s``: how long that command ran.
    """

    state: Ready
    reason: str = ""
    log: Path | None = None
    error_line: str = ""
    elapsed_s: float | None = None


def readiness(fleet: Fleet, agent: AgentName) -> Readiness:
    """Return how an agent's set-up went."""
    folder = fleet.agent_folder(agent)
    try:
        facts = json.loads(read_regular(folder / MARK) or b"null")
        state, reason = Ready(facts["state"]), str(facts["reason"])
        error_line, elapsed_s = str(facts.get("error_line") or ""), facts.get("elapsed_s")
    except (ValueError, KeyError, TypeError, RecursionError):
        return Readiness(Ready.UNKNOWN)
    log = folder / SETUP_LOG
    elapsed_s = float(elapsed_s) if isinstance(elapsed_s, int | float) else None
    return Readiness(state, reason, log if log.exists() else None, error_line, elapsed_s)


def mark(folder: Path, state: Ready, reason: str = "", *, error_line: str = "", elapsed_s: float | None = None) -> None:
    """Record in an agent's folder how its set-up stands."""
    failure = {} if elapsed_s is None else {"error_line": error_line, "elapsed_s": elapsed_s}
    facts = {"state": state, "reason": reason, **failure}  # the first two are what the scripts write, too
    write_atomically(folder / MARK, json.dumps(facts) + "\n")


def agent_environment(fleet: Fleet, agent: Agent) -> dict[str, str]:
    """The agent's own variables, for set-up, sessions and teardown: who it is, its ports, and ``setup.env``.

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
    rendered = render_env(env, agent=agent, fleet=fleet.name, worktree=worktree, repo=repo, ports=agent.ports)
    return identity | {name: str(port) for name, port in agent.ports.items()} | rendered


# -- running -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """A command that did not pass, how long it ran, the first error line that it printed (or ""), and its log."""

    command: str
    reason: str
    error_line: str
    elapsed_s: float
    log: Path


@dataclass(slots=True)
class _Queue:
    """The remaining commands of one agent."""

    agent: AgentName
    worktree: Path
    commands: list[str]
    log: Path
    env: Mapping[str, str]
    removed: str  # from the environment, as a sentence


def run_commands(
    fleet: Fleet,
    commands: Mapping[AgentName, Sequence[str]],
    *,
    engine: Engine,
    log_name: str,
    began: Callable[[AgentName, str], None],
    ended: Callable[[AgentName, Failure | None], None],
) -> None:
    """Run each agent's commands in order, agents side by side as far as the engine has places.

    An agent's first failure ends its commands. ``began`` is called for each command, ``ended`` once for each agent.
    """
    running: dict[JobId, _Queue] = {}
    timeout_s = fleet.blueprint.worktrees.setup.timeout_s
    inherited = {key: value for key, value in os.environ.items() if key not in REDIRECTING}
    checkouts = (fleet.repository.home, *worktree_admin.admins(fleet.repository))

    def submit(queue: _Queue) -> None:
        command = queue.commands[0]
        with queue.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {command}\n")
        job = JobId(f"{queue.log.stem}/{queue.agent}/{secrets.token_hex(4)}")
        running[job] = queue
        engine.submit(shell_job(job, command, queue.worktree, queue.env, queue.log, timeout_s=timeout_s))
        began(queue.agent, command)

    for name, listed in commands.items():
        agent, log = fleet.require_agent(name), fleet.agent_folder(name) / log_name
        # An active virtual environment of the main checkout would be changed, and used, instead of the agent's own.
        worktree = fleet.worktree(agent)
        others = [path for path in checkouts if path.resolve() != worktree.resolve()]
        removed = describe_removed(inherited, others)
        write_atomically(log, f"# {removed}\n" if removed else "")
        env = without_checkouts(inherited, others) | agent_environment(fleet, agent)
        submit(_Queue(name, worktree, list(listed), log, env, removed))
    while running:
        for event in engine.wait():
            if not isinstance(event, Finished) or (queue := running.pop(event.job, None)) is None:
                continue
            command, result = queue.commands.pop(0), event.result
            if result.outcome is not Outcome.PASSED:
                reason = {
                    Outcome.FAILED: f"`{command}` failed with exit code {result.exit_code}",
                    Outcome.TIMED_OUT: f"`{command}` did not end within {timeout_s:g} s",
                }.get(result.outcome, f"`{command}` could not be run: {result.detail or result.outcome}")
                remark = f" ({queue.removed})" if queue.removed else ""
                elapsed_s = max(0.0, result.ended_at - result.started_at)
                error_line = _error_line(command, queue.log, queue.worktree)
                ended(queue.agent, Failure(command, reason + remark, error_line, elapsed_s, queue.log))
            elif queue.commands:
                submit(queue)
            else:
                ended(queue.agent, None)


def _error_line(command: str, log: Path, worktree: Path) -> str:
    """Return the first error line that the last command of a log printed, with paths relative to the worktree."""
    from orchestra.gates.secrets_gate import redact  # here: only a failure needs its patterns

    output = read_tail(log, _LOG_BYTES).decode("utf-8", "replace").rpartition(f"$ {command}\n")[2]
    return first_error_line(redact(output.replace(f"{worktree}/", ""))) or ""
