"""The Codex CLI as an agent (``codex exec --json``), seen with 0.171.0.

The scope becomes a permission profile of its own sandbox: the worktree is writable but for what the agent may not
change, and of the repository's ``.git`` what a commit needs, objects and the folders of the agent's branch; the
target's ref and orchestra's are read-only. The profile is passed when a session is resumed, too, which has no
``--sandbox`` option. The fleet's rules are ``developer_instructions``, so that the repository's own AGENTS.md is read
as ever.

Invariant: no approval is ever asked for, and the sandbox is never bypassed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestra.engine import process
from orchestra.git.git_process import Git
from orchestra.sessions.runners.agent_program import ProgramSession
from orchestra.sessions.sandbox import SANDBOX_FIX

_KEYS = ("CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_API_KEY")


class Codex:
    """Commands and permissions of the Codex CLI."""

    name = "codex"
    package = "npm install -g @openai/codex"
    oldest: tuple[int, ...] = (0, 171, 0)
    newest: tuple[int, ...] = (0, 171, 0)
    rules_in_prompt = False

    def start(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command of a new session; ``-`` reads the prompt from standard input."""
        return (self.name, "exec", "--json", *_options(session), "-")

    def resume(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command that resumes a thread."""
        return (self.name, "exec", "resume", "--json", *_options(session), "{session_id}", "-")

    def environment(self, session: ProgramSession) -> Mapping[str, str]:
        """Create the folders of the profile: a rule for a missing one is none. ``git pack-refs`` removes empty ones."""
        for folder in _git_folders(session.policy):
            Path(folder).mkdir(parents=True, exist_ok=True)
        return {}

    def problem(self, env: Mapping[str, str]) -> tuple[str, str] | None:
        """Probe its sandbox: without one, every command of the agent fails."""
        probe = process.capture((_program(self.name, env), "sandbox", "--", "true"), env=env, timeout_s=30.0)
        if probe.code == 0:
            return None
        lines = (probe.stderr or probe.stdout).strip().splitlines()
        return f"the sandbox of codex does not work on this machine: {lines[-1] if lines else 'no output'}", SANDBOX_FIX

    def login(self, env: Mapping[str, str]) -> str:
        """Return its own answer, or the variable that holds a key. A provider of the user's own needs neither."""
        status = process.capture((_program(self.name, env), "login", "status"), env=env, timeout_s=30.0)
        if status.code == 0:
            return (status.stderr or status.stdout).strip().splitlines()[-1].split(" - ")[0]
        return next((f"{name} is set" for name in _KEYS if env.get(name)), "")


def _program(name: str, env: Mapping[str, str]) -> str:
    return shutil.which(name, path=env.get("PATH")) or name


def _options(session: ProgramSession) -> list[str]:
    policy = session.policy
    own, common = _git_dirs(policy)
    # The most specific rule holds. :workspace opens the folders of temporary files, where a repository may be, too.
    rules = {policy["home"]: "read", common: "read", policy["worktree"]: "write", own: "write"}
    rules |= dict.fromkeys(_git_folders(policy), "write")
    rules |= {f"{policy['worktree']}/{name}": "read" for name in (*policy["closed"], *_instructions(policy))}
    settings: dict[str, Any] = {
        "approval_policy": "never",
        "default_permissions": "orchestra",
        "permissions.orchestra": {"extends": ":workspace", "filesystem": rules},
    }
    if session.rules:
        settings["developer_instructions"] = session.rules.strip()
    if "CLAUDE.local.md" in policy["instructions"]:  # then the repository has a CLAUDE.md of its own
        settings["project_doc_fallback_filenames"] = ["CLAUDE.md"]
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={_toml(value)}")]
    return [*options, *(("-m", session.request.model) if session.request.model else ())]


def _instructions(policy: Mapping[str, Any]) -> list[str]:
    return [name for name in policy["instructions"] if os.path.exists(f"{policy['worktree']}/{name}")]  # noqa: PTH110


def _git_dirs(policy: Mapping[str, Any]) -> tuple[str, str]:
    """Return the git folder of the worktree, and the one that it shares with the repository."""
    text = Git(Path(policy["worktree"])).text("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
    own, common = text.split("\n")
    return own, common


def _git_folders(policy: Mapping[str, Any]) -> list[str]:
    """Return the shared folders that a commit on the agent's branch writes to."""
    common = _git_dirs(policy)[1]
    branch_folder = os.path.dirname(f"refs/heads/{policy['branch']}")  # noqa: PTH120 - a ref, not a path
    return [f"{common}/{name}" for name in ("objects", branch_folder, f"logs/{branch_folder}")]


def _toml(value: object) -> str:
    """Return a value as inline TOML. No brace stands in a text, so that no placeholder is seen in it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("{", "\\u007b").replace("\x7f", "\\u007f")
