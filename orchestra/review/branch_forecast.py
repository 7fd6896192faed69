"""What can be known before a train starts: branches that conflict, files outside a scope, landings that were lost.

The answers are functions of commit ids and of the blueprint's rules, and are cached under them; the cache can be
deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations
from typing import TypeVar

from orchestra.blueprint.model import Agent, AgentName
from orchestra.candidates.conflict_forecast import BranchConflict, conflicts_by_agent, merge_pairs
from orchestra.candidates.text_conflict import conflict_rules, is_resolved_by_rule
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.gates.branch_content import BranchSpan, read_branches
from orchestra.gates.judging_changes import judging_changes
from orchestra.gates.scope_gate import ScopeFinding, ScopeReason, scope_findings
from orchestra.git.refs import CommitId
from orchestra.review.branch_status import BranchStatus
from orchestra.review.landed_work import landing_of, lost_landings
from orchestra.review.verdicts import Verdict
from orchestra.workspace.paths import instruction_names

_LONGEST_CACHE = 64 << 20
_JUDGING = "JUDGING"
Item = TypeVar("Item")
Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class BranchForecast:
    """``conflicts``: agent -> agents whose branches do not merge with its own; ``pairs`` are the same with their paths.

    ``scope``: agent -> findings. ``judging``: agent -> what it changes about its own judges.

    ``lost``: agent -> why its landed work is not on the target any more.
    """

    conflicts: Mapping[AgentName, tuple[AgentName, ...]] = field(default_factory=dict)
    scope: Mapping[AgentName, tuple[ScopeFinding, ...]] = field(default_factory=dict)
    judging: Mapping[AgentName, tuple[str, ...]] = field(default_factory=dict)
    lost: Mapping[AgentName, str] = field(default_factory=dict)
    pairs: tuple[BranchConflict, ...] = ()


def forecast_branches(fleet: Fleet, statuses: Sequence[BranchStatus], target: CommitId | None) -> BranchForecast:
    """Look ahead for the agents whose work may still land, and back for those whose work has landed on ``target``."""
    if target is None:
        return BranchForecast()
    undecided = [s for s in statuses if s.refs.landed is None and s.verdict is not Verdict.DISCARDED]
    pending = [status for status in undecided if status.commits > 0 and status.head is not None]
    instructions = {
        base: tuple(sorted(instruction_names(fleet.repository, fleet.blueprint, base).all))
        for base in {status.refs.base for status in pending if status.refs.base is not None}
    }
    cache = ForecastCache(fleet, "forecast.json")
    pairs = _conflicts(fleet, pending, frozenset().union(*instructions.values()), cache)
    order = [status.agent.name for status in pending]
    conflicts = {name: tuple(sorted(others, key=order.index)) for name, others in conflicts_by_agent(pairs).items()}
    scope, judging = _scope(fleet, pending, target, instructions, cache)
    # Landings whose work the target lost.
    landings = {
        f"landed {landing.base} {landing.tip} {landing.commit} {target}": landing
        for status in statuses
        if (landing := landing_of(status.agent.name, status.refs)) is not None
    }
    contained = {status.refs.landed for status in statuses if status.refs.landed and status.landing_contained}
    git = fleet.repository.git
    reasons = cache.answer(
        landings,
        lambda missing: [
            [lost[landing.agent]] if landing.agent in lost else []
            for lost in [lost_landings(git, missing, target, contained=contained)]
            for landing in missing
        ],
    )
    cache.save()
    lost = {landings[key].agent: reason for key, lines in reasons.items() for reason in lines}
    return BranchForecast(conflicts, scope, judging, lost, pairs)


def _conflicts(
    fleet: Fleet, pending: Sequence[BranchStatus], instructions: frozenset[str], cache: ForecastCache
) -> tuple[BranchConflict, ...]:
    heads = {status.agent.name: status.head for status in pending if status.head is not None}
    pairs = {(first, second): (heads[first], heads[second]) for first, second in combinations(heads, 2)}
    paths = conflicting_paths(fleet, pairs, instructions, cache)
    return tuple(BranchConflict(*pair, paths[pair]) for pair in pairs if pair in paths)


def conflicting_paths(
    fleet: Fleet,
    pairs: Mapping[Name, tuple[CommitId, CommitId]],
    instructions: frozenset[str],
    cache: ForecastCache,
) -> dict[Name, tuple[str, ...]]:
    """Merge each pair of commits; return the paths in conflict of those that do not merge, instruction files left out.

    A pair whose conflicts the blueprint's rules resolve merges.
    """
    merged_paths = cache.answer(
        {f"merge {first} {second}": (first, second) for first, second in pairs.values()},
        # None: git cannot merge a malformed tree.
        lambda missing: [
            list(merged.conflicted_paths) if merged else [] for merged in merge_pairs(fleet.repository.git, missing)
        ],
    )
    rule_of = conflict_rules(fleet.blueprint)
    conflicts = {}
    for name, (first, second) in pairs.items():
        paths = tuple(path for path in merged_paths[f"merge {first} {second}"] if path not in instructions)
        if any(not is_resolved_by_rule(rule_of, path) for path in paths):
            conflicts[name] = paths
    return conflicts


def _scope(
    fleet: Fleet,
    pending: Sequence[BranchStatus],
    target: CommitId,
    instructions: Mapping[CommitId, tuple[str, ...]],
    cache: ForecastCache,
) -> tuple[dict[AgentName, tuple[ScopeFinding, ...]], dict[AgentName, tuple[str, ...]]]:
    blueprint = fleet.blueprint
    rules = repr((blueprint.protected, list(blueprint.gates.values()), str(blueprint.source)))
    branches = {}
    for status in pending:
        if status.refs.base is not None and status.head is not None:
            agent = status.agent
            digest = sha256(f"{rules} {agent.scope} {agent.may_edit}".encode("utf-8", "surrogateescape")).hexdigest()
            span = BranchSpan(status.refs.base, status.head, instructions[status.refs.base])
            # What the target holds decides which commits are the branch's own, and where moved files are.
            branches[f"scope {digest[:16]} {span.base} {span.tip} {target}"] = (agent, span)

    def look(missing: Sequence[tuple[Agent, BranchSpan]]) -> list[list[str]]:
        lines = []
        with read_branches(fleet.repository.git, target, [span for _, span in missing]) as contents:
            for (agent, _), content in zip(missing, contents, strict=True):
                changes = judging_changes(blueprint, agent, content) if content is not None else ()
                paths = content.paths if content is not None else ()
                findings = scope_findings(
                    blueprint, agent, paths, {change.path for change in changes if change.sections}
                )
                lines.append([f"{_JUDGING} {change}" for change in changes])
                lines[-1] += [f"{finding.reason.name} {finding.path}" for finding in findings]
        return lines

    scope, judging = {}, {}
    for key, lines in cache.answer(branches, look).items():
        words = [line.partition(" ") for line in lines]
        name = branches[key][0].name
        scope[name] = tuple(ScopeFinding(path, ScopeReason[kind]) for kind, _, path in words if kind != _JUDGING)
        judging[name] = tuple(change for kind, _, change in words if kind == _JUDGING)
    return scope, judging


class ForecastCache:
    """Answers by key, in one file of the fleet's folder; only those that were used this time are kept."""

    def __init__(self, fleet: Fleet, file_name: str) -> None:
        self._path = fleet.folder / file_name
        self._stored: dict[str, list[str]] = {}
        self._used: dict[str, list[str]] = {}
        with suppress(ValueError):  # missing or damaged: computed again
            stored = json.loads(read_regular(self._path, most=_LONGEST_CACHE) or b"{}")
            rows = stored.items() if isinstance(stored, dict) else ()
            self._stored = {
                key: lines for key, lines in rows if isinstance(lines, list) and {*map(type, lines)} <= {str}
            }

    def answer(
        self, questions: Mapping[str, Item], compute: Callable[[list[Item]], list[list[str]]]
    ) -> dict[str, list[str]]:
        """Return key -> answer for all ``questions``; ``compute`` answers those that are not stored, in order."""
        missing = [key for key in questions if key not in self._stored]
        computed = dict(zip(missing, compute([questions[key] for key in missing]), strict=True)) if missing else {}
        answers = {key: computed[key] if key in computed else self._stored[key] for key in questions}
        self._used |= answers
        return answers

    def save(self) -> None:
        if self._used != self._stored:
            with suppress(OSError):  # a read-only or full disk makes status slower, not wrong
                write_atomically(self._path, json.dumps(self._used))
