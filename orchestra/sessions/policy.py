"""Write what an agent may edit in a form that the client's hooks read in a millisecond: ``policy.json``.

The patterns are compiled by the scope matcher (blueprint/scope.py) into expressions over bytes, which the hook only
runs. The file is outside the worktree and written at every start.

Invariant: the guard refuses what TASK.md forbids and the scope gate would refuse on the candidate; the gate has the
last word.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from orchestra.blueprint.model import PROGRAMS, Agent, Builtin, BuiltinGate, Policy, RunGate, RunnerKind, Scope
from orchestra.blueprint.scope import compile_patterns
from orchestra.blueprint.scope_overlap import OverlapUndecided, overlap
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.sessions.closed_paths import closed_paths
from orchestra.sessions.guard import judge_name
from orchestra.workspace.paths import NOTES

QUICK_S = 300.0
"""A gate whose time limit is at most this runs before a session may end."""


def make_policy(fleet: Fleet, agent: Agent, base: str, instructions: Collection[str]) -> dict[str, Any]:
    """Build the policy. ``instructions``: files in the worktree that orchestra wrote; agents must not change them."""
    blueprint, scope = fleet.blueprint, agent.scope
    # As TASK.md has it: without a scope gate that blocks, a change elsewhere needs a reason in the notes, no refusal.
    gates = blueprint.gates.values()
    builtin_gates = [gate for gate in gates if isinstance(gate, BuiltinGate)]
    is_strict = any((gate.builtin, gate.policy) == (Builtin.SCOPE, Policy.BLOCK) for gate in builtin_gates)
    protected = blueprint.protected if is_strict or scope is not None else ()
    enforced = scope if is_strict else None
    own = os.path.realpath(fleet.worktree(agent))
    checkouts = [path for path in (fleet.repository.home, *worktree_admin.admins(fleet.repository)) if str(path) != own]
    instruction_files = sorted(name for name in instructions if name != NOTES)
    run_gates = [gate for gate in gates if isinstance(gate, RunGate)]
    # The blueprint runs these programs on an agent's work anyway, so the agent may run them, too.
    commands = (*blueprint.worktrees.setup.run, *(gate.run for gate in run_gates))
    quick = [gate for gate in run_gates if gate.timeout_s <= QUICK_S]
    policy = {
        "fleet": fleet.name,
        "agent": agent.name,
        "worktree": own,
        "home": os.path.realpath(fleet.repository.home),
        "state": os.path.realpath(fleet.repository.state_folder),
        "branch": agent.branch,
        "base": base,
        "include": None if enforced is None else _source(enforced.include),
        "exclude": _source(enforced.exclude) if enforced is not None else _source(()),
        "protected": _source(protected),
        "may_edit": _source(agent.may_edit),
        "instructions": instruction_files,
        "scope_text": [] if scope is None else [*scope.include, *(f"not {pattern}" for pattern in scope.exclude)],
        "scope_patterns": [] if enforced is None else list(enforced.include),
        "strict": is_strict,
        "may_edit_patterns": list(agent.may_edit),
        "protected_patterns": list(protected),
        "exposed_patterns": [name for name in (*protected, *instruction_files) if _is_exposed(name, enforced)],
        "checks": [_quick_check(gate) for gate in quick],
        "builtin": [
            _builtin_rule(gate) for gate in builtin_gates if gate.builtin not in (Builtin.SCOPE, Builtin.NOTES)
        ],
        "checkouts": [os.path.realpath(path) for path in checkouts],
        "programs": sorted({word for command in commands for word in _first_words(command)}),
        "allow": list(agent.runner.allow),
        # Hooks of the client refuse a change outside the scope at once; other programs are sent back.
        "guarded": agent.runner.kind not in (RunnerKind.COMMAND, *PROGRAMS),
        "closed": [],
    }
    if agent.runner.kind in PROGRAMS and base:
        tracked = fleet.repository.git.run("ls-tree", "-r", "-z", "--name-only", base).fields
        policy["closed"] = closed_paths(tracked, lambda name: not judge_name(policy, name), enforced, agent.may_edit)
    return policy


def _quick_check(gate: RunGate) -> dict[str, Any]:
    """Return what the stop hook needs to run a gate, and to know which paths it needs."""
    rules = {"when": list(gate.when), "command": gate.run}
    return {"name": gate.name, "run": gate.sh_command, "timeout": gate.timeout_s, "env": dict(gate.env), **rules}


def _builtin_rule(gate: BuiltinGate) -> dict[str, str]:
    rules = {"builtin": gate.builtin.value, "policy": gate.policy.value, "untested": gate.untested.value}
    return {"name": gate.name, **rules}


def _is_exposed(pattern: str, scope: Scope | None) -> bool:
    """Return True when the scope may allow a path that the pattern names."""
    if scope is None:
        return True
    try:
        return overlap(Scope((pattern,)), scope) is not None
    except OverlapUndecided:
        return True


def _source(patterns: Sequence[str]) -> str:
    """Return the bytes expression of the patterns as text; Latin-1 maps every byte to itself."""
    return compile_patterns(patterns).pattern.decode("latin-1")


def _first_words(command: str) -> list[str]:
    """Return the first word of every simple command, as far as it can be read without a shell."""
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
