"""The settings file that a Claude Code session is started with: permissions, hooks, sandbox.

It is outside the worktree and is written at each start. Rules use ``Edit(//absolute/path)``, the one form that means
the same in 2.1.197 and 2.1.330: Write, Edit, NotebookEdit and the shell's redirections all obey it. The rules are the
first check, the PreToolUse guard, which gives the reason, is the second; the scope gate on the candidate decides.

Invariant: every value has the type that the client's own validation wants; a single wrong one disables all settings.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestra.blueprint.scope import is_literal

_HOOK = Path(__file__).parents[1] / "hook.py"
# Other sessions, other worktrees and times after this session are not an agent's business.
_NOT_FOR_AGENTS = ("SendMessage", "ListAgents", "EnterWorktree", "ExitWorktree", "CronCreate", "ScheduleWakeup")
# In addition to reading and editing: sub-agents and to-do lists, which change no file by themselves.
_TOOLS = ("Task", "Agent", "TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "Skill")
_SHELL = (
    "cat cp diff echo find grep head ls mkdir mv pwd rg rm rmdir sed sort tail test touch tree uniq wc which".split()
)
_NEVER_GIT = ("push", "worktree", "update-ref", "symbolic-ref", "stash", "remote", "submodule")


def make_settings(
    policy: Mapping[str, Any], folder: Path, *, window_run: Path | None = None, sandbox: bool
) -> dict[str, Any]:
    """Build the settings. ``folder``: the agent's, with the policy that the hooks read and the events they write;
    ``window_run``: of an interactive session, the run's."""
    interactive = window_run is not None
    permissions = {"allow": _allowed(policy), "deny": _denied(policy, sandbox=sandbox)}
    settings: dict[str, Any] = {
        "disableAllHooks": False,  # a repository's own settings could disable them
        "attribution": {"commit": "", "pr": ""},
        "permissions": permissions,
        "hooks": _hooks(folder, interactive=interactive, checks=policy["checks"]),
    }
    if window_run is not None:
        settings["statusLine"] = {"type": "command", "command": hook_command("line", window_run)}
    if sandbox:
        settings["sandbox"] = {
            "enabled": True,
            "failIfUnavailable": True,
            "autoAllowBashIfSandboxed": True,
            "allowUnsandboxedCommands": False,
            "filesystem": {"denyWrite": _shut(policy)},
        }
    return settings


def _allowed(policy: Mapping[str, Any]) -> list[str]:
    worktree = policy["worktree"]
    patterns = policy["scope_patterns"] or ["**"]
    edits = [_edit(worktree, pattern) for pattern in (*patterns, *policy["may_edit_patterns"], "AGENT_NOTES.md")]
    shell = [f"Bash({program} *)" for program in ("git", *policy["programs"], *_SHELL)]
    bare = [f"Bash({program})" for program in ("git", *policy["programs"], *_SHELL)]
    return [*dict.fromkeys(part for edit in edits for part in edit), *shell, *bare, *policy["allow"], *_TOOLS]


def shut_paths(policy: Mapping[str, Any]) -> list[str]:
    """Return the plain paths that no program in the sandbox may write: protected paths and instruction files.

    Where the agent may edit some protected paths, only the guard can distinguish them, so the sandbox leaves them open.
    """
    protected = [] if policy["may_edit_patterns"] else policy["protected_patterns"]
    return [name.rstrip("/") for name in (*protected, *policy["instructions"]) if is_literal(name)]


def _shut(policy: Mapping[str, Any]) -> list[str]:
    """Return what no program in the sandbox may write. The shared .git stays open, since commits go there, except for
    orchestra's folder in it: the supervisor runs the requests in it without a sandbox.
    """
    worktree = policy["worktree"]
    return [policy["state"], *(f"{worktree}/{name}" for name in shut_paths(policy))]


def _denied(policy: Mapping[str, Any], *, sandbox: bool) -> list[str]:
    """Return deny rules, only where they are needed: they refuse without the reason that the guard would give.

    What no allow rule covers is refused anyway, and the sandbox makes plain paths read-only. Deny beats allow, so where
    this agent may edit a part of what is protected, the guard decides.
    """
    worktree, home = policy["worktree"], policy["home"]
    shut = policy["instructions"] if policy["may_edit_patterns"] else policy["exposed_patterns"]
    shut = [pattern for pattern in shut if not (sandbox and is_literal(pattern))]
    rules = [rule for pattern in shut for rule in _edit(worktree, pattern)]
    rules.append(f"Edit(/{worktree}/.git)")
    if not sandbox and not Path(worktree).is_relative_to(home):
        # In the sandbox all around the worktree is read-only; this rule would shut the shared .git with it.
        rules.append(f"Edit(/{home}/**)")
    git = [f"Bash(git {verb} *)" for verb in _NEVER_GIT] + [f"Bash(git {verb})" for verb in _NEVER_GIT]
    return [*rules, *git, *_NOT_FOR_AGENTS]


def _edit(worktree: str, pattern: str) -> list[str]:
    """Return the rules for a pattern. A plain path may be a file or a folder, which needs a rule of its own."""
    plain = pattern.rstrip("/")
    rules = [f"Edit(/{worktree}/{plain})"]
    if is_literal(pattern):
        rules.append(f"Edit(/{worktree}/{plain}/**)")
    return rules


def hook_command(event: str, folder: Path) -> str:
    """Return the shell command of a hook: this interpreter without site-packages, by absolute paths."""
    return shlex.join((sys.executable, "-I", "-S", str(_HOOK), event, str(folder)))


def _hooks(folder: Path, *, interactive: bool, checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def hook(event: str, timeout: int = 20, **options: str) -> dict[str, Any]:
        return {"type": "command", "command": hook_command(event, folder), "timeout": timeout, **options}

    patience = 60 + int(sum(check["timeout"] for check in checks))
    hooks: dict[str, Any] = {
        "SessionStart": [{"hooks": [hook("greet")]}],
        "UserPromptSubmit": [{"hooks": [hook("signal")]}],
        "PreToolUse": [{"hooks": [hook("guard", onFailure="block")]}],  # the key is ignored before 2.1.295
        "Stop": [{"hooks": [hook("gate", patience)]}],
        "SessionEnd": [{"hooks": [hook("signal")]}],
    }
    if interactive:
        hooks["PostToolUse"] = [{"hooks": [hook("signal")]}]
        hooks["PermissionRequest"] = [{"hooks": [hook("signal")]}]
        hooks["Notification"] = [{"hooks": [hook("signal")]}]
        hooks["Stop"] = [{"hooks": [hook("turn")]}]
        hooks["StopFailure"] = [{"hooks": [hook("signal")]}]
    return hooks
