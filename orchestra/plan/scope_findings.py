"""What is wrong with the scopes: agents that may touch the same path, patterns that match nothing or nothing allowed.

Invariant: pure. Whether two agents overlap is decided over all possible paths (``blueprint/overlap.py``), which files
that concerns over today's. Refuses: an opinion on scopes that the blueprint allows to overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from orchestra.blueprint.model import Agent, AgentName, Blueprint, Origin, Overlap, Scope
from orchestra.blueprint.scope import Matcher, is_literal
from orchestra.blueprint.scope_overlap import Overlaps, OverlapUndecided
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import merge_by_rule, own_scope

MOST_NAMED = 5
"""Files named in a message; the finding's ``paths`` has them all."""
_MOST_EXPLAINED = 50
"""Files of an overlap that are looked at to say which patterns it comes from."""
_SEVERITY = {Overlap.WARN: Severity.WARNING, Overlap.ERROR: Severity.ERROR}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two agents who may touch the same path. ``witness`` is one such path, None where it could not be decided.

    ``given``: only by ``may_edit`` on both sides, so somebody meant it.
    """

    one: Agent
    other: Agent
    witness: str | None
    given: bool = False


def scope_overlaps(blueprint: Blueprint) -> tuple[Finding, ...]:
    """A finding for each pair of agents who may touch the same path: errors where the blueprint says so.

    A path that ``may_edit`` gives to both by name is a warning even then. Pure, and quick enough for every spawn (50
    agents: benchmarks/bench_plan.py).
    """
    return tuple(overlap_findings(blueprint, {}, {}))


def overlap_findings(
    blueprint: Blueprint, held: Mapping[AgentName, frozenset[str]], changes: Mapping[str, int]
) -> Iterator[Finding]:
    """As ``scope_overlaps``, with the files of today's tree that each overlap concerns.

    ``held`` are the tracked files that each agent may touch, ``changes`` counts the commits that changed each.
    """
    if blueprint.overlap is Overlap.ALLOW or len(blueprint.agents) == 1:
        return
    yield from _no_scope(blueprint)
    harmless = Matcher(Scope(merge_by_rule(blueprint.merge.conflicts))).matches
    for pair in overlapping_pairs(blueprint):
        both = held.get(pair.one.name, frozenset()) & held.get(pair.other.name, frozenset())
        hits = [path for path in both if not harmless(path)]
        yield _overlap(blueprint, pair, sorted(hits, key=lambda path: (-changes.get(path, 0), path)))


def overlapping_pairs(blueprint: Blueprint) -> Iterator[Pair]:
    """Every pair of agents with scopes who may touch a common path, decided exactly, in declared order.

    Paths that several may change without harm (``merge_by_rule``) are left out.
    """
    agents = [agent for agent in blueprint.agents if agent.scope is not None]
    exact = _Exact(agents, blueprint.protected, merge_by_rule(blueprint.merge.conflicts))
    for one, other in combinations(range(len(agents)), 2):
        try:
            found = exact.shared(one, other)
        except OverlapUndecided:
            yield Pair(agents[one], agents[other], None)
            continue
        if found is not None:
            yield Pair(agents[one], agents[other], *found)


class _Exact:
    """Decides over territories, which are unions: (scope less protected) and (may_edit), both less ``harmless``.

    Scopes alone are compared first, which is quick; what is protected is only brought in where the path that was
    found turns out to be. A plain path that is barred by name is barred with all below it: the dialect would let
    ``web/package.json`` be a folder, and ``**/package.json`` does not match what is in that.
    """

    def __init__(self, agents: Sequence[Agent], protected: tuple[str, ...], harmless: tuple[str, ...]) -> None:
        self._agents = agents
        self._protected = protected
        self._is_protected = Matcher(Scope(protected)).matches
        self._harmless = harmless
        named = {pattern for agent in agents for pattern in (*own_scope(agent).include, *agent.may_edit)}
        self._plain_paths = sorted(pattern for pattern in named if is_literal(pattern))
        self._plain = self._overlaps(())

    @cached_property
    def _careful(self) -> Overlaps:
        return self._overlaps(self._protected)

    def _overlaps(self, protected: tuple[str, ...]) -> Overlaps:
        parts: list[Scope] = []
        for agent in self._agents:
            scope = own_scope(agent)
            parts.append(Scope(scope.include, self._with_all_below(scope.exclude + self._harmless + protected)))
            parts.append(Scope(agent.may_edit, self._with_all_below(self._harmless)))
        return Overlaps(parts)

    def _with_all_below(self, patterns: tuple[str, ...]) -> tuple[str, ...]:
        naming = tuple(pattern for pattern in patterns if pattern.rpartition("/")[2].strip("*?"))
        barred = Matcher(Scope(naming))
        below = (f"{path}/**" for path in self._plain_paths if barred.matches(path))
        return (*patterns, *below)

    def shared(self, one: int, other: int) -> tuple[str, bool] | None:
        """A path of both, and whether both only have it by ``may_edit``."""
        for by_edit, by_other_edit in ((0, 0), (0, 1), (1, 0), (1, 1)):
            first, second = 2 * one + by_edit, 2 * other + by_other_edit
            given = bool(by_edit and by_other_edit)
            path = self._plain.witness(first, second)
            if path is not None and not given and self._is_protected(path):
                path = self._careful.witness(first, second)
            if path is not None:
                return path, given
        return None


def _no_scope(blueprint: Blueprint) -> Iterator[Finding]:
    unscoped = [agent for agent in blueprint.agents if agent.scope is None]
    if not unscoped:
        return
    names = tuple(agent.name for agent in unscoped)
    protected = "everything that is not protected" if blueprint.protected else "everything"
    yield Finding(
        _SEVERITY[blueprint.overlap],
        Code.NO_SCOPE,
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no scope, and so may touch {protected}, what is "
        "in the other agents' scopes too",
        "give each a `scope:`, or set `overlap: allow` if that is meant",
        place(blueprint, "agents", unscoped[0].number - 1),
        names,
    )


def _overlap(blueprint: Blueprint, pair: Pair, hits: Sequence[str]) -> Finding:
    severity = Severity.WARNING if pair.given else _SEVERITY[blueprint.overlap]
    code, names = Code.SCOPE_OVERLAP, (pair.one.name, pair.other.name)
    if pair.witness is None:
        what = f"the patterns of {names[0]} and {names[1]} are too entangled to compare, and count as overlapping"
        at = place(blueprint, "agents", pair.one.number - 1, "scope")
        return Finding(severity, code, what, "write simpler patterns", at, names, tuple(hits))
    broad, narrow = _claims(blueprint, pair, [pair.witness, *hits[:_MOST_EXPLAINED]])
    today = f"; today that is {name_files(hits)}" if hits else ""
    what = f"{names[0]} and {names[1]} may both touch {pair.witness}: {broad} and {narrow.beside(broad)}{today}"
    return Finding(severity, code, what, _way_out(blueprint, broad, narrow), broad.origin, names, tuple(hits))


@dataclass(frozen=True, slots=True)
class _Claim:
    """The patterns of one key by which an agent may touch the paths in question; ``origin`` is of the first."""

    agent: Agent
    key: str
    patterns: tuple[str, ...]
    origin: Origin

    def __str__(self) -> str:
        return " ".join((self.key, ", ".join(self.patterns), "of", self.agent.name))

    def beside(self, other: _Claim) -> str:
        """With its place, shortened where that is in the same file as the other's."""
        if self.origin == other.origin:
            return str(self)
        file = "line " if other.origin.file == self.origin.file else f"{self.origin.file}:"
        return f"{self} ({file}{self.origin.line})"


def _claims(blueprint: Blueprint, pair: Pair, paths: Sequence[str]) -> tuple[_Claim, _Claim]:
    """Why each of the two may touch the paths; first the broader claim, the one to cut back."""
    one, other = (_claim(blueprint, agent, paths) for agent in (pair.one, pair.other))
    return (one, other) if _breadth(one) >= _breadth(other) else (other, one)


def _claim(blueprint: Blueprint, agent: Agent, paths: Sequence[str]) -> _Claim:
    """By its scope, or by ``may_edit`` where that is why it may touch the first of the paths."""
    lists = (("scope", own_scope(agent).include), ("may_edit", agent.may_edit))
    for key, patterns in lists:
        matchers = [Matcher(Scope((pattern,))) for pattern in patterns]
        why = [number for number, matcher in enumerate(matchers) if any(map(matcher.matches, paths))]
        if any(matchers[number].matches(paths[0]) for number in why):
            return _Claim(
                agent, key, tuple(patterns[number] for number in why), pattern_place(blueprint, agent, key, why[0])
            )
    raise AssertionError(f"{agent.name} may touch {paths[0]} by none of its patterns")


def _breadth(claim: _Claim) -> tuple[int, int]:
    """More for patterns that say less: fewer folders first, then fewer letters."""
    texts = [pattern.replace("*", "") for pattern in claim.patterns]
    return max((-text.count("/"), -len(text)) for text in texts)


def _way_out(blueprint: Blueprint, broad: _Claim, narrow: _Claim) -> str:
    first, second = broad.agent, narrow.agent
    if broad.key == narrow.key == "may_edit":
        advice = f"give {', '.join(broad.patterns)} to one of the two, or a rule to merge it by (`merge.conflicts`)"
    elif broad.patterns == narrow.patterns:
        advice = f"give {', '.join(broad.patterns)} to one of the two"
    elif narrow.key == "scope" and broad.key == "scope":
        advice = (
            f"exclude {', '.join(narrow.patterns)} from the scope of {first.name}: {{include: [...], exclude: [...]}}"
        )
    else:
        advice = f"leave it to one of the two: narrow {broad.key} of {first.name} or {narrow.key} of {second.name}"
    if second.name in blueprint.predecessors.get(first.name, ()):
        first, second = second, first
    if first.name not in blueprint.predecessors.get(second.name, ()):
        return f"{advice}, or fix who lands first (`merge_after`)"
    return f"{advice}; as it is, {second.name} lands after {first.name} and meets the conflicts"


def pattern_place(blueprint: Blueprint, agent: Agent, key: str, number: int) -> Origin:
    """Where the agent's pattern was set, whether ``scope`` is a list or a map with ``include``."""
    at = ("agents", agent.number - 1, key)
    in_map = blueprint.origins.get((*at, "include", number))
    return in_map or place(blueprint, *at, number)


def name_files(paths: Sequence[str]) -> str:
    """``a, b and 3 more files``."""
    shown, more = paths[:MOST_NAMED], len(paths) - MOST_NAMED
    if more <= 0:
        return ", ".join(shown)
    return f"{', '.join(shown)} and {more} more {'file' if more == 1 else 'files'}"
