"""The Claude Code client as an agent: headless (``claude -p``) or interactive in tmux.

Every flag used here is common to 2.1.197 and 2.1.330 (client facts, 4). The prompt goes through standard input, so
that nothing in it can be taken for a flag and no length limit of an argument list applies.

Invariant: a session never runs without settings of ours; that the client took them is checked from outside, since it
says nothing when it does not (stream.py, supervisor.py). Refuses: bypassing permissions; an interactive session that
would stop at a dialog nobody sees.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestra.blueprint.model import RunnerMode
from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.sessions import tmux
from orchestra.sessions.runners.claude_settings import make_settings, shut_paths
from orchestra.sessions.runners.claude_stream import ClaudeReader
from orchestra.sessions.runners.command import require_program
from orchestra.sessions.runners.protocol import Launch, Reader
from orchestra.sessions.sandbox import hide_placeholders, require_hooks_folder, sandbox_available
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest, read_json

PROGRAM = "claude"
_LONGEST_ARGUMENT = 100_000  # MAX_ARG_STRLEN is 131,072 on Linux
# A client started from within another one's session must not think that it belongs to that.
_OF_A_SESSION = (
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_PROJECT_DIR",
)
_ENVIRONMENT = {
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",  # one folder for a repository: all worktrees would share it
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # a run then has one end
    "DISABLE_AUTOUPDATER": "1",  # no new client in the middle of a fleet
}


class ClaudeRunner:
    """Starts the client with settings of its own for each agent."""

    def require(self, request: SessionRequest) -> None:
        """The client must be there, and an interactive one must not begin with a dialog."""
        env = {**os.environ, **(request.env or {})}
        require_program(PROGRAM, Path(request.worktree), env)
        if request.mode is RunnerMode.TMUX:
            tmux.require_tmux()
            require_no_dialog(Path(request.home), env)

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Writes the settings. GroundError when the policy is missing."""
        interactive = request.mode is RunnerMode.TMUX
        session = ("--resume", request.session_id) if request.resume else ("--session-id", request.session_id)
        shared = (*session, "--settings", str(agent.settings), *_choices(request))
        env = {**_ENVIRONMENT, **_telemetry(request), **_settle(request, agent)}
        if interactive:
            argv = (PROGRAM, _short(request.prompt, run), *shared, "--permission-mode", "acceptEdits")
            return Launch(argv, env, _OF_A_SESSION)
        money = () if cap_usd is None else ("--max-budget-usd", f"{cap_usd:.4f}")
        turns = () if request.max_turns is None else ("--max-turns", str(request.max_turns))
        output = ("--output-format", "stream-json", "--verbose")
        argv = (PROGRAM, "-p", *output, *shared, "--permission-mode", "dontAsk", *turns, *money)
        return Launch(argv, env, _OF_A_SESSION, stdin=run.prompt)

    def reader(self, request: SessionRequest) -> Reader:
        """Interactive sessions print a screen, which nobody reads."""
        return ClaudeReader(guarded=request.mode is RunnerMode.HEADLESS)


def _choices(request: SessionRequest) -> tuple[str, ...]:
    return () if request.model is None else ("--model", request.model)


def _short(prompt: str, run: RunFolder) -> str:
    return prompt if len(prompt.encode()) < _LONGEST_ARGUMENT else f"Read {run.prompt} and do what it says."


def _telemetry(request: SessionRequest) -> dict[str, str]:
    """Who is who in the client's own telemetry, where the user has switched that on."""
    if not os.environ.get("CLAUDE_CODE_ENABLE_TELEMETRY"):
        return {}
    before = os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
    ours = f"orchestra.agent={request.agent}"
    return {"OTEL_RESOURCE_ATTRIBUTES": f"{before},{ours}" if before else ours}


def _settle(request: SessionRequest, agent: AgentFolder) -> dict[str, str]:
    """Write the session's settings; what its environment needs for them."""
    policy = read_json(agent.policy)
    if policy is None:
        raise GroundError(f"{agent.policy} is missing", hint="run orchestra start again")
    sandbox = sandbox_available()
    interactive = request.mode is RunnerMode.TMUX
    settings = make_settings(policy, agent.path, interactive=interactive, sandbox=sandbox)
    write_atomically(agent.settings, json.dumps(settings, indent=1) + "\n")
    if not sandbox:
        return {}
    require_hooks_folder(Path(request.worktree))
    env = {**os.environ, **(request.env or {})}
    return hide_placeholders(Path(request.worktree), agent.path, shut_paths(policy), env)


def require_no_dialog(home: Path, env: dict[str, str]) -> None:
    """Raises GroundError when an interactive client would first ask something that nobody is there to answer."""
    config = config_file(env)
    known = read_json(config) or {}
    mend = f"run claude once in {home}, answer its questions, and start again; or use `mode: headless`"
    if not known.get("hasCompletedOnboarding"):
        raise GroundError("the client has not been set up on this machine yet: it would show its welcome", hint=mend)
    if not is_trusted(known, home):
        raise GroundError(f"the client does not trust {home} yet: it would ask first", hint=mend)
    key = env.get("ANTHROPIC_API_KEY", "")
    approved = (known.get("customApiKeyResponses") or {}).get("approved") or []
    if key and key[-20:] not in approved:
        raise GroundError("the client would ask whether to use the key in ANTHROPIC_API_KEY", hint=mend)


def config_file(env: dict[str, str]) -> Path:
    """Where the client keeps what it has asked before."""
    folder = env.get("CLAUDE_CONFIG_DIR") or env.get("HOME") or str(Path.home())
    return Path(folder) / ".claude.json"


def is_trusted(config: dict[str, object], home: Path) -> bool:
    """Trust of the main checkout holds for all its worktrees."""
    projects = config.get("projects")
    entry = projects.get(str(home)) if isinstance(projects, dict) else None
    return bool(isinstance(entry, dict) and entry.get("hasTrustDialogAccepted"))
