"""Find branches that are stacked on other agents' branches, where that decides which can land before which.

With strategy ``merge`` an agent's commits land as they are, with those that they were made on. A branch whose recorded
base is a commit of another branch therefore lands after that one, whatever was declared, and not in a train in which
that one does not land: its commits would have to be rewritten under ids that its agent does not know. With ``rebase``
and ``squash`` every commit is rewritten anyway, so only declared dependencies count there.

A stacking that contradicts what was declared, or itself, is ignored; building then reports what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

After = Mapping[AgentName, frozenset[AgentName]]


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
