"""What can be told before a train leaves: which branches conflict as text, and who left their scope.

Invariant: answers are functions of commit ids and of the blueprint's rules, so they are remembered under them; what
is remembered can be deleted at any time. Every pair is really merged, in one git process: a filter by paths would
miss a renamed folder against a new file in it (facts/merge.md 2.7). Refuses ``--quiet`` (facts/merge.md 0.4).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import combinations

from orchestra.blueprint.model import Agent, AgentName, Forbid, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.candidates.containment import is_at_or_below
from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.gates.scope_gate import ScopeFinding, ScopeReason, scope_findings
from orchestra.git.log import changed_paths
from orchestra.git.merge_tree import Merged, installed, parse_merge, read_merges
from orchestra.git.refs import CommitId
from orchestra.review.branch_status import BranchStatus
from orchestra.review.verdicts import Verdict
from orchestra.workspace.paths import instruction_names

_BATCH_SINCE = (2, 39)  # merge-tree --stdin
Pair = tuple[CommitId, CommitId]


@dataclass(frozen=True, slots=True)
class BranchForecast:
    """``conflicts``: agent -> agents whose branches do not merge with its own. ``scope``: agent -> findings."""

    conflicts: Mapping[AgentName, tuple[AgentName, ...]]
    scope: Mapping[AgentName, tuple[ScopeFinding, ...]]


def forecast_branches(fleet: Fleet, standings: Sequence[BranchStatus]) -> BranchForecast:
    """Look ahead for the agents that have work which may still land; the rest is not asked about."""
    pending = [s for s in standings if _pending(s)]
    memory = _Memory(fleet)
    conflicts = _conflicts(fleet, pending, memory)
    scope = {s.agent.name: _scope(fleet, s, memory) for s in pending}
    memory.keep()
    return BranchForecast(conflicts, scope)


def _pending(standing: BranchStatus) -> bool:
    undecided = standing.refs.landed is None and standing.verdict is not Verdict.DISCARDED
    return undecided and standing.commits > 0 and standing.head is not None


def _conflicts(
    fleet: Fleet, pending: Sequence[BranchStatus], memory: _Memory
) -> dict[AgentName, tuple[AgentName, ...]]:
    heads = {s.agent.name: s.head for s in pending if s.head is not None}
    pairs = {(a, b): (heads[a], heads[b]) for a, b in combinations(heads, 2)}
    unknown = [pair for pair in dict.fromkeys(pairs.values()) if memory.read(_merge_key(pair)) is None]
    for pair, merged in zip(unknown, _merge_all(fleet, unknown), strict=True):
        memory.write(_merge_key(pair), list(merged.conflicted_paths))
    hidden, settled = _hidden(fleet, pending), _settled_by_rule(fleet)
    found: dict[AgentName, list[AgentName]] = {}
    for (one, other), pair in pairs.items():
        if any(not settled(path) for path in set(memory.read(_merge_key(pair)) or ()) - hidden):
            found.setdefault(one, []).append(other)
            found.setdefault(other, []).append(one)
    return {name: tuple(others) for name, others in found.items()}


def _settled_by_rule(fleet: Fleet) -> Callable[[str], bool]:
    """Whether ``merge.conflicts`` resolves a path: its first pattern that matches decides."""
    rules = [(Matcher(Scope((glob,))), rule) for glob, rule in fleet.blueprint.merge.conflicts.items()]

    def settled(path: str) -> bool:
        found = next((rule for matcher, rule in rules if matcher.matches(path)), None)
        return found is not None and not isinstance(found, Forbid)

    return settled


def _hidden(fleet: Fleet, pending: Sequence[BranchStatus]) -> frozenset[str]:
    """Instruction files never land, so that they cannot conflict, whoever committed them."""
    bases = {s.refs.base for s in pending if s.refs.base is not None}
    return frozenset().union(*(instruction_names(fleet.repository, fleet.blueprint, base).all for base in bases))


def _scope(fleet: Fleet, standing: BranchStatus, memory: _Memory) -> tuple[ScopeFinding, ...]:
    base, head = standing.refs.base, standing.head
    if base is None or head is None:
        return ()
    key = f"scope {_rules(fleet, standing.agent)} {base} {head}"
    known = memory.read(key)
    if known is None:
        hidden = _hidden(fleet, [standing])
        paths = {path for path in changed_paths(fleet.repository, base, head) if not is_at_or_below(path, hidden)}
        known = [f"{f.reason.name} {f.path}" for f in scope_findings(fleet.blueprint, standing.agent, paths)]
        memory.write(key, known)
    split = (line.partition(" ") for line in known)
    return tuple(ScopeFinding(path, ScopeReason[reason]) for reason, _, path in split)


def _rules(fleet: Fleet, agent: Agent) -> str:
    rules = (agent.scope, agent.may_edit, fleet.blueprint.protected)
    return sha256(repr(rules).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _merge_key(pair: Pair) -> str:
    return f"merge {pair[0]} {pair[1]}"


def _merge_all(fleet: Fleet, pairs: Sequence[Pair]) -> list[Merged]:
    if not pairs:
        return []
    # An agent may have begun a history of its own: one more conflict, and no reason to tell nothing of the rest.
    args = ("merge-tree", "--write-tree", "-z", "--messages", "--allow-unrelated-histories")
    git = fleet.repository.git
    if installed() < _BATCH_SINCE:
        runs = (git.run(*args, one, other, ok=(0, 1)) for one, other in pairs)
        return [parse_merge(done.fields, clean=done.code == 0) for done in runs]
    script = "".join(f"{one} {other}\n" for one, other in pairs).encode()
    return list(read_merges(BytesIO(git.run(*args, "--stdin", stdin=script).stdout)))


class _Memory:
    """Answers by key, in one file; only what was asked for this time is kept."""

    def __init__(self, fleet: Fleet) -> None:
        self._path = fleet.folder / "forecast.json"
        self._known: dict[str, list[str]] = {}
        self._used: dict[str, list[str]] = {}
        with suppress(OSError, ValueError):  # absent or damaged: asked again
            self._known = dict(json.loads(self._path.read_text("utf-8")))

    def read(self, key: str) -> list[str] | None:
        found = self._used.get(key, self._known.get(key))
        if found is not None:
            self._used[key] = found
        return found

    def write(self, key: str, value: list[str]) -> None:
        self._used[key] = value

    def keep(self) -> None:
        if self._used != self._known:
            with suppress(OSError):  # a read-only or full disk makes status slower, not wrong
                write_atomically(self._path, json.dumps(self._used))
