"""Find what settings of the Claude Code client outside orchestra do to agents: denied files, git, hooks, env, model.

In a worktree the client obeys the repository's tracked ``.claude/settings.json``, trusted or not, and the user's own
settings; from 2.1.240 on also the main checkout's ``.claude/settings.local.json``. Denied there is denied for good: no
rule that orchestra gives a session allows it again. A rule that cannot be decided here is left out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestra.blueprint.model import AgentName, Blueprint, RunnerKind
from orchestra.blueprint.scope import BadPattern, check_pattern
from orchestra.files import read_regular
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import Claims, PathIndex
from orchestra.text import format_count, format_list

TRACKED: Final = ".claude/settings.json"
_LOCAL: Final = ".claude/settings.local.json"
_RULE: Final = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_GIT_WORK: Final = ("git", "git add", "git commit")
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """One settings file, as far as it reaches agents. ``anchor`` is what ``/`` in its rules means: root, or unknown."""

    name: str  # as a person names the file
    deny: tuple[str, ...]
    hooks: tuple[str, ...]  # events
    env: tuple[str, ...]  # names of variables
    model: str | None
    from_root: bool  # a rule's ``/src`` begins at the worktree's root

    def facts(self) -> Iterator[str]:
        """Yield what agents get from this file besides denied tools."""
        if self.hooks:
            yield f"{self.name} has hooks that run in every agent's session: {format_list(self.hooks)}"
        if self.env:
            yield f"{self.name} sets variables for every agent's session: {format_list(self.env)}"
        if self.model:
            yield f"{self.name} sets the model of agents whose runner names none: {self.model}"

    def denied_tools(self) -> Iterator[str]:
        """Yield rules without which an agent can do no work: the editor, the shell, or git's commit is denied."""
        for rule in self.deny:
            match = _RULE.fullmatch(rule)
            tool, given = (match[1], match[2]) if match else ("", None)
            command = re.sub(r"(:\*| \*|\*)$", "", given or "").strip()
            if (tool in ("Edit", "Write", "Bash", "Read") and given in (None, "", "*")) or (
                tool == "Bash" and command in _GIT_WORK
            ):
                yield rule

    def denied_patterns(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each rule against editing paths, with the patterns of this repository that it means."""
        for rule in self.deny:
            match = _RULE.fullmatch(rule)
            path = match[2].strip() if match and match[1] == "Edit" and match[2] else ""
            if not path or path in ("*", "**") or path.startswith(("//", "~")):
                continue
            if path.startswith("/"):
                if not self.from_root:
                    continue
                base = path.strip("/")
            else:
                base = "**/" + path.removeprefix("./").removeprefix("**/").rstrip("/")
            with suppress(BadPattern):
                patterns = (base,) if base.endswith("**") else (base, f"{base}/**")
                for pattern in patterns:
                    check_pattern(pattern)
                yield rule, patterns


def read_client_settings(repository: Repository, commit: CommitId | None) -> tuple[ClientSettings, ...]:
    """Read the settings that reach agents which start from ``commit``; files without any are left out."""
    texts: list[tuple[str, bytes, bool]] = []
    if commit is not None:
        blob = repository.git.run("cat-file", "blob", f"{commit}:{TRACKED}", ok=(0, 128))
        texts.append((TRACKED, b"" if blob.code else blob.stdout, True))
    if not repository.bare:
        local = read_regular(repository.home / _LOCAL, below=repository.home) or b""
        texts.append((f"{_LOCAL} of the main checkout (client 2.1.240 and newer)", local, False))
    config = os.environ.get("CLAUDE_CONFIG_DIR")
    folder = Path(config) if config else Path.home() / ".claude"
    texts.append((str(folder / "settings.json"), read_regular(folder / "settings.json") or b"", False))
    read = [_parse(name, text, from_root=from_root) for name, text, from_root in texts]
    return tuple(each for each in read if each is not None)


def _parse(name: str, text: bytes, *, from_root: bool) -> ClientSettings | None:
    try:
        document = json.loads(text or b"{}")
    except ValueError:
        return None  # the client ignores such a file as a whole
    if not isinstance(document, dict) or not document:
        return None

    def keys(key: str) -> tuple[str, ...]:
        value = document.get(key)
        return tuple(map(str, value)) if isinstance(value, Mapping) else ()

    permissions, model = document.get("permissions"), document.get("model")
    rules = permissions.get("deny") if isinstance(permissions, Mapping) else None
    deny = tuple(rule for rule in rules if isinstance(rule, str)) if isinstance(rules, list) else ()
    return ClientSettings(name, deny, keys("hooks"), keys("env"), model if isinstance(model, str) else None, from_root)


def client_findings(
    blueprint: Blueprint, settings: tuple[ClientSettings, ...], tree: Claims, index: PathIndex
) -> Iterator[Finding]:
    """Find denied tools, denied files of an agent's scope, and what else reaches agents of the Claude client."""
    names = tuple(agent.name for agent in blueprint.agents if agent.runner.kind is RunnerKind.CLAUDE)
    if not names:
        return
    where = place(blueprint, "runner")
    for file in settings:
        for rule in file.denied_tools():
            message = f"{file.name} denies {rule}, so no agent of the Claude client can do its work"
            advice = f"remove the rule from {file.name}: no setting of a session allows what a deny rule denies"
            yield Finding(Severity.WARNING, Code.CLIENT_DENIES, message, advice, where, names)
        for rule, patterns in file.denied_patterns():
            denied = index.of(patterns)
            hits: dict[AgentName, frozenset[str]] = {name: tree.held[name] & denied for name in names}
            agents = tuple(name for name in names if hits[name])
            paths = sorted(frozenset().union(*hits.values()))
            if not paths:
                continue
            message = (
                f"{file.name} denies {rule}: {format_list(agents, most=_MOST_NAMED)} cannot edit "
                f"{format_count(len(paths), 'file')} of {'its scope' if len(agents) == 1 else 'their scopes'}: "
                f"{format_list(paths, most=_MOST_NAMED)}"
            )
            advice = f"exclude them from the scope, or remove the rule from {file.name}"
            yield Finding(Severity.WARNING, Code.CLIENT_DENIES, message, advice, where, agents, tuple(paths))
        for fact in file.facts():
            advice = "check that it suits agents that work without a person"
            yield Finding(Severity.NOTE, Code.CLIENT_SETTINGS, fact, advice, where, names)
