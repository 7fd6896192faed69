"""The Gemini CLI as an agent (``gemini -o stream-json``), seen with 0.61.0.

What the agent may not change becomes a policy file: gemini's edit tools refuse it with the reason. Its shell is not
confined, so a session is sent back for what it changed outside its scope. Its shell runs with
``GIT_CONFIG_GLOBAL=/dev/null``, so the git identity is passed by variables. The fleet's rules end the first prompt, and
gemini reads the repository's own GEMINI.md as ever.

Invariant: ``yolo`` is never used: a tool that the policy does not name is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestra.files import write_atomically
from orchestra.git.git_process import Git
from orchestra.sessions.runners.agent_program import NEVER_GIT, ProgramSession

_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA")
_SPECIAL = re.compile(r"[\\.*+?()\[\]{}|^$]")
_DEFAULTS = "GEMINI_CLI_SYSTEM_DEFAULTS_PATH"  # settings of the lowest rank: the user's own replace them


class Gemini:
    """Commands and permissions of the Gemini CLI."""

    name = "gemini"
    package = "npm install -g @google/gemini-cli"
    oldest: tuple[int, ...] = (0, 61, 0)
    newest: tuple[int, ...] = (0, 61, 0)
    rules_in_prompt = True

    def start(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command of a new session, which reads the prompt from standard input."""
        model = ("-m", session.request.model) if session.request.model else ()
        policy = ("--approval-mode", "default", "--policy", str(_file(session, "toml")))
        return (self.name, "-o", "stream-json", "--skip-trust", *policy, *model)

    def resume(self, session: ProgramSession) -> tuple[str, ...]:
        """Return the command that resumes a session."""
        return (*self.start(session), "-r", "{session_id}")

    def environment(self, session: ProgramSession) -> Mapping[str, str]:
        """Write the policy, and defaults that hold where the user has set nothing; return them with the identity."""
        write_atomically(_file(session, "toml"), policy_text(session.policy))
        defaults: dict[str, Any] = {"general": {"enableAutoUpdate": False}}
        if os.environ.get("GEMINI_API_KEY"):
            defaults["security"] = {"auth": {"selectedType": "gemini-api-key"}}
        write_atomically(_file(session, "json"), json.dumps(defaults) + "\n")
        env = {} if os.environ.get(_DEFAULTS) else {_DEFAULTS: str(_file(session, "json"))}
        git = Git(Path(session.request.worktree))
        for key, variable in (("user.name", "NAME"), ("user.email", "EMAIL")):
            value = git.run("config", "--get", key, ok=(0, 1)).text
            roles = (f"GIT_{role}_{variable}" for role in ("AUTHOR", "COMMITTER"))
            env |= {name: value for name in roles if value and not os.environ.get(name)}
        return env

    def problem(self, env: Mapping[str, str]) -> tuple[str, str] | None:
        """Return None: it needs nothing but itself."""
        return None

    def login(self, env: Mapping[str, str]) -> str:
        """Return the variable that names a key or a service, or that a login exists; neither is read."""
        named = next((f"{name} is set" for name in _KEYS if env.get(name)), "")
        credentials = Path(env.get("HOME") or Path.home()) / ".gemini/oauth_creds.json"
        return named or (f"a login exists in {credentials.parent}" if credentials.exists() else "")


def _file(session: ProgramSession, suffix: str) -> Path:
    return session.agent.path / f"gemini.{suffix}"


def policy_text(policy: Mapping[str, Any]) -> str:
    """Return the policy file: the tools that run without a question, and what they refuse.

    Each closed path has a rule of its own: gemini drops a rule whose pattern it takes for slow, such as one with an
    optional group, and goes on without it.
    """
    scope = ", ".join(policy["scope_text"]) or "everything that is not protected"
    closed = f"This path is protected, or outside your scope, which is {scope}. Say in AGENT_NOTES.md what you need."
    git = "orchestra manages refs and worktrees, and lands your branch after a review"
    shell, edits = {"toolName": "run_shell_command"}, {"toolName": ["write_file", "replace"]}
    allow: dict[str, Any] = {"decision": "allow", "priority": 100}
    deny: dict[str, Any] = {"decision": "deny", "priority": 200}
    rules: list[dict[str, Any]] = [
        shell | allow | {"allowRedirection": True},
        edits | allow,
        shell | deny | {"commandPrefix": [f"git {verb}" for verb in NEVER_GIT], "denyMessage": git},
    ]
    for name in (*policy["closed"], *policy["instructions"]):
        for path in (name, f"./{name}", f"{policy['worktree']}/{name}"):
            start = _SPECIAL.sub(r"\\\g<0>", json.dumps(path, ensure_ascii=False)[1:-1])
            rules.append(edits | deny | {"argsPattern": f'"file_path":"{start}[/"]', "denyMessage": closed})
    return "\n".join("[[rule]]\n" + "".join(f"{key} = {_toml(rule[key])}\n" for key in rule) for rule in rules)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
