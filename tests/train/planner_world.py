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
    BuildOutcome,
    Cancel,
    Evict,
    EvictionCause,
    Facts,
    Hold,
    Land,
    MergeGroup,
    Run,
    TestRecord,
)

AgentResult = tuple[str, ...]
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
    results: tuple[tuple[AgentName, str], ...] = ()
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


def _recalled(play: Play, group: MergeGroup) -> Play:
    """With what was known of a state before it was built."""
    on_board = frozenset(play.landed + group)
    found = {green for agents, green in play.known if agents == on_board}
    if not play.facts.recall or not found:
        return play
    test = TestRecord(green=True in found, reds=int(False in found))
    return replace(play, facts=replace(play.facts, tests={**play.facts.tests, group: test}))


def serial_oracle(world: World) -> tuple[tuple[AgentName, ...], dict[AgentName, str]]:
    """One by one, in order: conflict, red, or landed."""
    landed: tuple[AgentName, ...] = ()
    results: dict[AgentName, str] = {}
    for agent in world.agents:
        if world.after.get(agent, frozenset()) - set(landed):
            results[agent] = "blocked"
        elif not world.fits(agent, landed):
            results[agent] = "conflict"
        elif not world.green((*landed, agent)):
            results[agent] = "gate"
        else:
            landed = (*landed, agent)
            results[agent] = "landed"
    return landed, results


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
        running = [group for group, test in play.facts.tests.items() if test.running]
        assert len(running) <= play.facts.slots
        if not running:
            assert not play.facts.order, f"nothing runs, undecided: {play.facts.order}"
            yield play
        todo += [finish(world, play, group, needed) for group in running]


def settle(world: World, play: Play) -> Play:
    """Carry out what the planner says until it waits."""
    for _ in range(500):
        actions = plan(play.facts)
        if not actions:
            return play
        for action in actions:
            play = carry_out(world, play, action)
    raise AssertionError("the planner does not come to rest")


def finish(world: World, play: Play, group: MergeGroup, needed: int = 1) -> Play:
    test = play.facts.tests[group]
    green = world.green(play.landed + group)
    done = replace(test, running=False, green=green, reds=test.reds + (not green), needed=needed)
    known = play.known | {(frozenset(play.landed + group), green)}
    return replace(play, facts=replace(play.facts, tests={**play.facts.tests, group: done}), known=known)


def carry_out(world: World, play: Play, action: object) -> Play:
    facts = play.facts
    match action:
        case Build(group):
            assert group not in facts.built
            fits = world.fits(group[-1], play.landed + group[:-1])
            built = {**facts.built, group: BuildOutcome.CLEAN if fits else BuildOutcome.CONFLICT}
            return _recalled(replace(play, facts=replace(facts, built=built)), group)
        case Run(group):
            assert not group or facts.built[group] is BuildOutcome.CLEAN
            test = facts.test(group)
            assert not test.running and not test.green
            facts = replace(facts, tests={**facts.tests, group: replace(test, running=True)})
            return replace(play, facts=facts, runs=play.runs + 1)
        case Cancel(group):
            assert facts.tests[group].running
            return replace(
                play, facts=replace(facts, tests={**facts.tests, group: replace(facts.tests[group], running=False)})
            )
        case Land(group):
            return land(world, play, group)
        case Evict(agent, why):
            check_blame(world, play, agent, why)
            return decide(play, agent, why.value)
        case Block(agent, by):
            assert by in facts.before(agent) and by in facts.out
            return decide(play, agent, "blocked")
        case Hold(agent, by):
            return decide(play, agent, f"held: {by}")
    raise AssertionError(action)


def check_blame(world: World, play: Play, agent: AgentName, why: EvictionCause) -> None:
    assert play.facts.order[0] == agent, "only the head is blamed"
    if why is EvictionCause.GATE:
        assert world.green(play.landed), "blamed on a red target"
        assert not world.green((*play.landed, agent)), "blamed though green"
        assert play.facts.test((agent,)).reds >= play.facts.test((agent,)).needed
        assert play.facts.test(()).green, "blamed without looking at the target alone"
    else:
        assert not world.fits(agent, play.landed)


def decide(play: Play, agent: AgentName, result: str) -> Play:
    facts = play.facts
    order = tuple(other for other in facts.order if other != agent)
    judged = result == "gate"
    facts = replace(
        facts,
        order=order,
        out=facts.out | {agent},
        decided=facts.decided + judged,
        rejected=facts.rejected + judged,
    )
    return replace(play, facts=facts, results=(*play.results, (agent, result)))


def land(world: World, play: Play, group: MergeGroup) -> Play:
    """The target moves: what is known of states that begin with what landed stays known, the rest is void."""
    assert group and play.facts.tests[group].green
    landed = play.landed + group
    assert world.green(landed), "the target turned red"
    for place, agent in enumerate(group):
        assert world.after.get(agent, frozenset()) <= set(play.landed + group[:place]), "out of order"
        assert world.fits(agent, play.landed + group[:place])
    facts = play.facts
    keep = len(group)
    rebased = replace(
        facts,
        order=tuple(agent for agent in facts.order if agent not in group),
        built={s[keep:]: b for s, b in facts.built.items() if s[:keep] == group and len(s) > keep},
        tests={s[keep:]: t for s, t in facts.tests.items() if s[:keep] == group},
        decided=facts.decided + keep,
    )
    results = tuple((agent, "landed") for agent in group)
    return replace(play, facts=rebased, landed=landed, results=(*play.results, *results))


def _mark(play: Play) -> object:
    facts = play.facts
    known = frozenset(facts.tests.items()), frozenset(facts.built.items())
    return facts.order, play.landed, play.results, play.known, *known


__all__ = ["Play", "TestRecord", "World", "begin", "begin_after", "explore", "finish", "serial_oracle", "settle"]
