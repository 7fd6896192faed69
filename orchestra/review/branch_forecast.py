"""What can be known before a train starts: branches that conflict, files outside a scope, landings that were lost.

The answers are functions of commit ids and of the blueprint's rules, and are cached under them; the cache can be
deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations

from orchestra.blueprint.model import Agent, AgentName
from orchestra.candidates.conflict_forecast import BranchConflict, conflicts_by_agent, merge_pairs
from orchestra.candidates.containment import is_at_or_below
from orchestra.candidates.text_conflict import conflict_rules, is_resolved_by_rule
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.gates.branch_changes import BranchRange, changed_paths
from orchestra.gates.scope_gate import ScopeFinding, ScopeReason, scope_findings
from orchestra.git.refs import CommitId
from orchestra.review.branch_status import BranchStatus
from orchestra.review.landed_work import landing_of, lost_landings
from orchestra.review.verdicts import Verdict
from orchestra.workspace.paths import instruction_names

_LONGEST_CACHE = 64 << 20


@dataclass(frozen=True, slots=True)
class BranchForecast:
    """``conflicts``: agent -> agents whose branches do not merge with its own. ``scope``: agent -> findings.

    ``lost``: agent -> why its landed work is not on the target any more.
    """

    conflicts: Mapping[AgentName, tuple[AgentName, ...]]
    scope: Mapping[AgentName, tuple[ScopeFinding, ...]]
    lost: Mapping[AgentName, str] = field(default_factory=dict)


def forecast_branches(fleet: Fleet, statuses: Sequence[BranchStatus], target: CommitId | None = None) -> BranchForecast:
    """Look ahead for the agents whose work may still land, and back for those whose work has landed on ``target``."""
    pending = [status for status in statuses if _is_pending(status)]
    bases = {status.refs.base for status in pending if status.refs.base is not None}
    instructions = {base: instruction_names(fleet.repository, fleet.blueprint, base).all for base in bases}
    cache = _Cache(fleet)
    conflicts = _conflicts(fleet, pending, frozenset().union(*instructions.values()), cache)
    scope = _scope(fleet, pending, instructions, cache)
    lost = _lost(fleet, statuses, target, cache) if target is not None else {}
    cache.save()
    return BranchForecast(conflicts, scope, lost)


def _is_pending(status: BranchStatus) -> bool:
    undecided = status.refs.landed is None and status.verdict is not Verdict.DISCARDED
    return undecided and status.commits > 0 and status.head is not None


def _conflicts(
    fleet: Fleet, pending: Sequence[BranchStatus], instructions: frozenset[str], cache: _Cache
) -> dict[AgentName, tuple[AgentName, ...]]:
    heads = {status.agent.name: status.head for status in pending if status.head is not None}
    pairs = {names: (heads[names[0]], heads[names[1]]) for names in combinations(heads, 2)}
    keys = {names: f"merge {first} {second}" for names, (first, second) in pairs.items()}
    missing = {keys[names]: pair for names, pair in pairs.items() if cache.read(keys[names]) is None}
    for key, merged in zip(missing, merge_pairs(fleet.repository.git, list(missing.values())), strict=True):
        cache.write(key, list(merged.conflicted_paths))
    rule_of = conflict_rules(fleet.blueprint)
    conflicts = []
    for names, key in keys.items():
        paths = tuple(path for path in cache.read(key) or () if path not in instructions)
        if any(not is_resolved_by_rule(rule_of, path) for path in paths):
            conflicts.append(BranchConflict(*names, paths))
    order = list(heads)
    return {
        name: tuple(sorted(opponents, key=order.index)) for name, opponents in conflicts_by_agent(conflicts).items()
    }


def _scope(
    fleet: Fleet, pending: Sequence[BranchStatus], instructions: Mapping[CommitId, Collection[str]], cache: _Cache
) -> dict[AgentName, tuple[ScopeFinding, ...]]:
    ranges = {
        f"scope {_rules_digest(fleet, status.agent)} {status.refs.base} {status.head}": (
            status,
            BranchRange(status.refs.base, status.head, status.own_commits),
        )
        for status in pending
        if status.refs.base is not None and status.head is not None
    }
    missing = {key: branch for key, (_, branch) in ranges.items() if cache.read(key) is None}
    paths = changed_paths(fleet.repository.git, missing.values())
    for key, branch in missing.items():
        agent = ranges[key][0].agent
        names = [path for path in paths[branch] if not is_at_or_below(path, instructions[branch.fork])]
        cache.write(key, [f"{f.reason.name} {f.path}" for f in scope_findings(fleet.blueprint, agent, names)])
    findings = {}
    for key, (status, _) in ranges.items():
        lines = (line.partition(" ") for line in cache.read(key) or ())
        findings[status.agent.name] = tuple(ScopeFinding(path, ScopeReason[reason]) for reason, _, path in lines)
    return findings


def _rules_digest(fleet: Fleet, agent: Agent) -> str:
    gates = list(fleet.blueprint.gates.values())
    rules = (agent.scope, agent.may_edit, fleet.blueprint.protected, gates, str(fleet.blueprint.source))
    return sha256(repr(rules).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _lost(fleet: Fleet, statuses: Sequence[BranchStatus], target: CommitId, cache: _Cache) -> dict[AgentName, str]:
    landings = {
        f"landed {landing.base} {landing.tip} {landing.commit} {target}": landing
        for status in statuses
        if (landing := landing_of(status.agent.name, status.refs)) is not None
    }
    contained = {status.refs.landed for status in statuses if status.refs.landed and status.landing_contained}
    missing = {key: landing for key, landing in landings.items() if cache.read(key) is None}
    lost = lost_landings(fleet.repository.git, list(missing.values()), target, contained=contained)
    for key, landing in missing.items():
        cache.write(key, [lost[landing.agent]] if landing.agent in lost else [])
    return {landing.agent: reason for key, landing in landings.items() for reason in cache.read(key) or ()}


class _Cache:
    """Answers by key, in one file; only those that were used this time are kept."""

    def __init__(self, fleet: Fleet) -> None:
        self._path = fleet.folder / "forecast.json"
        self._stored: dict[str, list[str]] = {}
        self._used: dict[str, list[str]] = {}
        with suppress(ValueError):  # missing or damaged: computed again
            stored = json.loads(read_regular(self._path, most=_LONGEST_CACHE) or b"{}")
            self._stored = dict(stored) if isinstance(stored, dict) else {}

    def read(self, key: str) -> list[str] | None:
        answer = self._used.get(key, self._stored.get(key))
        if answer is not None:
            self._used[key] = answer
        return answer

    def write(self, key: str, answer: list[str]) -> None:
        self._used[key] = answer

    def save(self) -> None:
        if self._used != self._stored:
            with suppress(OSError):  # a read-only or full disk makes status slower, not wrong
                write_atomically(self._path, json.dumps(self._used))
