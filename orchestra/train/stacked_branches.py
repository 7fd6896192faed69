"""Who was begun on whose work, where that decides who can land before whom. Reads git, decides nothing else.

With strategy ``merge`` an agent's commits land as they are, with those that they were made on. So one whose recorded
base is another passenger's commit lands after that one, whatever was declared, and not in a train in which that one
does not land: it would have to be made anew without it, and under a name that its agent does not know. With ``rebase``
and ``squash`` every commit is made anew anyway, so only what was declared counts there.

Invariant: what was declared is kept; an order that contradicts it, or itself, is left out and the building then says
what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.builder import Branch
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

After = Mapping[AgentName, frozenset[AgentName]]


def begun_on(repository: Repository, target: CommitId, branches: Sequence[Branch], declared: After) -> After:
    """``declared``, with who must land before whom because of where its branch began; closed again."""
    after = dict(declared)
    is_held = cache(lambda base: repository.is_ancestor(base, target))
    own = cache(lambda branch: _own(repository, branch))
    for branch in branches:
        if branch.strategy is not Strategy.MERGE or is_held(branch.base):
            continue
        for other in branches:
            if other != branch and branch.base in own(other) and not _waits(after, other, branch):
                _add(after, branch.agent, {other.agent, *after.get(other.agent, ())})
    return after


def in_order(names: Sequence[AgentName], after: After) -> tuple[AgentName, ...]:
    """``names`` with each after those that it waits for, and otherwise as they are."""
    left, found = list(names), list[AgentName]()
    while left:
        ready = next(name for name in left if not after.get(name, frozenset()) & set(left))
        left.remove(ready)
        found.append(ready)
    return tuple(found)


def _own(repository: Repository, branch: Branch) -> frozenset[str]:
    """The branch's own commits, without those that it merged."""
    return frozenset(repository.git.run("rev-list", "--first-parent", branch.tip, "--not", branch.base, "--").lines)


def _waits(after: After, one: Branch, other: Branch) -> bool:
    return other.agent in after.get(one.agent, frozenset())


def _add(after: dict[AgentName, frozenset[AgentName]], agent: AgentName, before: set[AgentName]) -> None:
    """``agent``, and whoever waits for it, after all of ``before``."""
    for name in (agent, *(name for name, others in after.items() if agent in others)):
        after[name] = after.get(name, frozenset()) | before
