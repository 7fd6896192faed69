"""Decide which agent may change which path.

An agent may change a path that is in its ``scope`` (no scope: anywhere) and not protected, or that its ``may_edit``
names. Paths are as git prints them with -z.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from orchestra.blueprint.judging_files import judging_paths, scope_names
from orchestra.blueprint.model import Agent, AgentName, Blueprint, ConflictRule, Forbid, Scope
from orchestra.blueprint.scope import Matcher, compile_patterns, is_literal
from orchestra.blueprint.scope_overlap import OverlapUndecided, overlap

EVERYTHING = Scope(("**",))


def own_scope(agent: Agent) -> Scope:
    """Return the agent's scope; everything where it has none."""
    return agent.scope or EVERYTHING


class Territory:
    """The paths that one agent may change."""

    def __init__(self, agent: Agent, protected: Sequence[str]) -> None:
        self._scope = Matcher(own_scope(agent))
        self._protected = Matcher(Scope(tuple(protected)))
        self._may_edit = Matcher(Scope(agent.may_edit))

    def holds(self, path: str) -> bool:
        """Return True where the agent may change the path."""
        if self._may_edit.matches(path):
            return True
        return self._scope.matches(path) and not self._protected.matches(path)


class PathIndex:
    """Tracked paths, searched by pattern; each pattern is searched once."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths)
        self._matches: dict[str, frozenset[str]] = {}

    def matching(self, pattern: str) -> frozenset[str]:
        """Return the paths that one pattern matches."""
        if pattern not in self._matches:
            self._matches[pattern] = frozenset(self._search(pattern))
        return self._matches[pattern]

    def of(self, patterns: Iterable[str]) -> frozenset[str]:
        """Return the paths that any of the patterns matches."""
        return frozenset(chain.from_iterable(map(self.matching, patterns)))

    def _search(self, pattern: str) -> Iterable[str]:
        # Every matching path begins with the text before the first wildcard: only those are tested.
        prefix = next(pattern[:end] for end in range(len(pattern), -1, -1) if is_literal(pattern[:end])).rstrip("/")
        first = bisect_left(self.paths, prefix)
        last = bisect_right(self.paths, prefix, lo=first, key=lambda path: path[: len(prefix)])
        match = compile_patterns([pattern]).match
        return (path for path in self.paths[first:last] if match(path.encode("utf-8", "surrogateescape")))


@dataclass(frozen=True, slots=True)
class Claims:
    """The tracked paths and the agents that may change them.

    ``owners`` has every tracked path, also those without owner. ``protected`` are tracked; ``judging`` are those that
    no pattern of the blueprint protects, but that decide how branches are judged. ``shut_out`` are by agent the
    protected paths inside its scope that it may not edit.
    """

    owners: Mapping[str, frozenset[AgentName]]
    protected: frozenset[str]
    judging: frozenset[str]
    held: Mapping[AgentName, frozenset[str]]
    shut_out: Mapping[AgentName, frozenset[str]]


def claims(blueprint: Blueprint, index: PathIndex) -> Claims:
    """Return which agents may change which of the paths of ``index``."""
    declared = index.of(blueprint.protected)
    judging = judging_paths(blueprint, index.paths) - declared
    held: dict[AgentName, frozenset[str]] = {}
    shut_out: dict[AgentName, frozenset[str]] = {}
    for agent in blueprint.agents:
        scope, may_edit = own_scope(agent), index.of(agent.may_edit)
        protected = declared | {path for path in judging if not scope_names(agent, path)}
        inside = index.of(scope.include) - index.of(scope.exclude)
        held[agent.name] = (inside - protected) | may_edit
        shut_out[agent.name] = (inside & protected) - may_edit
    owners: dict[str, set[AgentName]] = {path: set() for path in index.paths}
    for name, its in held.items():
        for path in its:
            owners[path].add(name)
    # The same sets, each kept once: 20,000 paths have few different owners.
    shared: dict[frozenset[AgentName], frozenset[AgentName]] = {}
    frozen = ((path, frozenset(names)) for path, names in owners.items())
    owned = {path: shared.setdefault(names, names) for path, names in frozen}
    return Claims(owned, declared | judging, judging, held, shut_out)


def merge_by_rule(conflicts: Mapping[str, ConflictRule]) -> tuple[str, ...]:
    """Return the patterns of files that several agents may change: a rule (union, regenerate) merges them.

    The first rule that matches counts, so a pattern that an earlier ``forbid`` may reach into is left out.
    """
    forbidden: list[str] = []
    harmless: list[str] = []
    for pattern, rule in conflicts.items():
        if isinstance(rule, Forbid):
            forbidden.append(pattern)
        elif not scopes_meet(Scope((pattern,)), Scope(tuple(forbidden))):
            harmless.append(pattern)
    return tuple(harmless)


def scopes_meet(first: Scope, second: Scope) -> bool:
    """Return True where any path is in both; also where that cannot be decided."""
    try:
        return bool(first.include and second.include) and overlap(first, second) is not None
    except OverlapUndecided:
        return True
