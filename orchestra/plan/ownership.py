"""Who may touch which path: an agent's scope without what is protected, and the protected paths it is given.

Invariant: the one definition of "may touch": in ``scope`` (no scope: anywhere) and not protected, or named by
``may_edit``, which goes over both. Pure. Refuses: reading the tree; paths come in as git prints them with -z.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from orchestra.blueprint.model import Agent, AgentName, Blueprint, ConflictRule, Forbid, Scope
from orchestra.blueprint.scope import Matcher, compile_patterns, is_literal
from orchestra.blueprint.scope_overlap import OverlapUndecided, overlap

EVERYTHING = Scope(("**",))


def own_scope(agent: Agent) -> Scope:
    """The agent's scope; everything where it has none."""
    return agent.scope or EVERYTHING


class Territory:
    """What one agent may touch."""

    def __init__(self, agent: Agent, protected: Sequence[str]) -> None:
        self._scope = Matcher(own_scope(agent))
        self._protected = Matcher(Scope(tuple(protected)))
        self._may_edit = Matcher(Scope(agent.may_edit))

    def holds(self, path: str) -> bool:
        """Whether the agent may touch the path."""
        if self._may_edit.matches(path):
            return True
        return self._scope.matches(path) and not self._protected.matches(path)


class PathIndex:
    """Tracked paths, found by pattern; each pattern is looked up once."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths)
        self._found: dict[str, frozenset[str]] = {}

    def matching(self, pattern: str) -> frozenset[str]:
        """The paths that one pattern matches."""
        if pattern not in self._found:
            self._found[pattern] = frozenset(self._search(pattern))
        return self._found[pattern]

    def of(self, patterns: Iterable[str]) -> frozenset[str]:
        """The paths that any of the patterns matches."""
        return frozenset(chain.from_iterable(map(self.matching, patterns)))

    def _search(self, pattern: str) -> Iterable[str]:
        # What comes before the first wildcard begins every path that matches: only those need a look.
        prefix = next(pattern[:end] for end in range(len(pattern), -1, -1) if is_literal(pattern[:end])).rstrip("/")
        first = bisect_left(self.paths, prefix)
        last = bisect_right(self.paths, prefix, lo=first, key=lambda path: path[: len(prefix)])
        match = compile_patterns([pattern]).match
        return (path for path in self.paths[first:last] if match(path.encode("utf-8", "surrogateescape")))


@dataclass(frozen=True, slots=True)
class Claims:
    """Today's tracked paths and who may touch them.

    ``owners`` has every tracked path, those of nobody too. ``protected`` are tracked; ``shut_out`` are by agent the
    protected paths inside its scope that it may not edit.
    """

    owners: Mapping[str, frozenset[AgentName]]
    protected: frozenset[str]
    held: Mapping[AgentName, frozenset[str]]
    shut_out: Mapping[AgentName, frozenset[str]]


def claims(blueprint: Blueprint, index: PathIndex) -> Claims:
    """Who may touch which of the paths of ``index``."""
    protected = index.of(blueprint.protected)
    held: dict[AgentName, frozenset[str]] = {}
    shut_out: dict[AgentName, frozenset[str]] = {}
    for agent in blueprint.agents:
        scope, may_edit = own_scope(agent), index.of(agent.may_edit)
        inside = index.of(scope.include) - index.of(scope.exclude)
        held[agent.name] = (inside - protected) | may_edit
        shut_out[agent.name] = (inside & protected) - may_edit
    owners: dict[str, set[AgentName]] = {path: set() for path in index.paths}
    for name, its in held.items():
        for path in its:
            owners[path].add(name)
    return Claims(_shared(owners), protected, held, shut_out)


def merge_by_rule(conflicts: Mapping[str, ConflictRule]) -> tuple[str, ...]:
    """The patterns of what several agents may change without harm: a rule (union, regenerate) merges it.

    The first rule that matches counts, so a pattern that an earlier ``forbid`` may reach into is left out.
    """
    forbidden: list[str] = []
    harmless: list[str] = []
    for pattern, rule in conflicts.items():
        if isinstance(rule, Forbid):
            forbidden.append(pattern)
        elif not share_a_path(Scope((pattern,)), Scope(tuple(forbidden))):
            harmless.append(pattern)
    return tuple(harmless)


def share_a_path(one: Scope, other: Scope) -> bool:
    """Whether any path is in both; True also where that cannot be decided."""
    try:
        return bool(one.include and other.include) and overlap(one, other) is not None
    except OverlapUndecided:
        return True


def _shared(owners: Mapping[str, set[AgentName]]) -> dict[str, frozenset[AgentName]]:
    """The same sets, each kept once: 20,000 paths have few different owners."""
    known: dict[frozenset[AgentName], frozenset[AgentName]] = {}
    frozen = ((path, frozenset(names)) for path, names in owners.items())
    return {path: known.setdefault(names, names) for path, names in frozen}
