"""Find patterns with an unexpected effect: they match nothing, only protected paths, or nothing protected.

A pattern that matches nothing is right for new code, and so a note; it is a warning only where the tree has a folder
of nearly the same name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from orchestra.blueprint.model import Agent, Blueprint, Scope
from orchestra.blueprint.scope import is_literal
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import EVERYTHING, Claims, PathIndex, Territory, scopes_meet
from orchestra.plan.required_commands import run_gates
from orchestra.plan.scope_findings import name_files, pattern_place


def pattern_findings(blueprint: Blueprint, index: PathIndex, tree: Claims) -> Iterator[Finding]:
    """Find patterns that do not do what they seem to; ``tree`` are all agents' claims on ``index``'s paths."""
    folders = _children(tree.owners)
    yield from _gates_matching_nothing(blueprint, index, folders)
    for agent in blueprint.agents:
        barred = _all_protected(blueprint, agent)
        for number, pattern in barred:
            message = (
                f"scope of {agent.name}: everything that {pattern} matches is protected, so it may change none of it"
            )
            advice = f"if {agent.name} is to change it, add it to `may_edit`; otherwise remove it from the scope"
            where = pattern_place(blueprint, agent, "scope", number)
            yield Finding(Severity.WARNING, Code.SCOPE_ALL_PROTECTED, message, advice, where, (agent.name,))
        yield from _matching_nothing(blueprint, agent, index, folders)
        yield from _shut_out(blueprint, agent, tree.shut_out[agent.name] - index.of(p for _, p in barred))
        yield from _unprotected(blueprint, agent, index, tree)


def near_name(pattern: str, folders: dict[str, set[str]]) -> str | None:
    """Return the tracked path that a pattern seems to mean: its first missing part in other case or punctuation.

    ``src/Service/**`` means ``src/services``. None where no name comes that close, or the parts all exist.
    """
    prefix = ""
    for part in pattern.split("/"):
        names = folders.get(prefix, set())
        if not is_literal(part) or not part:
            return None
        if part not in names:
            same = sorted(name for name in names if _skeleton(name) == _skeleton(part))
            return f"{prefix}{same[0]}" if same else None
        prefix += f"{part}/"
    return None


def _skeleton(name: str) -> str:
    hidden = "." if name.startswith(".") else ""  # .ci and ci differ
    return hidden + re.sub(r"[-_. ]", "", name.casefold()).removesuffix("s")


def _children(paths: Collection[str]) -> dict[str, set[str]]:
    """Return each folder (with its ``/``; "" is the root) -> the names in it."""
    names_by_folder: dict[str, set[str]] = {}
    for path in paths:
        prefix = ""
        for part in path.split("/"):
            names = names_by_folder.setdefault(prefix, set())
            names.add(part)
            prefix += f"{part}/"
    return names_by_folder


def _gates_matching_nothing(blueprint: Blueprint, index: PathIndex, folders: dict[str, set[str]]) -> Iterator[Finding]:
    for gate in run_gates(blueprint):
        inputs = gate.inputs if isinstance(gate.inputs, tuple) else ()
        for key, patterns in (("when", gate.when), ("inputs", inputs)):
            for number, pattern in enumerate(patterns):
                if index.matching(pattern):
                    continue
                near = near_name(pattern, folders)
                advice = f"write {near} if that was meant" if near else "expected for new code; else check the spelling"
                message = f"gate {gate.name}: no tracked file matches {pattern} of its `{key}`"
                where = place(blueprint, "gates", gate.name, key, number)
                severity = Severity.WARNING if near else Severity.NOTE
                yield Finding(severity, Code.GATE_MATCHES_NOTHING, message, advice, where)


def _matching_nothing(
    blueprint: Blueprint, agent: Agent, index: PathIndex, folders: dict[str, set[str]]
) -> Iterator[Finding]:
    include = agent.scope.include if agent.scope else ()
    empty = [(number, pattern) for number, pattern in enumerate(include) if not index.matching(pattern)]
    new: list[tuple[int, str]] = []
    for number, pattern in empty:
        near = near_name(pattern, folders)
        if near is None:
            new.append((number, pattern))
            continue
        yield Finding(
            Severity.WARNING,
            Code.SCOPE_MATCHES_NOTHING,
            f"scope of {agent.name}: no tracked file matches {pattern}, but {near} exists",
            f"write {near} if that was meant; otherwise new code goes into a second folder",
            pattern_place(blueprint, agent, "scope", number),
            (agent.name,),
        )
    if new:
        patterns = ", ".join(pattern for _, pattern in new)
        yield Finding(
            Severity.NOTE,
            Code.SCOPE_MATCHES_NOTHING,
            f"scope of {agent.name}: no tracked file matches {patterns}",
            "expected for new code; otherwise check the spelling",
            pattern_place(blueprint, agent, "scope", new[0][0]),
            (agent.name,),
        )


def _all_protected(blueprint: Blueprint, agent: Agent) -> list[tuple[int, str]]:
    """Return the scope's patterns, with their numbers, for which the agent may change no possible path."""
    if agent.scope is None or not blueprint.protected:
        return []
    territory = Territory(agent, blueprint.protected)
    exclude = agent.scope.exclude + blueprint.protected
    barred: list[tuple[int, str]] = []
    for number, pattern in enumerate(agent.scope.include):
        # One free path is enough, and avoids the search below for nearly every pattern.
        if territory.holds(re.sub(r"[*?]+", "x", pattern)):
            continue
        has_free_path = not is_literal(pattern) and scopes_meet(Scope((pattern,), exclude), EVERYTHING)
        if not has_free_path and not scopes_meet(Scope((pattern,)), Scope(agent.may_edit)):
            barred.append((number, pattern))
    return barred


def _shut_out(blueprint: Blueprint, agent: Agent, paths: Collection[str]) -> Iterator[Finding]:
    if not paths or agent.scope is None:
        return
    hits = sorted(paths)
    yield Finding(
        Severity.NOTE,
        Code.PROTECTED_IN_SCOPE,
        f"scope of {agent.name}: it contains protected files that the agent may not edit: {name_files(hits)}",
        f"if {agent.name} is to change one of them, add it to `may_edit`",
        place(blueprint, "agents", agent.number - 1, "scope"),
        (agent.name,),
        tuple(hits),
    )


def _unprotected(blueprint: Blueprint, agent: Agent, index: PathIndex, tree: Claims) -> Iterator[Finding]:
    protected = Scope(blueprint.protected)
    for number, pattern in enumerate(agent.may_edit):
        if scopes_meet(Scope((pattern,)), protected) or index.matching(pattern) & tree.judging:
            continue
        yield Finding(
            Severity.WARNING,
            Code.MAY_EDIT_UNPROTECTED,
            f"may_edit of {agent.name}: {pattern} matches no protected path",
            "check the spelling; or add the pattern to `protected`, or to the agent's `scope` instead",
            pattern_place(blueprint, agent, "may_edit", number),
            (agent.name,),
        )
