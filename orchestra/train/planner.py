"""The train's decisions, as a pure function: facts in, actions out, worked out anew on every event.

A *state* is a tuple of agents: the target as it is now with their branches on it, in that order. Facts speak of
states; when something lands, whoever keeps the facts drops its agents from the front of every state. So no decision
rests on history, and events may come twice or in any order.

Invariants (facts/merge.md 2.4). What lands is a state that is green. Only the head of the order is ever blamed, and
only when the target as it is now plus that branch alone was red, as often as its gate allows, while the target without
it is green. What ended without a verdict (infrastructure) blames nobody. Who must land before is landed before.

``serial``       one test at a time: the head.
``speculative``  every branch on its nearest predecessors that do not fail (Zuul's NNFI).
``batch``        all at once; when red, the first half.
``auto``         prefixes at the quantiles of where the first failure may be (facts/merge.md 2.6).
``step-green`` needs each agent's own state tested, which ``speculative`` does with the least waiting: the other
policies but ``serial`` mean it then.

Refuses: clocks, randomness, I/O, and remembering anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from orchestra.blueprint.model import AgentName, Guarantee, Train
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
    Built,
    Cancel,
    Evict,
    Facts,
    HeldBy,
    Hold,
    Land,
    Run,
    State,
    Why,
)


def plan(facts: Facts) -> tuple[Action, ...]:
    """What to do now. Empty while tests run: wait. Empty and nothing runs: the train is through."""
    blocked = _blocked(facts)
    if blocked:
        return tuple(blocked)
    free = _without_held(facts)
    if not free.order:
        return (*_cancel(facts, ()), *(Hold(agent, HeldBy.RED_TARGET) for agent in facts.order))
    unexplored = _unexplored(free) if facts.recall else None
    if unexplored is not None:
        return (Build(unexplored),)
    landing = _landable(free)
    verdict = _judge_head(free) if free.order[0] not in landing else ()
    if landing and not any(isinstance(action, Evict) for action in verdict):
        return (Land(landing),)
    return verdict or _test(free)


def _blocked(facts: Facts) -> list[Block]:
    found = []
    for agent in facts.order:
        by = sorted(facts.before(agent) & facts.out)
        if by:
            found.append(Block(agent, by[0]))
    return found


def _without_held(facts: Facts) -> Facts:
    """Leave out who is red on a red target, and who comes after them: another branch may mend it.

    Whoever then does not fit is left out too: what is held before them may be what they were begun on.
    """
    if not facts.test(()).red:
        return facts
    held: set[AgentName] = set()
    for agent in facts.order:
        alone = facts.test((agent,))
        built = facts.built.get((agent,))
        unfit = bool(held) and built in (Built.CONFLICT, Built.EMPTY)
        if facts.before(agent) & held or unfit or (built is Built.CLEAN and alone.red):
            held.add(agent)
    return replace(facts, order=tuple(agent for agent in facts.order if agent not in held))


def _unexplored(facts: Facts) -> State | None:
    """What to build next to see what is known already: on to the end of the chain, around what is known to fail.

    A rehearsal has tested all of it, but which states it asked about on the way depended on what ended first. So the
    whole is looked at before a part of it lands, and before anything is run that the whole makes needless.
    """
    return _chain(facts, len(facts.order), skip_failing=True)[1]


# -- landing and blaming -----------------------------------------------------------------------------------------


def _landable(facts: Facts) -> State:
    """The longest state that may land; () when none may."""
    if _steps_count(facts):
        state: State = ()
        for agent in facts.order:
            if not facts.may_land((*state, agent)):
                break
            state = (*state, agent)
        return state
    green = [state for state in facts.tests if state and facts.may_land(state) and _is_closed(facts, state)]
    longest = max(green, key=lambda state: (len(state), [-facts.order.index(agent) for agent in state]), default=())
    return _up_to_a_verdict(facts, longest)


def _up_to_a_verdict(facts: Facts, landing: State) -> State:
    """Of what may land only as much as keeps what is known of the next one to be blamed.

    It is known red on exactly that much. Once more has landed it would have to be asked again, there.
    """
    for size in range(1, len(landing)):
        following = facts.order[facts.order.index(landing[size - 1]) + 1 :]
        skipped = following[: following.index(landing[size])] if landing[size] in following else ()
        kept = landing[:size]
        if facts.may_land(kept) and any(facts.test((*kept, agent)).red for agent in skipped):
            return kept
    return landing


def _is_closed(facts: Facts, state: State) -> bool:
    """Everybody in it is undecided, and nobody in it waits for somebody who is not in it before them."""
    waiting = set(facts.order)
    for place, agent in enumerate(state):
        if agent not in waiting or facts.before(agent) & waiting - set(state[:place]):
            return False
    return True


def _judge_head(facts: Facts) -> tuple[Action, ...]:
    head = facts.order[0]
    built, alone, control = facts.built.get((head,)), facts.test((head,)), facts.test(())
    if built is Built.CONFLICT:
        return (Evict(head, Why.CONFLICT),)
    if built is Built.EMPTY:
        return (Evict(head, Why.EMPTY),)
    if not alone.red and not alone.stuck:
        return ()
    if control.green:
        return (Evict(head, Why.GATE) if alone.red else Hold(head, HeldBy.STUCK),)
    if control.stuck:
        return tuple(Hold(agent, HeldBy.STUCK_TARGET) for agent in facts.order)
    return (Hold(head, HeldBy.RED_TARGET),) if control.red else ()


# -- testing -----------------------------------------------------------------------------------------------------


def _test(facts: Facts) -> tuple[Action, ...]:
    """Build, run and cancel, so that the tests that run are the ones that decide most."""
    wish = _wish(facts)
    if wish.build is not None:
        return (Build(wish.build),)
    cancelled = _cancel(facts, wish.useful)
    busy = sum(test.running for test in facts.tests.values()) - len(cancelled)
    new = [state for state in wish.wanted if not facts.test(state).running]
    return (*cancelled, *(Run(state) for state in new[: max(0, facts.slots - busy)]))


def _cancel(facts: Facts, useful: Collection[State]) -> list[Cancel]:
    return [Cancel(state) for state, test in facts.tests.items() if test.running and state not in useful]


@dataclass(frozen=True, slots=True)
class _Wish:
    """``build``: first this. ``wanted``: states to test, dearest first. ``useful``: need not be cancelled."""

    build: State | None = None
    wanted: tuple[State, ...] = ()
    useful: frozenset[State] = frozenset()


def _wish(facts: Facts) -> _Wish:
    head: State = facts.order[:1]
    if head not in facts.built:
        return _Wish(build=head)
    decisive = _decisive(facts, head)
    if facts.policy is Train.SERIAL:
        wanted = decisive or (head,)
        return _Wish(None, wanted, frozenset(wanted))
    spare = max(0, facts.slots - len(decisive))
    rest = _speculate(facts, spare) if _steps_count(facts) else _prefixes(facts, spare)
    if rest.build is not None and decisive and not facts.test(decisive[0]).running:
        rest = _Wish(None, (), frozenset(s for s, test in facts.tests.items() if test.running))
    return _Wish(rest.build, (*decisive, *rest.wanted), rest.useful | {*decisive})


def _decisive(facts: Facts, head: State) -> tuple[State, ...]:
    """The head is red: try it again as often as its gate allows, then ask the target without it."""
    alone, control = facts.test(head), facts.test(())
    if not alone.failing:
        return ()
    if not alone.red and not alone.stuck:
        return (head,)
    return () if control.green or control.red or control.stuck else ((),)


def _steps_count(facts: Facts) -> bool:
    return facts.guarantee is Guarantee.STEP_GREEN or facts.policy is Train.SPECULATIVE


def _chain(
    facts: Facts, length: int, *, skip_failing: bool = False, without: Collection[AgentName] = ()
) -> tuple[list[State], State | None]:
    """The states of the longest chain that fits, at most ``length`` of them, and the state that must be built first.

    Who conflicts with what is before, or lacks a predecessor there, is left out: that speaks of the others as much.
    """
    waiting = set(facts.order)
    states: list[State] = []
    base: State = ()
    for agent in facts.order:
        if len(states) == length:
            break
        if agent in without or facts.before(agent) & waiting - set(base):
            continue
        state = (*base, agent)
        if state not in facts.built:
            return states, state
        if facts.built[state] is Built.CLEAN and not (skip_failing and facts.test(state).failing):
            states.append(state)
            base = state
    return states, None


def _speculate(facts: Facts, places: int) -> _Wish:
    """Each branch on top of those before it that do not fail: its nearest non-failing predecessors."""
    known_green = sum(test.green for test in facts.tests.values())
    states, missing = _chain(facts, places + known_green, skip_failing=True)
    wanted = [state for state in states if not facts.test(state).green]
    return _Wish(missing if len(wanted) < places else None, tuple(wanted), frozenset(states))


def _prefixes(facts: Facts, places: int) -> _Wish:
    """The prefixes of the chain that tell most about where it first fails; then, on spare places, a bet."""
    batch = facts.policy is Train.BATCH
    places = min(places, 1) if batch else places
    reach = len(facts.order) if batch else _quantile(facts, places, places)
    states, missing = _chain(facts, max(1, reach))
    red = _first_failing(facts, states)
    if red is None and missing is not None:
        return _Wish(build=missing)
    good = states if red is None else states[: red - 1]
    if batch:
        lengths = [len(good)] if red is None else [red // 2]
    else:
        lengths = [_quantile(facts, j, places, red) for j in range(1, places + 1)]
    wanted = _at(good, lengths)
    if red is None or batch or len(wanted) >= places:
        return _Wish(None, wanted, frozenset(good))
    bet = _bet(facts, states[red - 1], places - len(wanted))
    return _Wish(bet.build, (*wanted, *bet.wanted), bet.useful | {*good})


def chance_of_failure(facts: Facts) -> float:
    """That a branch is rejected by its gates: Beta(1, 11) before anything was seen, then what was."""
    return (facts.rejected + 1) / (facts.decided + 12)


def _bet(facts: Facts, failing: State, places: int) -> _Wish:
    """Spare places bet that the last branch of the shortest red prefix is the culprit, and go on without it."""
    known = len(failing) - 1
    states, missing = _chain(facts, known + _quantile(facts, places, places), without=failing[-1:])
    red = _first_failing(facts, states)
    if red is None and missing is not None:
        return _Wish(build=missing)
    beyond = (states if red is None else states[: red - 1])[known:]
    lengths = [_quantile(facts, j, places) for j in range(1, places + 1)]
    return _Wish(None, _at(beyond, lengths), frozenset(beyond))


def _first_failing(facts: Facts, states: Sequence[State]) -> int | None:
    """The length of the shortest prefix that fails."""
    return next((len_ for len_, state in enumerate(states, 1) if facts.test(state).failing), None)


def _at(states: Sequence[State], lengths: Sequence[int]) -> tuple[State, ...]:
    """The states at those places, counted from 1 and clipped to what there is; each once."""
    return tuple(dict.fromkeys(states[min(length, len(states)) - 1] for length in lengths if states))


def _quantile(facts: Facts, j: int, places: int, red: int | None = None) -> int:
    """How many branches until the first failure, with probability j / (places + 1); ``red``: it is among that many."""
    if places < 1:
        return 1
    good = _chances_of_all_good(facts)
    known = 1.0 if red is None else 1 - good[red]
    wanted = 1 - j / (places + 1) * known
    return min(range(1, len(good)), key=lambda n: abs(good[n] - wanted), default=1)


def _chances_of_all_good(facts: Facts) -> list[float]:
    """For n from 0 to all: that the gates reject none of the next n.

    By the whole distribution of what the chance may be, and not by its mean: a fleet is good or it is not, so that many
    good ones in a row are likelier than the mean says. Fifteen are 0.42 at the start, and would be 0.27.
    """
    chances = [1.0]
    for n in range(len(facts.order)):
        chances.append(chances[-1] * (1 - (facts.rejected + 1) / (facts.decided + 12 + n)))
    return chances
