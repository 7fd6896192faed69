"""Find agents that may change the same path.

Overlap is decided over all possible paths (``blueprint/scope_overlap.py``); a finding names the tracked files among
them.
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
"""Files of an overlap that are searched for the patterns that cause it."""
_SEVERITY = {Overlap.WARN: Severity.WARNING, Overlap.ERROR: Severity.ERROR}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two agents that may change the same path. ``witness`` is such a path, None where undecided.

    ``given``: only by ``may_edit`` on both sides, so it was intended.
    """

    first: Agent
    second: Agent
    witness: str | None
    given: bool = False


def scope_overlaps(blueprint: Blueprint) -> tuple[Finding, ...]:
    """Return a finding for each pair of agents that may change the same path; an error where the blueprint demands it.

    A path that ``may_edit`` gives to both is a warning even then. Fast enough for every spawn
    (benchmarks/bench_plan.py).
    """
    return tuple(overlap_findings(blueprint, {}, {}))


def overlap_findings(
    blueprint: Blueprint, held: Mapping[AgentName, frozenset[str]], changes: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield the findings of ``scope_overlaps`` with the tracked files that each overlap concerns.

    ``held`` are the tracked files that each agent may change, ``changes`` counts the commits that changed each.
    """
    if blueprint.overlap is Overlap.ALLOW or len(blueprint.agents) == 1:
        return
    yield from _no_scope(blueprint)
    harmless = Matcher(Scope(merge_by_rule(blueprint.merge.conflicts))).matches
    for pair in overlapping_pairs(blueprint):
        both = held.get(pair.first.name, frozenset()) & held.get(pair.second.name, frozenset())
        hits = [path for path in both if not harmless(path)]
        yield _overlap(blueprint, pair, sorted(hits, key=lambda path: (-changes.get(path, 0), path)))


def overlapping_pairs(blueprint: Blueprint) -> Iterator[Pair]:
    """Yield every pair of agents with scopes that may change a common path, decided exactly, in declared order.

    Paths that several agents may change safely (``merge_by_rule``) are left out.
    """
    agents = [agent for agent in blueprint.agents if agent.scope is not None]
    exact = _Exact(agents, blueprint.protected, merge_by_rule(blueprint.merge.conflicts))
    for first, second in combinations(range(len(agents)), 2):
        try:
            shared_path = exact.shared(first, second)
        except OverlapUndecided:
            yield Pair(agents[first], agents[second], None)
            continue
        if shared_path is not None:
            yield Pair(agents[first], agents[second], *shared_path)


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

    def shared(self, first_agent: int, second_agent: int) -> tuple[str, bool] | None:
        """Return a path of both agents, with True where both have it only by ``may_edit``."""
        for by_edit, by_other_edit in ((0, 0), (0, 1), (1, 0), (1, 1)):
            first, second = 2 * first_agent + by_edit, 2 * second_agent + by_other_edit
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
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no scope, and may change {protected}, "
        "including the other agents' scopes",
        "give each a `scope:`, or set `overlap: allow` if that is intended",
        place(blueprint, "agents", unscoped[0].number - 1),
        names,
    )


def _overlap(blueprint: Blueprint, pair: Pair, hits: Sequence[str]) -> Finding:
    severity = Severity.WARNING if pair.given else _SEVERITY[blueprint.overlap]
    code, names = Code.SCOPE_OVERLAP, (pair.first.name, pair.second.name)
    if pair.witness is None:
        message = f"the patterns of {names[0]} and {names[1]} are too complex to compare, and count as overlapping"
        at = place(blueprint, "agents", pair.first.number - 1, "scope")
        return Finding(severity, code, message, "write simpler patterns", at, names, tuple(hits))
    claims = [_claim(blueprint, agent, [pair.witness, *hits[:_MOST_EXPLAINED]]) for agent in (pair.first, pair.second)]
    broad, narrow = sorted(claims, key=_breadth, reverse=True)  # the broader one is the one to reduce
    today = f"; tracked files: {name_files(hits)}" if hits else ""
    message = f"{names[0]} and {names[1]} may both change {pair.witness}: {broad} and {narrow.with_place(broad)}{today}"
    return Finding(severity, code, message, _way_out(blueprint, broad, narrow), broad.origin, names, tuple(hits))


@dataclass(frozen=True, slots=True)
class _Claim:
    """The patterns of one key by which an agent may change the paths in question; ``origin`` is of the first."""

    agent: Agent
    key: str
    patterns: tuple[str, ...]
    origin: Origin

    def __str__(self) -> str:
        return " ".join((self.key, ", ".join(self.patterns), "of", self.agent.name))

    def with_place(self, reference: _Claim) -> str:
        """Return the claim with its place, shortened in the file of ``reference``."""
        if self.origin == reference.origin:
            return str(self)
        file = "line " if reference.origin.file == self.origin.file else f"{self.origin.file}:"
        return f"{self} ({file}{self.origin.line})"


def _claim(blueprint: Blueprint, agent: Agent, paths: Sequence[str]) -> _Claim:
    """Return the claim by scope, or by ``may_edit`` where that gives the first of the paths."""
    lists = (("scope", own_scope(agent).include), ("may_edit", agent.may_edit))
    for key, patterns in lists:
        matchers = [Matcher(Scope((pattern,))) for pattern in patterns]
        why = [number for number, matcher in enumerate(matchers) if any(map(matcher.matches, paths))]
        if any(matchers[number].matches(paths[0]) for number in why):
            where = pattern_place(blueprint, agent, key, why[0])
            return _Claim(agent, key, tuple(patterns[number] for number in why), where)
    raise AssertionError(f"{agent.name} may change {paths[0]} by none of its patterns")


def _breadth(claim: _Claim) -> tuple[int, int]:
    """Rank a claim: more for patterns that say less: fewer folders first, then fewer letters."""
    texts = [pattern.replace("*", "") for pattern in claim.patterns]
    return max((-text.count("/"), -len(text)) for text in texts)


def _way_out(blueprint: Blueprint, broad: _Claim, narrow: _Claim) -> str:
    first, second = broad.agent, narrow.agent
    if broad.key == narrow.key == "may_edit":
        advice = f"give {', '.join(broad.patterns)} to one of the two, or a merge rule (`merge.conflicts`)"
    elif broad.patterns == narrow.patterns:
        advice = f"give {', '.join(broad.patterns)} to one of the two"
    elif narrow.key == "scope" and broad.key == "scope":
        patterns = ", ".join(narrow.patterns)
        advice = f"exclude {patterns} from the scope of {first.name}: {{include: [...], exclude: [...]}}"
    else:
        advice = f"leave it to one of the two: narrow {broad.key} of {first.name} or {narrow.key} of {second.name}"
    if second.name in blueprint.predecessors.get(first.name, ()):
        first, second = second, first
    if first.name not in blueprint.predecessors.get(second.name, ()):
        return f"{advice}, or decide which lands first (`merge_after`)"
    return f"{advice}; as it is, {second.name} lands after {first.name} and gets the conflicts"


def pattern_place(blueprint: Blueprint, agent: Agent, key: str, number: int) -> Origin:
    """Return the place where the agent's pattern was set, for ``scope`` as a list or as a map with ``include``."""
    at = ("agents", agent.number - 1, key)
    in_map = blueprint.origins.get((*at, "include", number))
    return in_map or place(blueprint, *at, number)


def name_files(paths: Sequence[str]) -> str:
    """Return ``a, b and 3 more files``."""
    omitted = len(paths) - MOST_NAMED
    ending = f" and {omitted} more {'file' if omitted == 1 else 'files'}" if omitted > 0 else ""
    return ", ".join(paths[:MOST_NAMED]) + ending
