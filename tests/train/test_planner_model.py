"""The planner against every small world: all outcomes, every order of events, beside the naive serial loop.

Here are all runs of up to three, those of four that are quick, and samples of five with three slots. All of them:
``ORCHESTRA_ALL_PLANS=5 pytest -s tests/train/test_queue_model.py -k four_and_five``.
"""

from __future__ import annotations

import os
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName, Guarantee, Train
from tests.train.adversary import NAMES, Walk, orders
from tests.train.planner_world import World, begin, begin_after, explore, finish, serial_oracle, settle

MODES = [
    (Train.SERIAL, Guarantee.TIP_GREEN),
    (Train.SPECULATIVE, Guarantee.TIP_GREEN),
    (Train.BATCH, Guarantee.TIP_GREEN),
    (Train.AUTO, Guarantee.TIP_GREEN),
    (Train.AUTO, Guarantee.STEP_GREEN),
]
AS_SERIAL = {(Train.SERIAL, Guarantee.TIP_GREEN), (Train.SPECULATIVE, Guarantee.TIP_GREEN)}


def names(count: int) -> tuple[AgentName, ...]:
    return tuple(AgentName(name) for name in "abcde"[:count])


def graphs(agents: tuple[AgentName, ...]) -> list[dict[AgentName, frozenset[AgentName]]]:
    """Every acyclic order relation that agrees with the declared order, closed."""
    edges = list(combinations(agents, 2))
    found = []
    for chosen in product((False, True), repeat=len(edges)):
        after: dict[AgentName, frozenset[AgentName]] = {agent: frozenset() for agent in agents}
        for (before, agent), there in zip(edges, chosen, strict=True):
            if there:
                after[agent] |= {before, *after[before]}
        if after not in found:
            found.append(after)
    return found


def subsets(agents: tuple[AgentName, ...]) -> list[frozenset[AgentName]]:
    return [frozenset(some) for size in range(len(agents) + 1) for some in combinations(agents, size)]


def check(world: World, mode: tuple[Train, Guarantee], slots: int) -> None:
    landed, results = serial_oracle(world)
    for play in explore(world, begin(world, *mode, slots)):
        assert {agent for agent, _ in play.results} == set(world.agents)
        if mode in AS_SERIAL or mode[1] is Guarantee.STEP_GREEN:
            assert play.landed == landed
            assert dict(play.results) == results


@pytest.mark.parametrize("mode", MODES, ids="-".join)
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_every_world_of_three(mode: tuple[Train, Guarantee], slots: int) -> None:
    agents = names(3)
    pairs = [frozenset[AgentName](), *map(frozenset, combinations(agents, 2))]
    for after, bad, pair, clash in product(graphs(agents), subsets(agents), pairs, pairs):
        pairs_of, clashes_of = (frozenset({p} if p else ()) for p in (pair, clash))
        check(World(agents, after, bad, pairs_of, clashes_of), mode, slots)


ALL = int(os.environ.get("ORCHESTRA_ALL_PLANS", "0"))


@pytest.mark.parametrize("mode", MODES, ids="-".join)
@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("world", ["plain", "red-target", "conflicts", "red-twice"])
def test_every_run_of_up_to_three(mode: tuple[Train, Guarantee], slots: int, world: str) -> None:
    """All outcomes that tests and merges may have, on all orders, whatever ends first."""
    needed = 2 if world == "red-twice" else 1
    walk = Walk(*mode, slots, conflicts=world == "conflicts", red_target=world == "red-target", needed=needed)
    for count in (1, 2, 3):
        for after in orders(count):
            walk.explore(count, after)
    assert walk.ends >= 1


@pytest.mark.parametrize("mode", MODES, ids="-".join)
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_every_run_of_four_and_five(mode: tuple[Train, Guarantee], slots: int) -> None:
    steps = mode[0] is Train.SPECULATIVE or mode[1] is Guarantee.STEP_GREEN
    most = ALL or (3 if steps and slots == 3 else 4)
    walk = Walk(*mode, slots)
    for count in range(1, most + 1):
        for after in orders(count):
            walk.explore(count, after)
    print(f"{'-'.join(mode)}, {slots} slots, up to {most}: {len(walk.seen)} sets of facts, {walk.plans} plans")


@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_some_runs_of_five_with_three_slots(mode: tuple[Train, Guarantee]) -> None:
    choices, known = Random(5), orders(5)  # noqa: S311 - a sample that is the same every time
    for number in range(60):
        walk = Walk(*mode, 3, conflicts=number % 2 == 0, red_target=number % 3 == 0, needed=1 + number % 4 // 3)
        walk.stroll(5, choices.choice(known), choices)


def test_the_orders_are_all_there_are() -> None:
    """Naturally labelled posets (OEIS A006455)."""
    assert [len(orders(count)) for count in (1, 2, 3, 4, 5)] == [1, 2, 7, 40, 357]
    assert orders(1) == [{NAMES[0]: frozenset()}]


def check_merge_after_rehearsal(world: World, mode: tuple[Train, Guarantee], slots: int) -> None:
    """However the rehearsal went, the merge does the same and runs nothing."""
    for rehearsal in explore(world, begin(world, *mode, slots)):
        for play in explore(world, begin_after(rehearsal, begin(world, *mode, slots))):
            assert play.runs == 0
            assert set(play.landed) == set(rehearsal.landed)
            assert dict(play.results) == dict(rehearsal.results)


@pytest.mark.parametrize("mode", MODES, ids="-".join)
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_merge_after_a_rehearsal_runs_nothing(mode: tuple[Train, Guarantee], slots: int) -> None:
    agents = names(3)
    pairs = [frozenset[AgentName](), *map(frozenset, combinations(agents, 2))]
    for after, bad, pair, clash in product(graphs(agents), subsets(agents), pairs, pairs):
        if len(bad) + bool(pair) + bool(clash) < 3:
            pairs_of, clashes_of = (frozenset({p} if p else ()) for p in (pair, clash))
            check_merge_after_rehearsal(World(agents, after, bad, pairs_of, clashes_of), mode, slots)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    agents = names(draw(st.integers(2, 5)))
    pair = st.frozensets(st.sampled_from(agents), min_size=2, max_size=2)
    after: dict[AgentName, frozenset[AgentName]] = {}
    for place, agent in enumerate(agents):
        chosen = draw(st.frozensets(st.sampled_from(agents[:place]), max_size=2)) if place else frozenset[AgentName]()
        after[agent] = frozenset().union(chosen, *(after[before] for before in chosen))
    return World(
        agents,
        after,
        draw(st.frozensets(st.sampled_from(agents), max_size=2)),
        draw(st.frozensets(pair, max_size=2)),
        draw(st.frozensets(pair, max_size=2)),
    )


@settings(max_examples=150)
@given(worlds(), st.sampled_from(MODES), st.integers(1, 3))
def test_worlds_of_up_to_five(world: World, mode: tuple[Train, Guarantee], slots: int) -> None:
    check(world, mode, slots)


@settings(max_examples=100)
@given(worlds(), st.sampled_from(MODES), st.integers(1, 3), st.data())
def test_a_red_target_blames_nobody_and_lets_the_mend_through(
    world: World, mode: tuple[Train, Guarantee], slots: int, data: st.DataObject
) -> None:
    mends = data.draw(st.sampled_from((*world.agents, None)))
    red = World(world.agents, world.after, world.bad, world.pairs, world.clashes, red_target=True, mends=mends)
    for play in explore(red, begin(red, *mode, slots)):
        results = dict(play.results)
        if mends is None:
            assert set(results.values()) <= {"held: red-target", "conflict", "blocked"}
        assert set(results) == set(world.agents)


@settings(max_examples=100)
@given(worlds(), st.sampled_from(MODES), st.integers(1, 3), st.data())
def test_a_second_look_before_blame(
    world: World, mode: tuple[Train, Guarantee], slots: int, data: st.DataObject
) -> None:
    """``needed`` 2: two red runs; the same states are asked again, and results that come twice change nothing."""
    play = settle(world, begin(world, *mode, slots))
    for _ in range(400):
        running = sorted(group for group, test in play.facts.tests.items() if test.running)
        if not running:
            break
        before = play
        play = finish(world, play, data.draw(st.sampled_from(running)), needed=2)
        again = settle(world, play)
        assert again == settle(world, settle(world, play)), "asked twice, the planner changes its mind"
        assert before != again
        play = again
    assert not play.facts.order
    if mode in AS_SERIAL or mode[1] is Guarantee.STEP_GREEN:
        assert play.landed == serial_oracle(world)[0]
