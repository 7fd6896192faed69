"""The programs that orchestra drives headless through their own options: codex, gemini, opencode and qwen.

``AgentProgram`` is what such a program must supply: its commands, what it reads (rules, permissions), its login. All
else is the same for each: it is sent back while its work is not finished (resume_loop.py), and its output gives the
session id, the usage, what it does, and what concerns the fleet (output_parsers.py, activity.py).

Invariant: nothing is written into the worktree, and no file of the repository is replaced; a session is only resumed
under an id that the program itself has reported.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.sessions.runners.command import rules_text
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.placeholders import fill, has_prompt
from orchestra.sessions.runners.protocol import Launch, Reader
from orchestra.sessions.runners.resume_loop import LoopPlan, loop_command
from orchestra.sessions.sandbox import sandbox_available
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest, read_json

NEVER_GIT = ("push", "worktree", "update-ref", "symbolic-ref", "stash", "remote", "submodule")
"""Subcommands that a program with rules for its shell refuses: refs and worktrees are orchestra's."""
_WILDCARD = re.compile(r"[\\*?\[\](){}!+@|]")


@dataclass(frozen=True, slots=True)
class ProgramSession:
    """What a program's options are made from. ``rules``: the fleet's standards; ``policy``: see policy.py."""

    request: SessionRequest
    agent: AgentFolder
    policy: Mapping[str, Any]
    rules: str

    def variable(self, name: str) -> str:
        """Return an environment variable as the session would have it; empty where it is not set."""
        return {**os.environ, **(self.request.env or {})}.get(name, "")


class AgentProgram(Protocol):
    """One program. A command without ``{prompt}`` gets the prompt on its standard input."""

    name: str  # of its executable
    package: str  # the command that installs it
    oldest: tuple[int, ...]  # the versions that were tested
    newest: tuple[int, ...]
    rules_in_prompt: bool  # its first prompt ends with the fleet's rules

    def start(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command of a new session."""

    def resume(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command that resumes the session ``{session_id}``."""

    def environment(self, session: ProgramSession) -> Mapping[str, str]:
        """Prepare what the commands refer to, outside the worktree; return the variables that the program needs."""

    def problem(self, env: Mapping[str, str]) -> tuple[str, str] | None:
        """Return why sessions cannot work on this machine, with the fix; None where they can."""

    def login(self, env: Mapping[str, str]) -> str:
        """Return how the program is logged in, as far as it can be seen; empty where no login is found."""


class ProgramRunner:
    """Runs one ``AgentProgram``."""

    def __init__(self, program: AgentProgram) -> None:
        self.program = program

    def require(self, request: SessionRequest) -> None:
        """Require the program, and whatever it needs to confine its sessions."""
        require_installed(self.program, {**os.environ, **(request.env or {})})

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Return the command under the loop that sends it back. Raises GroundError when the policy is missing."""
        policy = read_json(agent.policy)
        if policy is None:
            problem = f"{agent.policy} is missing or unreadable"
            raise GroundError(problem, hint="run orchestra start again, which writes it")
        session = ProgramSession(request, agent, policy, rules_text(agent))
        env = self.program.environment(session)
        # The quick gates run what the agent wrote: in a sandbox, as its own commands do.
        denied = [policy["state"], *(f"{policy['worktree']}/{name}" for name in policy["closed"])]
        sandbox = {"sandbox": {"filesystem": {"denyWrite": denied}}} if sandbox_available() else {}
        write_atomically(agent.settings, json.dumps(sandbox, indent=1) + "\n")
        can_resume = request.resume and bool(request.session_id)
        template = self.program.resume(session) if can_resume else self.program.start(session)
        if self.program.rules_in_prompt and not can_resume:
            run.prompt.write_text(f"{request.prompt}{session.rules}", "utf-8")
        values = {
            "prompt": request.prompt,
            "prompt_file": str(run.prompt),
            "worktree": request.worktree,
            "session_id": request.session_id,
            "settings": str(agent.policy),
        }
        argv = [fill(part, values) for part in template]
        plan = LoopPlan(argv, not has_prompt(template), list(self.program.resume(session)), values)
        return Launch(loop_command(run, plan), env)

    def reader(self, request: SessionRequest) -> Reader:
        """Return the parser of its events."""
        return parser_of((self.program.name,))


def require_installed(program: AgentProgram, env: Mapping[str, str]) -> None:
    """Raise GroundError, with the fix, where the program is missing or cannot confine its sessions."""
    if shutil.which(program.name, path=env.get("PATH")) is None:
        raise GroundError(f"{program.name} is not on PATH", hint=program.package)
    problem = program.problem(env)
    if problem is not None:
        raise GroundError(problem[0], hint=problem[1])


def one_character_wildcards(path: str) -> str:
    """Replace what a glob reads as special by ``?``: programs differ in how they escape it, if they can."""
    return _WILDCARD.sub("?", path)


def read_settings(text: str, place: str) -> dict[str, Any]:
    """Return the user's settings, which a session's are added to. Raises GroundError, as no setting may be dropped."""
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise GroundError(f"{place} is not JSON: {error}", hint=f"correct {place}, or unset it") from error
    return value if isinstance(value, dict) else {}
