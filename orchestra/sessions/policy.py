"""What an agent may edit, in a form that the client's hooks read in a millisecond: ``policy.json``.

The patterns are compiled here, by the one matcher there is (blueprint/scope.py), into expressions over bytes; the
hook (hook.py) only runs them. Kept outside the worktree, written anew at every start.

Invariant: what the guard refuses is what the scope gate would refuse on the candidate; the gate has the last word.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from orchestra.blueprint.model import Agent, RunGate, Scope
from orchestra.blueprint.scope import compile_patterns
from orchestra.blueprint.scope_overlap import OverlapUndecided, overlap
from orchestra.fleet import Fleet
from orchestra.workspace.paths import NOTES

QUICK_S = 300.0
"""A gate whose limit is no longer than this is run before a session may end."""


def make_policy(fleet: Fleet, agent: Agent, base: str, instructions: Collection[str]) -> dict[str, Any]:
    """``instructions``: files in the worktree that orchestra wrote, which agents must not change."""
    blueprint, scope = fleet.blueprint, agent.scope
    own = sorted(name for name in instructions if name != NOTES)
    quick = [gate for gate in blueprint.gates.values() if isinstance(gate, RunGate) and gate.timeout_s <= QUICK_S]
    return {
        "fleet": fleet.name,
        "agent": agent.name,
        "worktree": os.path.realpath(fleet.worktree(agent)),
        "home": os.path.realpath(fleet.repository.home),
        "state": os.path.realpath(fleet.repository.state_folder),
        "branch": agent.branch,
        "base": base,
        "include": None if scope is None else _source(scope.include),
        "exclude": _source(scope.exclude) if scope is not None else _source(()),
        "protected": _source(blueprint.protected),
        "may_edit": _source(agent.may_edit),
        "instructions": own,
        "scope_text": [] if scope is None else [*scope.include, *(f"not {pattern}" for pattern in scope.exclude)],
        "scope_patterns": [] if scope is None else list(scope.include),
        "may_edit_patterns": list(agent.may_edit),
        "protected_patterns": list(blueprint.protected),
        "exposed_patterns": [name for name in (*blueprint.protected, *own) if _is_exposed(name, scope)],
        "checks": [{"name": gate.name, "run": gate.run, "timeout": gate.timeout_s, **_env(gate)} for gate in quick],
        "programs": _programs(fleet),
        "allow": list(agent.runner.allow),
    }


def _is_exposed(pattern: str, scope: Scope | None) -> bool:
    """Whether what the scope allows may hold something that the pattern names."""
    if scope is None:
        return True
    try:
        return overlap(Scope((pattern,)), scope) is not None
    except OverlapUndecided:
        return True


def _env(gate: RunGate) -> dict[str, Any]:
    return {"env": dict(gate.env)}


def _source(patterns: Sequence[str]) -> str:
    """A bytes expression as text; Latin-1 maps every byte to itself."""
    return compile_patterns(patterns).pattern.decode("latin-1")


def _programs(fleet: Fleet) -> list[str]:
    """The programs that the blueprint itself runs on an agent's work: letting agents run them gives nothing away."""
    setup = fleet.blueprint.worktrees.setup
    gates = [gate.run for gate in fleet.blueprint.gates.values() if isinstance(gate, RunGate)]
    words = {word for command in (*setup.run, *gates) for word in _first_words(command)}
    return sorted(words)


def _first_words(command: str) -> list[str]:
    """The first word of every simple command, as far as a look without a shell can tell."""
    import shlex

    try:
        tokens = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    except ValueError:
        return []
    words, fresh = [], True
    for token in tokens:
        if set(token) <= set("();<>|&\n"):
            fresh = True
        elif fresh and "=" not in token:
            words.append(token)
            fresh = False
    return [word for word in words if word not in ("cd", "export", "set", "exit", "true", "if", "for", "while")]
