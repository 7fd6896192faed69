"""Which order loses least, when branches conflict as text. Pure.

Of two branches that conflict the second to land goes back to its agent, so one that conflicts with many should land
last. Invariant: an advised order keeps what must land before what. Refuses: to reorder a train; a person does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.blueprint.model import AgentName

Clashes = Mapping[AgentName, frozenset[AgentName]]
After = Mapping[AgentName, frozenset[AgentName]]


def losses(order: Sequence[AgentName], after: After, clashes: Clashes) -> tuple[AgentName, ...]:
    """Who would not land in that order: in conflict with somebody who landed, or after somebody who did not."""
    landed: set[AgentName] = set()
    lost: list[AgentName] = []
    riding = set(order)
    for agent in order:
        needed = after.get(agent, frozenset()) & riding
        if needed <= landed and not clashes.get(agent, frozenset()) & landed:
            landed.add(agent)
        else:
            lost.append(agent)
    return tuple(lost)


def better_order(order: Sequence[AgentName], after: After, clashes: Clashes) -> tuple[AgentName, ...] | None:
    """An order that loses fewer than ``order`` does; None where none was found. Greedy: fewest open conflicts first."""
    left, landed, lost = list(order), set[AgentName](), set[AgentName]()
    found: list[AgentName] = []
    while left:
        ready = [agent for agent in left if not after.get(agent, frozenset()) & set(left)]
        doomed = [agent for agent in ready if not _fits(agent, landed, lost, after, clashes)]
        chosen = min(ready, key=lambda agent: (agent in doomed, _cost(agent, left, after, clashes), order.index(agent)))
        left.remove(chosen)
        found.append(chosen)
        (lost if chosen in doomed else landed).add(chosen)
    advised = tuple(found)
    return advised if len(losses(advised, after, clashes)) < len(losses(order, after, clashes)) else None


def _fits(agent: AgentName, landed: set[AgentName], lost: set[AgentName], after: After, clashes: Clashes) -> bool:
    return not clashes.get(agent, frozenset()) & landed and not after.get(agent, frozenset()) & lost


def _cost(agent: AgentName, left: Sequence[AgentName], after: After, clashes: Clashes) -> int:
    """How many of those left would be lost if this one landed: in conflict with it, or after one that is."""
    hit = clashes.get(agent, frozenset()) & set(left)
    return sum(1 for other in left if other != agent and (other in hit or after.get(other, frozenset()) & hit))


def advise(order: Sequence[AgentName], after: After, clashes: Clashes) -> tuple[str, ...]:
    """What to tell before the train leaves; nothing when nobody conflicts."""
    riding = {name: others & set(order) for name, others in clashes.items() if name in order and others & set(order)}
    if not riding:
        return ()
    pairs = sorted({tuple(sorted((one, other), key=order.index)) for one in riding for other in riding[one]})
    told = [f"{one} and {other} conflict as text: the second to land goes back" for one, other in pairs]
    advised = better_order(order, after, riding)
    if advised is not None:
        before, now = len(losses(order, after, riding)), len(losses(advised, after, riding))
        told.append(f"{now} instead of {before} would go back if they landed in this order: {', '.join(advised)}")
    return tuple(told)
