"""Patterns that do not do what was meant: they match nothing today, or only what is protected, or protect nothing.

Invariant: pure. That a pattern matches nothing today is right for code that is yet to be written, and so a note; it
is a warning only where the tree has a folder of nearly that name. Refuses: guessing further than that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from orchestra.blueprint.model import Agent, Blueprint, Scope
from orchestra.blueprint.scope import is_literal
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import EVERYTHING, Claims, PathIndex, Territory, share_a_path
from orchestra.plan.scope_findings import name_files, pattern_place


def pattern_findings(blueprint: Blueprint, index: PathIndex, tree: Claims) -> Iterator[Finding]:
    """What is odd about each agent's patterns. ``tree`` are the claims of all agents on ``index``'s paths."""
    folders = _children(tree.owners)
    for agent in blueprint.agents:
        barred = _all_protected(blueprint, agent)
        for number, pattern in barred:
            yield _barred(blueprint, agent, number, pattern)
        yield from _matching_nothing(blueprint, agent, index, folders)
        yield from _shut_out(blueprint, agent, tree.shut_out[agent.name] - index.of(p for _, p in barred))
        yield from _unprotected(blueprint, agent)


def near_name(pattern: str, folders: dict[str, set[str]]) -> str | None:
    """The tracked path that a pattern seems to mean: its first missing part in other case, number or punctuation.

    ``src/Service/**`` means ``src/services``. None where no name comes that close, or the parts all exist.
    """
    known = ""
    for part in pattern.split("/"):
        names = folders.get(known, set())
        if not is_literal(part) or not part:
            return None
        if part not in names:
            same = sorted(name for name in names if _skeleton(name) == _skeleton(part))
            return f"{known}{same[0]}" if same else None
        known += f"{part}/"
    return None


def _skeleton(name: str) -> str:
    hidden = "." if name.startswith(".") else ""  # .ci and ci are two things
    return hidden + re.sub(r"[-_. ]", "", name.casefold()).removesuffix("s")


def _children(paths: Collection[str]) -> dict[str, set[str]]:
    """Each folder (with its ``/``; "" is the root) -> the names in it."""
    found: dict[str, set[str]] = {}
    for path in paths:
        known = ""
        for part in path.split("/"):
            names = found.setdefault(known, set())
            names.add(part)
            known += f"{part}/"
    return found


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
            f"scope of {agent.name}: no file of today matches {pattern}, but there is {near}",
            f"write {near} if that is meant; new code at the other name would stand beside it",
            pattern_place(blueprint, agent, "scope", number),
            (agent.name,),
        )
    if new:
        patterns = ", ".join(pattern for _, pattern in new)
        yield Finding(
            Severity.NOTE,
            Code.SCOPE_MATCHES_NOTHING,
            f"scope of {agent.name}: no file of today matches {patterns}",
            "right for code that is yet to be written; otherwise look at the spelling",
            pattern_place(blueprint, agent, "scope", new[0][0]),
            (agent.name,),
        )


def _all_protected(blueprint: Blueprint, agent: Agent) -> list[tuple[int, str]]:
    """The scope's patterns, with their numbers, of all whose possible paths the agent may touch none."""
    if agent.scope is None or not blueprint.protected:
        return []
    territory = Territory(agent, blueprint.protected)
    exclude = agent.scope.exclude + blueprint.protected
    found: list[tuple[int, str]] = []
    for number, pattern in enumerate(agent.scope.include):
        # One path is enough, and saves the search below for nearly every pattern. A plain path is that path.
        if territory.holds(re.sub(r"[*?]+", "x", pattern)):
            continue
        left = not is_literal(pattern) and share_a_path(Scope((pattern,), exclude), EVERYTHING)
        if not left and not share_a_path(Scope((pattern,)), Scope(agent.may_edit)):
            found.append((number, pattern))
    return found


def _barred(blueprint: Blueprint, agent: Agent, number: int, pattern: str) -> Finding:
    return Finding(
        Severity.WARNING,
        Code.SCOPE_ALL_PROTECTED,
        f"scope of {agent.name}: all that {pattern} could match is protected, so the agent may touch none of it",
        f"if {agent.name} is to change it, name it in `may_edit`; otherwise take it out of the scope",
        pattern_place(blueprint, agent, "scope", number),
        (agent.name,),
    )


def _shut_out(blueprint: Blueprint, agent: Agent, paths: Collection[str]) -> Iterator[Finding]:
    if not paths or agent.scope is None:
        return
    hits = sorted(paths)
    are = "is" if len(hits) == 1 else "are"
    yield Finding(
        Severity.NOTE,
        Code.PROTECTED_IN_SCOPE,
        f"scope of {agent.name}: protected, and so not to be edited, {are} {name_files(hits)}",
        f"if {agent.name} is to change one of them, name it in `may_edit`",
        place(blueprint, "agents", agent.number - 1, "scope"),
        (agent.name,),
        tuple(hits),
    )


def _unprotected(blueprint: Blueprint, agent: Agent) -> Iterator[Finding]:
    protected = Scope(blueprint.protected)
    for number, pattern in enumerate(agent.may_edit):
        if share_a_path(Scope((pattern,)), protected):
            continue
        yield Finding(
            Severity.WARNING,
            Code.MAY_EDIT_UNPROTECTED,
            f"may_edit of {agent.name}: {pattern} names nothing that is protected",
            "look at the spelling; or add the pattern to `protected`, or to the agent's `scope` instead",
            pattern_place(blueprint, agent, "may_edit", number),
            (agent.name,),
        )
