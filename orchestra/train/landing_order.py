"""The order in which branches land: after those that they are stacked on, and what order would evict fewer.

With strategy ``merge`` an agent's commits land as they are, with those that they were made on. A branch whose recorded
base is a commit of another branch therefore lands after that one, whatever was declared, and not in a train in which
that one does not land: its commits would have to be rewritten under ids that its agent does not know. With ``rebase``
and ``squash`` every commit is rewritten anyway, so only declared dependencies count there. A stacking that contradicts
what was declared, or itself, is ignored; building then reports what does not fit.

Of two branches that conflict as text, whichever lands second is evicted, so one that conflicts with many should land
last. The train is not reordered; a person does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

After = Mapping[AgentName, frozenset[AgentName]]
ConflictMap = Mapping[AgentName, frozenset[AgentName]]
_NONE = frozenset[AgentName]()


def stacked_on(repository: Repository, target: CommitId, branches: Sequence[Branch], declared: After) -> After:
    """Return ``declared`` with the dependencies of stacked branches added, transitively."""
    after = dict(declared)

    @cache
    def is_in_target(base: CommitId) -> bool:
        return repository.is_ancestor(base, target)

    @cache
    def commits_of(branch: Branch) -> frozenset[str]:
        """Return the branch's own commits, without those that it merged."""
        walk = repository.git.run("rev-list", "--first-parent", branch.tip, "--not", branch.base, "--")
        return frozenset(walk.lines)

    for branch in branches:
        if branch.strategy is not Strategy.MERGE or len(branches) == 1 or is_in_target(branch.base):
            continue
        for lower in branches:
            contradicts = branch.agent in after.get(lower.agent, frozenset())
            if lower != branch and not contradicts and branch.base in commits_of(lower):
                before = {lower.agent, *after.get(lower.agent, ())}
                for name in (branch.agent, *(name for name, names in after.items() if branch.agent in names)):
                    after[name] = after.get(name, frozenset()) | before
    return after


def order_by_dependencies(names: Sequence[AgentName], after: After) -> tuple[AgentName, ...]:
    """Return ``names`` with each after its dependencies, and otherwise in the given order."""
    remaining, ordered = list(names), list[AgentName]()
    while remaining:
        ready = next(name for name in remaining if not after.get(name, frozenset()) & set(remaining))
        remaining.remove(ready)
        ordered.append(ready)
    return tuple(ordered)


def losses(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[AgentName, ...]:
    """Return the agents that would not land in that order: they conflict with, or depend on, one before them."""
    landed: set[AgentName] = set()
    lost: list[AgentName] = []
    queued = set(order)
    for agent in order:
        needed = after.get(agent, _NONE) & queued
        if needed <= landed and not conflicts.get(agent, _NONE) & landed:
            landed.add(agent)
        else:
            lost.append(agent)
    return tuple(lost)


def better_order(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[AgentName, ...] | None:
    """Return an order that loses fewer than ``order``; None without one. Greedy: fewest open conflicts first."""
    remaining, landed, lost = list(order), set[AgentName](), set[AgentName]()
    advised: list[AgentName] = []

    def cost(agent: AgentName) -> int:
        """Return how many of the remaining would be lost if this one landed."""
        hit = conflicts.get(agent, _NONE) & set(remaining)
        return sum(1 for name in remaining if name != agent and (name in hit or after.get(name, _NONE) & hit))

    while remaining:
        ready = [agent for agent in remaining if not after.get(agent, _NONE) & set(remaining)]
        doomed = [agent for agent in ready if conflicts.get(agent, _NONE) & landed or after.get(agent, _NONE) & lost]
        chosen = min(ready, key=lambda agent: (agent in doomed, cost(agent), order.index(agent)))
        remaining.remove(chosen)
        advised.append(chosen)
        (lost if chosen in doomed else landed).add(chosen)
    is_better = len(losses(advised, after, conflicts)) < len(losses(order, after, conflicts))
    return tuple(advised) if is_better else None


def advise(order: Sequence[AgentName], after: After, conflicts: ConflictMap) -> tuple[str, ...]:
    """Return advice to print before the train starts; nothing without conflicts."""
    queued = set(order)
    conflicts = {name: names & queued for name, names in conflicts.items() if name in queued and names & queued}
    if not conflicts:
        return ()
    both_ways = ((first, second) for first, seconds in conflicts.items() for second in seconds)
    pairs = sorted({tuple(sorted(pair, key=order.index)) for pair in both_ways})
    advice = [
        f"{first} and {second} conflict as text: whichever lands second will be evicted" for first, second in pairs
    ]
    advised = better_order(order, after, conflicts)
    if advised is not None:
        before, now = len(losses(order, after, conflicts)), len(losses(advised, after, conflicts))
        advice.append(f"{now} instead of {before} would be evicted in this order: {', '.join(advised)}")
    return tuple(advice)
