"""opencode as an agent (``opencode run --format json``), seen with 1.18.33.

What the agent may not change becomes opencode's own permissions, passed in a variable: its edit tools refuse it, and
so they do for every file outside the worktree; its tools do not enter other checkouts of the repository. Its shell is
not confined, so a session is sent back for what it changed outside its scope. The rendered instructions are one of its
instruction files, and it reads the repository's own AGENTS.md as ever. Each agent has a database of its own for its
sessions.

Invariant: ``--auto`` is never used: what needs an approval is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestra.sessions.runners.agent_program import (
    NEVER_GIT,
    ProgramSession,
    one_character_wildcards,
    read_settings,
)

_KEYS = ("OPENCODE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")
_CONFIG = "OPENCODE_CONFIG_CONTENT"  # added to the configuration files


class OpenCode:
    """Commands and permissions of opencode."""

    name = "opencode"
    package = "npm install -g opencode-ai"
    oldest: tuple[int, ...] = (1, 18, 33)
    newest: tuple[int, ...] = (1, 18, 33)
    rules_in_prompt = False

    def start(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command of a new session, which reads the prompt from standard input."""
        model = ("-m", session.request.model) if session.request.model else ()
        return (self.name, "run", "--format", "json", "--dir", "{worktree}", *model)

    def resume(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command that resumes a session."""
        return (*self.start(session), "-s", "{session_id}")

    def environment(self, session: ProgramSession) -> Mapping[str, str]:
        """Return the permissions and the instructions, added to what the user's own variable says."""
        config = read_settings(session.variable(_CONFIG), _CONFIG)
        rules = [f"{session.policy['worktree']}/{name}" for name in _rules_files(session.policy)]
        config |= {"instructions": [*config.get("instructions", []), *rules], "share": "disabled", "autoupdate": False}
        config["permission"] = permissions(session.policy)
        # In one database, sessions that start at the same moment fail: each one tries to create its tables.
        return {_CONFIG: json.dumps(config), "OPENCODE_DB": str(session.agent.path / "opencode.db")}

    def problem(self, env: Mapping[str, str]) -> tuple[str, str] | None:
        """Return None: it needs nothing but itself."""
        return None

    def login(self, env: Mapping[str, str]) -> str:
        """Return the variable that holds a key, or that logins are stored; they are not read."""
        data = Path(env.get("XDG_DATA_HOME") or Path(env.get("HOME") or Path.home()) / ".local/share")
        stored = data / "opencode/auth.json"
        named = next((f"{name} is set" for name in _KEYS if env.get(name)), "")
        return f"logins are stored in {stored}" if stored.exists() else named


def _rules_files(policy: Mapping[str, Any]) -> list[str]:
    return [name for name in ("CLAUDE.md", "CLAUDE.local.md") if name in policy["instructions"]]


def permissions(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the permissions. Of the patterns that match a path, the last one holds; ``*`` matches ``/``, too."""
    edit = {"*": "allow", "../*": "deny"}
    for name in map(one_character_wildcards, (*policy["closed"], *policy["instructions"])):
        edit |= {name: "deny", f"{name}/*": "deny"}
    bash = {"*": "allow"} | {f"git {verb}*": "deny" for verb in NEVER_GIT}
    places = {"*": "allow"} | {f"{one_character_wildcards(path)}/*": "deny" for path in policy["checkouts"]}
    return {"*": "allow", "edit": edit, "bash": bash, "external_directory": places, "question": "deny"}
