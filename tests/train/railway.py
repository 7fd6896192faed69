"""A made-up world for the planner: branches that are bad alone, fail in pairs, or conflict, and every way to run it.

``explore`` plays the planner against each order in which running tests can end, and holds every move to the invariants
of queue.py with what it knows to be true. ``serial_oracle`` is the naive loop that the train has to be as right as.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestra.blueprint.model import AgentName, Guarantee, Train
from orchestra.train.planner import plan
from orchestra.train.planner_model import (
    Block,
    Build,
    Built,
    Cancel,
    Evict,
    Facts,
    Hold,
    Land,
    Record,
    Run,
    State,
    Why,
)

Fate = tuple[str, ...]
Known = frozenset[tuple[frozenset[AgentName], bool]]


@dataclass(frozen=True)
class World:
    """What is true. ``pairs`` are red together, ``clashes`` conflict in text, ``mends`` turns a red target green."""

    agents: tuple[AgentName, ...]
    after: Mapping[AgentName, frozenset[AgentName]] = field(default_factory=dict)
    bad: frozenset[AgentName] = frozenset()
    pairs: frozenset[frozenset[AgentName]] = frozenset()
    clashes: frozenset[frozenset[AgentName]] = frozenset()
    red_target: bool = False
    mends: AgentName | None = None

    def green(self, on_board: tuple[AgentName, ...]) -> bool:
        there = set(on_board)
        if self.red_target and self.mends not in there:
            return False
        return not there & self.bad and not any(pair <= there for pair in self.pairs)

    def fits(self, agent: AgentName, on_board: tuple[AgentName, ...]) -> bool:
        return not any(agent in pair and pair & set(on_board) for pair in self.clashes)


@dataclass(frozen=True)
class Play:
    """Where a run stands: the facts as the planner sees them, and what became of each agent."""

    facts: Facts
    landed: tuple[AgentName, ...] = ()
    fates: tuple[tuple[AgentName, str], ...] = ()
    known: Known = frozenset()  # how tests came out, by who was on board: what a rehearsal leaves to the merge
    runs: int = 0


def begin(world: World, policy: Train, guarantee: Guarantee, slots: int, needed: int = 1) -> Play:
    facts = Facts(order=world.agents, after=world.after, slots=slots, policy=policy, guarantee=guarantee)
    return Play(facts)


def begin_after(rehearsal: Play, first: Play) -> Play:
    """A merge after a rehearsal: what was seen there is known here as soon as a state is built."""
    known = rehearsal.known
    play = replace(first, facts=replace(first.facts, recall=True), known=known)
    return _recalled(play, ())


def _recalled(play: Play, state: State) -> Play:
    """With what was known of a state before it was built."""
    on_board = frozenset(play.landed + state)
    found = {green for agents, green in play.known if agents == on_board}
    if not play.facts.recall or not found:
        return play
    test = Record(green=True in found, reds=int(False in found))
    return replace(play, facts=replace(play.facts, tests={**play.facts.tests, state: test}))


def serial_oracle(world: World) -> tuple[tuple[AgentName, ...], dict[AgentName, str]]:
    """One by one, in order: conflict, red, or landed."""
    landed: tuple[AgentName, ...] = ()
    fates: dict[AgentName, str] = {}
    for agent in world.agents:
        if world.after.get(agent, frozenset()) - set(landed):
            fates[agent] = "blocked"
        elif not world.fits(agent, landed):
            fates[agent] = "conflict"
        elif not world.green((*landed, agent)):
            fates[agent] = "gate"
        else:
            landed = (*landed, agent)
            fates[agent] = "landed"
    return landed, fates


def explore(world: World, start: Play, needed: int = 1) -> Iterator[Play]:
    """The end of every run, over all orders in which tests end. Asserts the invariants at every move."""
    seen: set[object] = set()
    todo = [start]
    while todo:
        play = settle(world, todo.pop())
        mark = _mark(play)
        if mark in seen:
            continue
        seen.add(mark)
        running = [state for state, test in play.facts.tests.items() if test.running]
        assert len(running) <= play.facts.slots
        if not running:
            assert not play.facts.order, f"nothing runs, undecided: {play.facts.order}"
            yield play
        todo += [finish(world, play, state, needed) for state in running]


def settle(world: World, play: Play) -> Play:
    """Carry out what the planner says until it waits."""
    for _ in range(500):
        actions = plan(play.facts)
        if not actions:
            return play
        for action in actions:
            play = carry_out(world, play, action)
    raise AssertionError("the planner does not come to rest")


def finish(world: World, play: Play, state: State, needed: int = 1) -> Play:
    test = play.facts.tests[state]
    green = world.green(play.landed + state)
    done = replace(test, running=False, green=green, reds=test.reds + (not green), needed=needed)
    known = play.known | {(frozenset(play.landed + state), green)}
    return replace(play, facts=replace(play.facts, tests={**play.facts.tests, state: done}), known=known)


def carry_out(world: World, play: Play, action: object) -> Play:
    facts = play.facts
    match action:
        case Build(state):
            assert state not in facts.built
            fits = world.fits(state[-1], play.landed + state[:-1])
            built = {**facts.built, state: Built.CLEAN if fits else Built.CONFLICT}
            return _recalled(replace(play, facts=replace(facts, built=built)), state)
        case Run(state):
            assert not state or facts.built[state] is Built.CLEAN
            test = facts.test(state)
            assert not test.running and not test.green
            facts = replace(facts, tests={**facts.tests, state: replace(test, running=True)})
            return replace(play, facts=facts, runs=play.runs + 1)
        case Cancel(state):
            assert facts.tests[state].running
            return replace(
                play, facts=replace(facts, tests={**facts.tests, state: replace(facts.tests[state], running=False)})
            )
        case Land(state):
            return land(world, play, state)
        case Evict(agent, why):
            check_blame(world, play, agent, why)
            return decide(play, agent, why.value)
        case Block(agent, by):
            assert by in facts.before(agent) and by in facts.out
            return decide(play, agent, "blocked")
        case Hold(agent, by):
            return decide(play, agent, f"held: {by}")
    raise AssertionError(action)


def check_blame(world: World, play: Play, agent: AgentName, why: Why) -> None:
    assert play.facts.order[0] == agent, "only the head is blamed"
    if why is Why.GATE:
        assert world.green(play.landed), "blamed on a red target"
        assert not world.green((*play.landed, agent)), "blamed though green"
        assert play.facts.test((agent,)).reds >= play.facts.test((agent,)).needed
        assert play.facts.test(()).green, "blamed without looking at the target alone"
    else:
        assert not world.fits(agent, play.landed)


def decide(play: Play, agent: AgentName, fate: str) -> Play:
    facts = play.facts
    order = tuple(other for other in facts.order if other != agent)
    judged = fate == "gate"
    facts = replace(
        facts,
        order=order,
        out=facts.out | {agent},
        decided=facts.decided + judged,
        rejected=facts.rejected + judged,
    )
    return replace(play, facts=facts, fates=(*play.fates, (agent, fate)))


def land(world: World, play: Play, state: State) -> Play:
    """The target moves: what is known of states that begin with what landed stays known, the rest is void."""
    assert state and play.facts.tests[state].green
    landed = play.landed + state
    assert world.green(landed), "the target turned red"
    for place, agent in enumerate(state):
        assert world.after.get(agent, frozenset()) <= set(play.landed + state[:place]), "out of order"
        assert world.fits(agent, play.landed + state[:place])
    facts = play.facts
    keep = len(state)
    rebased = replace(
        facts,
        order=tuple(agent for agent in facts.order if agent not in state),
        built={s[keep:]: b for s, b in facts.built.items() if s[:keep] == state and len(s) > keep},
        tests={s[keep:]: t for s, t in facts.tests.items() if s[:keep] == state},
        decided=facts.decided + keep,
    )
    fates = tuple((agent, "landed") for agent in state)
    return replace(play, facts=rebased, landed=landed, fates=(*play.fates, *fates))


def _mark(play: Play) -> object:
    facts = play.facts
    known = frozenset(facts.tests.items()), frozenset(facts.built.items())
    return facts.order, play.landed, play.fates, play.known, *known


__all__ = ["Play", "Record", "World", "begin", "begin_after", "explore", "finish", "serial_oracle", "settle"]
