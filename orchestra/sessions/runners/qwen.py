"""Qwen Code as an agent (``qwen -o stream-json``), seen with 0.15.10.

What the agent may not change becomes permission rules in a file of default settings, which Qwen Code adds to the user's
own rules: its edit tools refuse it, and so does its shell for commands that name such a path (``cp``, ``>``). Other
commands are not confined, so a session is sent back for what it changed outside its scope. The fleet's rules end the
first prompt, and Qwen Code reads the repository's own QWEN.md or AGENTS.md as ever.

Invariant: ``yolo`` is never used: what the rules do not allow is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestra.files import write_atomically
from orchestra.sessions.runners.agent_program import (
    NEVER_GIT,
    ProgramSession,
    one_character_wildcards,
    read_settings,
)

_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
_DEFAULTS = "QWEN_CODE_SYSTEM_DEFAULTS_PATH"  # settings of the lowest rank; lists of rules are added up


class Qwen:
    """Commands and permissions of Qwen Code."""

    name = "qwen"
    package = "npm install -g @qwen-code/qwen-code"
    oldest: tuple[int, ...] = (0, 15, 10)
    newest: tuple[int, ...] = (0, 15, 10)
    rules_in_prompt = True

    def start(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command of a new session, which reads the prompt from standard input."""
        model = ("-m", session.request.model) if session.request.model else ()
        return (self.name, "-o", "stream-json", "--approval-mode", "default", *model)

    def resume(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command that resumes a session."""
        return (*self.start(session), "-r", "{session_id}")

    def environment(self, session: ProgramSession) -> Mapping[str, str]:
        """Write the settings, with those of the machine's own file of defaults."""
        before = session.variable(_DEFAULTS)
        settings = read_settings(Path(before).read_text("utf-8") if before else "", f"the file of {_DEFAULTS}")
        rules = permission_rules(session.policy)
        given = settings.get("permissions", {})
        settings["permissions"] = given | {key: [*given.get(key, []), *rules[key]] for key in rules}
        settings["general"] = {"enableAutoUpdate": False} | settings.get("general", {})
        # It would ask the model, after each session, what to remember for all worktrees of the repository.
        settings["memory"] = {"enableManagedAutoMemory": False} | settings.get("memory", {})
        file = session.agent.path / "qwen.json"
        write_atomically(file, json.dumps(settings, indent=1) + "\n")
        return {_DEFAULTS: str(file)}

    def problem(self, env: Mapping[str, str]) -> tuple[str, str] | None:
        """Return None: it needs nothing but itself."""
        return None

    def login(self, env: Mapping[str, str]) -> str:
        """Return the variable that holds a key, or that a login exists; neither is read."""
        named = next((f"{name} is set" for name in _KEYS if env.get(name)), "")
        credentials = Path(env.get("HOME") or Path.home()) / ".qwen/oauth_creds.json"
        return named or (f"a login exists in {credentials.parent}" if credentials.exists() else "")


def permission_rules(policy: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the rules. A denied path starts at the worktree; a rule of ``edit`` holds for ``write_file``, too."""
    deny = [f"run_shell_command(git {verb} *)" for verb in NEVER_GIT]
    for name in map(one_character_wildcards, (*policy["closed"], *policy["instructions"])):
        deny += [f"edit(/{name})", f"edit(/{name}/**)"]
    return {"allow": ["run_shell_command", "edit(/**)", "write_file(/**)"], "deny": deny}
