"""The settings file that a Claude Code session is started with: permissions, hooks, sandbox.

It lies outside the worktree and is rendered anew for each start. Rules use ``Edit(//absolute/path)``, the one form
that means the same on every version (client facts, 0.2, 0.3 and 2): Write, Edit, NotebookEdit and the shell's
redirections all obey it. The rules are the first net, the PreToolUse guard, which says why, is the second, the scope
gate on the candidate is the one that holds.

Invariant: every value here has the type that the client's own validation wants; a single wrong one would switch all
of it off. Pure.
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
# Beside reading and editing: sub-agents and lists of things to do, which touch nothing of themselves.
_TOOLS = ("Task", "Agent", "TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "Skill")
_SHELL = (
    "cat cp diff echo find grep head ls mkdir mv pwd rg rm rmdir sed sort tail test touch tree uniq wc which".split()
)
_NEVER_GIT = ("push", "worktree", "update-ref", "symbolic-ref", "stash", "remote", "submodule")


def make_settings(policy: Mapping[str, Any], folder: Path, *, interactive: bool, sandbox: bool) -> dict[str, Any]:
    """``folder``: the agent's, where the hooks find the policy and leave their events."""
    permissions = {"allow": _allowed(policy), "deny": _denied(policy, sandbox=sandbox)}
    settings: dict[str, Any] = {
        "disableAllHooks": False,  # a repository's own settings could switch them off (client facts, 0.8)
        "attribution": {"commit": "", "pr": ""},
        "permissions": permissions,
        "hooks": _hooks(folder, interactive=interactive, checks=policy["checks"]),
    }
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
    """Plain paths that nothing in the sandbox may write, whatever program does it: protected, or orchestra's own.

    Where the agent may edit some of what is protected, the guard, which can tell them apart, is left to decide.
    """
    protected = [] if policy["may_edit_patterns"] else policy["protected_patterns"]
    return [name.rstrip("/") for name in (*protected, *policy["instructions"]) if is_literal(name)]


def _shut(policy: Mapping[str, Any]) -> list[str]:
    """What nothing in the sandbox may write. The shared .git stays open, since commits go there; but not what orchestra
    keeps in it: orders that the supervisor runs, and configuration that every git reads, both without a sandbox.
    """
    worktree = policy["worktree"]
    return [policy["state"], *(f"{worktree}/{name}" for name in shut_paths(policy))]


def _denied(policy: Mapping[str, Any], *, sandbox: bool) -> list[str]:
    """Deny rules only where they are needed: the client answers them in its own words before the guard can say why.

    What no allow rule covers is refused anyway, and in a sandbox plain paths are shut by the file system. Deny beats
    allow, so where this agent may touch a part of what is protected, the guard decides.
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
    """A pattern as rules. A plain path may be a file or a folder; of a folder the rule must name what is below."""
    plain = pattern.rstrip("/")
    rules = [f"Edit(/{worktree}/{plain})"]
    if is_literal(pattern):
        rules.append(f"Edit(/{worktree}/{plain}/**)")
    return rules


def hook_command(event: str, folder: Path) -> str:
    """The shell command of a hook: this very interpreter, nothing but the standard library, by absolute paths."""
    return shlex.join((sys.executable, "-I", "-S", str(_HOOK), event, str(folder)))


def _hooks(folder: Path, *, interactive: bool, checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def hook(event: str, timeout: int = 20, **more: str) -> dict[str, Any]:
        return {"type": "command", "command": hook_command(event, folder), "timeout": timeout, **more}

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
