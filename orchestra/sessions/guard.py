"""Judge an agent's call by its policy (policy.py): why it is refused, and what to do instead.

Invariant: a path is judged where it really is, links followed, by the same expressions as the scope gate. Shell
commands are read only as far as possible without a shell; the scope gate on the candidate catches the rest. The
client's hook imports this at every call: standard library only, and fast.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_EDITS = {"Edit": "file_path", "Write": "file_path", "MultiEdit": "file_path", "NotebookEdit": "notebook_path"}
_NEVER = {
    "push": "orchestra lands your branch after a person has reviewed it",
    "worktree": "orchestra manages the worktrees; yours is the current one",
    "update-ref": "orchestra manages the refs",
    "symbolic-ref": "orchestra manages the refs",
    "stash": "stashes are shared by all agents of the repository; make a commit instead",
}
_WRITERS = {"rm": 0, "mv": 0, "touch": 0, "tee": 0, "truncate": 0, "cp": -1, "install": -1, "ln": -1}
_SEPARATORS = set("();|&\n")


def judge(policy: Json, tool: str, tool_input: Json, folder: str) -> str:
    """Return why that call is refused; empty when it is allowed. ``folder``: the client's current folder."""
    if tool in _EDITS:
        return judge_path(policy, str(tool_input.get(_EDITS[tool], "")), folder)
    if tool == "Bash":
        return judge_shell(policy, str(tool_input.get("command", "")), folder)
    return ""


def judge_path(policy: Json, path: str, folder: str) -> str:
    """Return why that path must not be changed, with links followed; empty when it may be."""
    worktree = policy["worktree"]
    real = os.path.realpath(os.path.join(folder, os.path.expanduser(path)))  # noqa: PTH111, PTH118 - fast, no pathlib
    name = os.path.relpath(real, worktree)
    if name == ".." or name.startswith("../"):
        return f"{path} is outside your worktree {worktree}. Work only below that folder."
    return judge_name(policy, name)


def judge_name(policy: Json, name: str) -> str:
    """Return why that path, relative to the worktree, must not be changed; empty when it may be."""
    if name == ".git" or name.startswith(".git/"):
        return f"{name} belongs to git."
    if name in policy["instructions"]:
        return f"{name} is written by orchestra and must not change. Write what you want to say into AGENT_NOTES.md."
    data = name.encode("utf-8", "surrogateescape")
    if name == "AGENT_NOTES.md" or _matches(policy["may_edit"], data):
        return ""
    if _matches(policy["protected"], data):
        return (
            f"{name} is protected: several agents depend on it, and your assignment does not let you change it, in "
            "any way. If you need a change there, describe it in AGENT_NOTES.md (Dependencies Added or Open "
            "Questions) and continue without it."
        )
    if policy["include"] is not None and not (
        _matches(policy["include"], data) and not _matches(policy["exclude"], data)
    ):
        return (
            f"{name} is outside your scope, which is {', '.join(policy['scope_text'])}. Another agent may work there. "
            "Keep your work inside your scope; describe what you need elsewhere in AGENT_NOTES.md, Open Questions."
        )
    return ""


def _matches(source: str, data: bytes) -> bool:
    return re.compile(source.encode("latin-1"), re.DOTALL).match(data) is not None


def judge_shell(policy: Json, command: str, folder: str) -> str:
    """Return why a shell command is refused, as far as it can be read from the command line."""
    for words in _commands(command):
        reason = _judge_git(policy, words, folder) if words[0] == "git" else ""
        for path in () if reason else _written(words):
            if not path.startswith(("/dev/", "/tmp/", "$", "&")) and not reason:  # noqa: S108 - scratch files are free
                reason = judge_path(policy, path, folder)
        if reason:
            return reason
    return ""


def _commands(command: str) -> Iterator[list[str]]:
    """Yield the simple commands of a line, redirections as ``>`` and a word; nothing where it cannot be parsed."""
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:
        return
    for token in tokens:
        if set(token) <= _SEPARATORS:
            if words:
                yield words
            words = []
        else:
            words.append(token)
    if words:
        yield words


def _written(words: list[str]) -> Iterator[str]:
    """Yield the paths that a simple command visibly writes."""
    plain: list[str] = []
    at = 0
    while at < len(words):
        if set(words[at]) <= set("<>&") or words[at] in (">|",):
            to_stream = words[at].endswith("&") and words[at + 1 : at + 2] and words[at + 1].strip("-").isdigit()
            if ">" in words[at] and at + 1 < len(words) and not to_stream:
                yield words[at + 1]
            at += 2
            continue
        plain.append(words[at])
        at += 1
    while plain and "=" in plain[0] and not plain[0].startswith("-"):
        plain.pop(0)
    name = os.path.basename(plain[0]) if plain else ""  # noqa: PTH119
    paths = [word for word in plain[1:] if not word.startswith("-")]
    if name in _WRITERS:
        yield from paths[_WRITERS[name] :] if _WRITERS[name] else paths
    elif name == "sed" and any(word.startswith("-i") for word in plain):
        yield from paths[1:]


def _judge_git(policy: Json, words: list[str], folder: str) -> str:
    at = 1
    while at < len(words) and words[at].startswith("-"):
        option, _, value = words[at].partition("=")
        if option in ("-C", "--git-dir", "--work-tree"):
            value = value or (words[at + 1] if at + 1 < len(words) else "")
            if _is_outside(policy, value, folder):
                return f"git {option} {value} leads out of your worktree. Work only in {policy['worktree']}."
        at += 2 if option in ("-C", "-c", "--git-dir", "--work-tree") and "=" not in words[at] else 1
    verb = words[at] if at < len(words) else ""
    return f"git {verb} is not for agents: {_NEVER[verb]}." if verb in _NEVER else ""


def _is_outside(policy: Json, path: str, folder: str) -> bool:
    real = os.path.realpath(os.path.join(folder, os.path.expanduser(path)))  # noqa: PTH111, PTH118
    return real != policy["worktree"] and not real.startswith(f"{policy['worktree']}/")
