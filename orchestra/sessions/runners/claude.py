"""The Claude Code client as an agent: headless (``claude -p``) or interactive in tmux.

Every flag used here works with 2.1.197 and 2.1.330. The prompt goes through standard input, so that nothing in it can
be taken for a flag, and no limit on the length of arguments applies.

Invariant: a session never runs without orchestra's settings; the client ignores bad settings silently, so this is
checked from outside (claude_stream.py, supervisor.py). Permissions are never bypassed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from orchestra.blueprint.model import RunnerMode
from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.sessions import tmux
from orchestra.sessions.runners.claude_settings import make_settings, shut_paths
from orchestra.sessions.runners.claude_stream import ClaudeReader
from orchestra.sessions.runners.protocol import Launch, Reader
from orchestra.sessions.sandbox import (
    SANDBOX_FIX,
    hide_placeholders,
    require_hooks_folder,
    sandbox_available,
    sandbox_error,
)
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest, read_json

PROGRAM = "claude"
_LONGEST_ARGUMENT = 100_000  # MAX_ARG_STRLEN is 131,072 on Linux
# A client started from within another session must not take itself for a part of it.
OF_A_SESSION = (
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_PROJECT_DIR",
)
ENVIRONMENT = {
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",  # one folder for a repository: all worktrees would share it
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # a run then has one end
    "CLAUDE_CODE_DISABLE_AGENT_VIEW": "1",  # it would move the session to the user's daemon, under another id
    "DISABLE_AUTOUPDATER": "1",  # no new client in the middle of a fleet
}


class ClaudeRunner:
    """Starts the client with settings of its own for each agent."""

    def require(self, request: SessionRequest) -> None:
        """Require the client, a sandbox that works if there is one, and for tmux that it starts without a dialog."""
        env = {**os.environ, **(request.env or {})}
        if shutil.which(PROGRAM, path=env.get("PATH")) is None:
            raise GroundError("the Claude Code client is not on PATH", hint=install_client())
        if sandbox_available() and (error := sandbox_error()):
            raise GroundError(error, hint=SANDBOX_FIX)
        if request.mode is RunnerMode.TMUX:
            tmux.require_tmux()
            require_no_dialog(Path(request.home), env)

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Write the settings and return the command. Raises GroundError when the policy is missing."""
        interactive = request.mode is RunnerMode.TMUX
        session = ("--resume", request.session_id) if request.resume else ("--session-id", request.session_id)
        model = () if request.model is None else ("--model", request.model)
        name = f"{agent.path.parents[1].name}/{request.agent}"  # in the client's lists and the terminal's title
        shared = (*session, "--name", name, "--settings", str(agent.settings), *model)
        env = {**ENVIRONMENT, **_telemetry(request), **_write_settings(request, agent, run)}
        if interactive:
            is_short = len(request.prompt.encode()) < _LONGEST_ARGUMENT
            prompt = request.prompt if is_short else f"Read {run.prompt} and do what it says."
            argv = (PROGRAM, prompt, *shared, "--permission-mode", "acceptEdits")
            return Launch(argv, env, OF_A_SESSION)
        money = () if cap_usd is None else ("--max-budget-usd", f"{cap_usd:.4f}")
        turns = () if request.max_turns is None else ("--max-turns", str(request.max_turns))
        output = ("--output-format", "stream-json", "--verbose")
        argv = (PROGRAM, "-p", *output, *shared, "--permission-mode", "dontAsk", *turns, *money)
        return Launch(argv, env, OF_A_SESSION, stdin=run.prompt)

    def reader(self, request: SessionRequest) -> Reader:
        """Return a reader; the screen of an interactive session holds nothing to read."""
        return ClaudeReader(guarded=request.mode is RunnerMode.HEADLESS)


def _telemetry(request: SessionRequest) -> dict[str, str]:
    """Name the agent in the client's own telemetry, where the user has enabled that."""
    if not os.environ.get("CLAUDE_CODE_ENABLE_TELEMETRY"):
        return {}
    before = os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
    ours = f"orchestra.agent={request.agent}"
    return {"OTEL_RESOURCE_ATTRIBUTES": f"{before},{ours}" if before else ours}


def _write_settings(request: SessionRequest, agent: AgentFolder, run: RunFolder) -> dict[str, str]:
    """Write the session's settings; return the variables that it needs for them."""
    policy = read_json(agent.policy)
    if policy is None:
        raise GroundError(f"{agent.policy} is missing or unreadable", hint="run orchestra start again, which writes it")
    sandbox = sandbox_available()
    window_run = run.path if request.mode is RunnerMode.TMUX else None
    settings = make_settings(policy, agent.path, window_run=window_run, sandbox=sandbox)
    write_atomically(agent.settings, json.dumps(settings, indent=1) + "\n")
    if not sandbox:
        return {}
    require_hooks_folder(Path(request.worktree))
    env = {**os.environ, **(request.env or {})}
    return hide_placeholders(Path(request.worktree), agent.path, shut_paths(policy), env)


def install_client() -> str:
    """Return the command that installs the client."""
    command = "npm install -g @anthropic-ai/claude-code"
    return command if shutil.which("npm") else f"install Node.js with npm, then run {command}"


def require_no_dialog(home: Path, env: dict[str, str]) -> None:
    """Raise GroundError when an interactive client would start with a dialog."""
    config = config_file(env)
    state = read_json(config) or {}
    fix = f"run claude once in {home}, answer its questions, then run orchestra start; or set `mode: headless`"
    if not state.get("hasCompletedOnboarding"):
        raise GroundError(
            "the client has never been run on this machine: it would start with its set-up dialog", hint=fix
        )
    if not is_trusted(state, home):
        raise GroundError(f"the client does not trust {home} yet: it would start with the trust dialog", hint=fix)
    key = env.get("ANTHROPIC_API_KEY", "")
    approved = (state.get("customApiKeyResponses") or {}).get("approved") or []
    if key and key[-20:] not in approved:
        raise GroundError("the client would start with a dialog about the key in ANTHROPIC_API_KEY", hint=fix)


def config_file(env: dict[str, str]) -> Path:
    """Return the file in which the client keeps the answers to its dialogs."""
    folder = env.get("CLAUDE_CONFIG_DIR") or env.get("HOME") or str(Path.home())
    return Path(folder) / ".claude.json"


def is_trusted(config: dict[str, object], home: Path) -> bool:
    """Return True when the client trusts the main checkout, and so all its worktrees."""
    projects = config.get("projects")
    entry = projects.get(str(home)) if isinstance(projects, dict) else None
    return bool(isinstance(entry, dict) and entry.get("hasTrustDialogAccepted"))
