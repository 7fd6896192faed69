"""The train's decisions, as a pure function: facts in, actions out, computed from scratch on every event.

A merge group is a tuple of agents: the target as it is now with their branches on it, in that order. Facts are about
groups; when something lands, the owner of the facts drops its agents from the front of every group. So no decision
depends on history, and events may come twice or in any order.

Invariants. Only a green group lands. Only the head of the order is ever blamed, and only when the target as it is now
plus that branch alone was red, as often as its gate allows, while the target without it is green. A red target ends the
train. A test that ended without a verdict (infrastructure) blames no agent. Dependencies land first.

``serial``       one test at a time: the head.
``speculative``  every branch on its nearest predecessors that do not fail (Zuul's NNFI).
``batch``        all at once; when red, the first half.
``auto``         prefixes at the quantiles of where the first failure may be (docs/train.md).
``step-green`` needs each agent's own group tested, which ``speculative`` does with the least waiting: with it, all
policies but ``serial`` mean ``speculative``.

No clock, no randomness, no I/O, no memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Guarantee, Train
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
    BuildOutcome,
    Cancel,
    Evict,
    EvictionCause,
    Facts,
    Hold,
    HoldReason,
    Land,
    MergeGroup,
    Run,
)


def plan(facts: Facts) -> tuple[Action, ...]:
    """Return what to do now. Empty while tests run: wait. Empty and nothing runs: the train is finished."""
    blocked = [(agent, sorted(facts.before(agent) & facts.out)) for agent in facts.order]
    if any(missing for _, missing in blocked):
        return tuple(Block(agent, missing[0]) for agent, missing in blocked if missing)
    if not facts.order:
        return tuple(_cancel(facts, ()))
    if facts.test(()).red:
        return _end_on_red_target(facts)
    # A rehearsal has tested the whole chain, but which groups it tested on the way depended on what ended first. So
    # build to the end of the chain, around what is known to fail, before a part of it lands and before any run.
    unexplored = _chain(facts, len(facts.order), skip_failing=True)[1] if facts.recall else None
    if unexplored is not None:
        return (Build(unexplored),)
    landing = _landable(facts)
    verdict = _judge_head(facts) if facts.order[0] not in landing else ()
    if landing and not any(isinstance(action, Evict) for action in verdict):
        return (Land(landing),)
    return verdict or _test(facts)


def _end_on_red_target(facts: Facts) -> tuple[Action, ...]:
    """Start no more tests: no red says anything about a branch. What is green with its branch repairs the target."""
    if landing := _landable(facts):
        return (Land(landing),)
    if any(test.running for test in facts.tests.values()):
        return ()
    return tuple(Hold(agent, HoldReason.RED_TARGET) for agent in facts.order)


# -- landing and blaming -----------------------------------------------------------------------------------------


def _landable(facts: Facts) -> MergeGroup:
    """Return the longest group that may land; () when none may."""
    if _steps_count(facts):
        group: MergeGroup = ()
        for agent in facts.order:
            if not facts.may_land((*group, agent)):
                break
            group = (*group, agent)
        return group
    green = [group for group in facts.tests if group and facts.may_land(group) and _is_closed(facts, group)]
    longest = max(green, key=lambda group: (len(group), [-facts.order.index(agent) for agent in group]), default=())
    return _up_to_a_verdict(facts, longest)


def _up_to_a_verdict(facts: Facts, landing: MergeGroup) -> MergeGroup:
    """Return as much of ``landing`` as keeps the red result of the next agent to be blamed.

    It is known red on exactly that much. Once more has landed, it would have to be tested again.
    """
    for size in range(1, len(landing)):
        following = facts.order[facts.order.index(landing[size - 1]) + 1 :]
        skipped = following[: following.index(landing[size])] if landing[size] in following else ()
        part = landing[:size]
        if facts.may_land(part) and any(facts.test((*part, agent)).red for agent in skipped):
            return part
    return landing


def _is_closed(facts: Facts, group: MergeGroup) -> bool:
    """Return whether all its agents are undecided, and each has its undecided dependencies before it in the group."""
    waiting = set(facts.order)
    for place, agent in enumerate(group):
        if agent not in waiting or facts.before(agent) & waiting - set(group[:place]):
            return False
    return True


def _judge_head(facts: Facts) -> tuple[Action, ...]:
    head = facts.order[0]
    built, alone, control = facts.built.get((head,)), facts.test((head,)), facts.test(())
    if built is BuildOutcome.CONFLICT:
        return (Evict(head, EvictionCause.CONFLICT),)
    if built is BuildOutcome.EMPTY:
        return (Evict(head, EvictionCause.EMPTY),)
    if not alone.red and not alone.stuck:
        return ()
    if control.green:
        return (Evict(head, EvictionCause.GATE) if alone.red else Hold(head, HoldReason.STUCK),)
    if control.stuck:
        return tuple(Hold(agent, HoldReason.STUCK_TARGET) for agent in facts.order)
    return ()


# -- testing -----------------------------------------------------------------------------------------------------


def _test(facts: Facts) -> tuple[Action, ...]:
    """Build, run and cancel, so that the tests that run are the ones that decide most."""
    wish = _wish(facts)
    if wish.build is not None:
        return (Build(wish.build),)
    cancelled = _cancel(facts, wish.useful)
    busy = sum(test.running for test in facts.tests.values()) - len(cancelled)
    new = [group for group in wish.to_test if not facts.test(group).running]
    return (*cancelled, *(Run(group) for group in new[: max(0, facts.slots - busy)]))


def _cancel(facts: Facts, useful: Collection[MergeGroup]) -> list[Cancel]:
    return [Cancel(group) for group, test in facts.tests.items() if test.running and group not in useful]


@dataclass(frozen=True, slots=True)
class _Wish:
    """``build``: first this. ``to_test``: groups, most important first. ``useful``: need not be cancelled."""

    build: MergeGroup | None = None
    to_test: tuple[MergeGroup, ...] = ()
    useful: frozenset[MergeGroup] = frozenset()


def _wish(facts: Facts) -> _Wish:
    head: MergeGroup = facts.order[:1]
    if head not in facts.built:
        return _Wish(build=head)
    decisive = _decisive(facts, head)
    if facts.policy is Train.SERIAL:
        to_test = decisive[:1] or (head,)
        return _Wish(None, to_test, frozenset(to_test))
    spare = max(0, facts.slots - len(decisive))
    speculation = _speculate(facts, spare) if _steps_count(facts) else _prefixes(facts, spare)
    if speculation.build is not None and decisive and not facts.test(decisive[0]).running:
        speculation = _Wish(None, (), frozenset(s for s, test in facts.tests.items() if test.running))
    return _Wish(speculation.build, (*decisive, *speculation.to_test), speculation.useful | {*decisive})


def _decisive(facts: Facts, head: MergeGroup) -> tuple[MergeGroup, ...]:
    """Ask the target alone as soon as anything is red; try a red head again as often as its gate allows."""
    alone, control = facts.test(head), facts.test(())
    is_known = control.green or control.red or control.stuck
    suspicious = any(test.failing for group, test in facts.tests.items() if group)
    again = (head,) if alone.failing and not alone.red and not alone.stuck else ()
    return ((), *again) if suspicious and not is_known else again


def _steps_count(facts: Facts) -> bool:
    return facts.guarantee is Guarantee.STEP_GREEN or facts.policy is Train.SPECULATIVE


def _chain(
    facts: Facts, length: int, *, skip_failing: bool = False, without: Collection[AgentName] = ()
) -> tuple[list[MergeGroup], MergeGroup | None]:
    """Return the groups of the longest chain that fits, at most ``length``, and the group that must be built first.

    An agent that conflicts with those before it, or lacks a dependency there, is left out without blame.
    """
    waiting = set(facts.order)
    groups: list[MergeGroup] = []
    base: MergeGroup = ()
    for agent in facts.order:
        if len(groups) == length:
            break
        if agent in without or facts.before(agent) & waiting - set(base):
            continue
        group = (*base, agent)
        if group not in facts.built:
            return groups, group
        if facts.built[group] is BuildOutcome.CLEAN and not (skip_failing and facts.test(group).failing):
            groups.append(group)
            base = group
    return groups, None


def _speculate(facts: Facts, places: int) -> _Wish:
    """Put each branch on its nearest predecessors that do not fail."""
    known_green = sum(test.green for test in facts.tests.values())
    groups, missing = _chain(facts, places + known_green, skip_failing=True)
    to_test = [group for group in groups if not facts.test(group).green]
    return _Wish(missing if len(to_test) < places else None, tuple(to_test), frozenset(groups))


def _prefixes(facts: Facts, places: int) -> _Wish:
    """Test the prefixes of the chain that say most about where it first fails; then, on spare places, a bet."""
    batch = facts.policy is Train.BATCH
    places = min(places, 1) if batch else places
    reach = len(facts.order) if batch else _quantile(facts, places, places)
    groups, missing = _chain(facts, max(1, reach))
    red = _first_failing(facts, groups)
    if red is None and missing is not None:
        return _Wish(build=missing)
    good = groups if red is None else groups[: red - 1]
    if batch:
        lengths = [len(good)] if red is None else [red // 2]
    else:
        lengths = [_quantile(facts, j, places, red) for j in range(1, places + 1)]
    if red is None:
        lengths.reverse()  # what may land most starts first
    to_test = _at(good, lengths)
    if red is None or batch or len(to_test) >= places:
        return _Wish(None, to_test, frozenset(good))
    bet = _bet(facts, groups[red - 1], places - len(to_test))
    return _Wish(bet.build, (*to_test, *bet.to_test), bet.useful | {*good})


def chance_of_failure(facts: Facts) -> float:
    """Return the chance that gates reject a branch: Beta(1, 11), updated by the results so far."""
    return (facts.rejected + 1) / (facts.decided + 12)


def _bet(facts: Facts, failing: MergeGroup, places: int) -> _Wish:
    """Bet that the last branch of the shortest red prefix is the culprit, and test those after it without it."""
    tested = len(failing) - 1
    groups, missing = _chain(facts, tested + _quantile(facts, places, places), without=failing[-1:])
    red = _first_failing(facts, groups)
    if red is None and missing is not None:
        return _Wish(build=missing)
    beyond = (groups if red is None else groups[: red - 1])[tested:]
    lengths = [_quantile(facts, j, places) for j in range(1, places + 1)]
    return _Wish(None, _at(beyond, lengths), frozenset(beyond))


def _first_failing(facts: Facts, groups: Sequence[MergeGroup]) -> int | None:
    """Return the length of the shortest prefix that fails."""
    return next((len_ for len_, group in enumerate(groups, 1) if facts.test(group).failing), None)


def _at(groups: Sequence[MergeGroup], lengths: Sequence[int]) -> tuple[MergeGroup, ...]:
    """Return the groups at those places, counted from 1 and clipped to the last; each once."""
    return tuple(dict.fromkeys(groups[min(length, len(groups)) - 1] for length in lengths if groups))


def _quantile(facts: Facts, j: int, places: int, red: int | None = None) -> int:
    """Return how many branches until the first failure, with probability j / (places + 1).

    ``red``: the first failure is among that many.
    """
    if places < 1:
        return 1
    good = _chances_of_all_good(facts)
    share = 1.0 if red is None else 1 - good[red]
    chance = 1 - j / (places + 1) * share
    return min(range(1, len(good)), key=lambda n: abs(good[n] - chance), default=1)


def _chances_of_all_good(facts: Facts) -> list[float]:
    """Return for n from 0 to all the chance that the gates reject none of the next n.

    Uses the whole distribution of the failure rate, not its mean: a fleet is good or it is not, so many good
    branches in a row are likelier than the mean says. For fifteen it is 0.42 at the start, and would be 0.27.
    """
    chances = [1.0]
    for n in range(len(facts.order)):
        chances.append(chances[-1] * (1 - (facts.rejected + 1) / (facts.decided + 12 + n)))
    return chances
