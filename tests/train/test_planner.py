"""The planner as a table: these facts, those actions."""

from __future__ import annotations

import pytest

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
    HoldReason,
    Land,
    MergeGroup,
    Run,
    TestRecord,
)
from tests.train.planner_world import World, begin, explore

A, B, C, D, E = (AgentName(name) for name in "abcde")
FIVE = (A, B, C, D, E)
GREEN, RED, RUNNING = TestRecord(green=True), TestRecord(reds=1), TestRecord(running=True)


def chain(*agents: AgentName) -> dict[MergeGroup, BuildOutcome]:
    return {agents[: n + 1]: BuildOutcome.CLEAN for n in range(len(agents))}


def facts(policy: Train, **known: object) -> Facts:
    return Facts(**{"order": FIVE, "built": chain(*FIVE), "policy": policy, **known})  # type: ignore[arg-type]


def test_serial_takes_the_head() -> None:
    assert plan(facts(Train.SERIAL, slots=3)) == (Run((A,)),)
    assert plan(facts(Train.SERIAL, tests={(A,): RUNNING})) == ()
    assert plan(facts(Train.SERIAL, tests={(A,): GREEN})) == (Land((A,)),)


def test_building_comes_before_testing() -> None:
    assert plan(facts(Train.SERIAL, built={})) == (Build((A,)),)
    assert plan(facts(Train.BATCH, built=chain(A, B))) == (Build((A, B, C)),)


def test_speculative_fills_the_slots_with_steps() -> None:
    assert plan(facts(Train.SPECULATIVE, slots=3)) == (Run((A,)), Run((A, B)), Run((A, B, C)))


def test_speculative_goes_on_from_the_nearest_that_does_not_fail() -> None:
    known = {(A,): RUNNING, (A, B): RED, (A, B, C): RUNNING}
    built = chain(*FIVE) | chain(A, C, D, E)
    assert plan(facts(Train.SPECULATIVE, slots=3, tests=known, built=built)) == (
        Cancel((A, B, C)),
        Run(()),
        Run((A, C)),
    )


def test_speculative_goes_on_behind_what_is_green_already() -> None:
    known = {(A,): RUNNING, (A, B): GREEN}
    assert plan(facts(Train.SPECULATIVE, slots=2, tests=known)) == (Run((A, B, C)),)


def test_batch_takes_all_then_the_first_half() -> None:
    assert plan(facts(Train.BATCH, slots=4)) == (Run(FIVE),)
    assert plan(facts(Train.BATCH, slots=4, tests={FIVE: RED})) == (Run(()), Run((A, B)))
    assert plan(facts(Train.BATCH, tests={FIVE: RED, (A, B): RED, (): GREEN})) == (Run((A,)),)


@pytest.mark.parametrize(("slots", "lengths"), [(1, [11]), (2, [15, 6]), (3, [15, 11, 4]), (4, [15, 7, 3])])
def test_auto_looks_where_the_first_failure_may_be(slots: int, lengths: list[int]) -> None:
    order = tuple(AgentName(f"{n:02}") for n in range(15))
    acted = plan(Facts(order=order, built=chain(*order), slots=slots, policy=Train.AUTO))
    assert [len(action.group) for action in acted if isinstance(action, Run)] == lengths, "the longest starts first"


def test_auto_bets_that_the_last_of_a_red_prefix_is_the_culprit() -> None:
    built = chain(*FIVE) | chain(B, C, D, E)
    known = {(A,): TestRecord(reds=1, needed=2), FIVE: RUNNING}
    assert plan(facts(Train.AUTO, slots=2, tests=known, built=built)) == (Cancel(FIVE), Run(()), Run((A,)))


def test_what_lands_is_the_longest_that_is_green() -> None:
    known = {(A,): RED, (A, B): GREEN, (A, B, C): RED}
    assert plan(facts(Train.AUTO, tests=known)) == (Land((A, B)),)
    assert plan(facts(Train.AUTO, guarantee=Guarantee.STEP_GREEN, tests=known)) != (Land((A, B)),)


def test_nothing_lands_before_those_it_comes_after() -> None:
    """Not even a state that somebody else had tested."""
    known = {(B,): GREEN}
    built = chain(A) | {(B,): BuildOutcome.CLEAN}
    assert plan(facts(Train.AUTO, order=(A, B), after={B: frozenset({A})}, tests=known, built=built)) != (Land((B,)),)
    assert plan(facts(Train.AUTO, order=(A, B), tests=known, built=built)) == (Land((B,)),)


def test_blame_needs_a_green_target_without_it() -> None:
    assert plan(facts(Train.SERIAL, tests={(A,): RED})) == (Run(()),)
    assert plan(facts(Train.SERIAL, tests={(A,): RED, (): GREEN})) == (Evict(A, EvictionCause.GATE),)
    assert plan(facts(Train.SERIAL, tests={(A,): TestRecord(reds=1, needed=2), (): GREEN})) == (Run((A,)),)


def test_a_head_that_is_known_to_be_bad_is_judged_before_others_land() -> None:
    """Afterwards the target is another, and it would have to be asked again."""
    known = {(): GREEN, (A,): RED, (B, C): GREEN}
    built = chain(A) | chain(B, C)
    assert plan(facts(Train.AUTO, tests=known, built=built)) == (Evict(A, EvictionCause.GATE),)
    assert plan(facts(Train.AUTO, tests=known | {(A, B): GREEN}, built=built | chain(A, B))) == (Land((A, B)),)
    assert plan(facts(Train.AUTO, tests=known | {(A,): TestRecord(reds=1, needed=2)}, built=built)) == (Land((B, C)),)


def test_what_lands_first_is_what_the_next_to_be_blamed_was_red_on() -> None:
    built = chain(*FIVE) | {(A, C): BuildOutcome.CLEAN, (A, C, D): BuildOutcome.CLEAN}
    known = {(A,): GREEN, (A, B): RED, (A, C, D): GREEN}
    assert plan(facts(Train.AUTO, tests=known, built=built)) == (Land((A,)),)
    assert plan(facts(Train.AUTO, tests=known | {(A, B): TestRecord(reds=1, needed=2)}, built=built)) == (
        Land((A, C, D)),
    )
    assert plan(facts(Train.AUTO, tests={(A, B): RED, (A, C, D): GREEN}, built=built)) == (Land((A, C, D)),)


def test_all_is_built_before_anything_is_run_when_results_may_be_known() -> None:
    known = {(A,): GREEN}
    assert plan(facts(Train.SERIAL, tests=known, built=chain(A, B), recall=True)) == (Build((A, B, C)),)
    assert plan(facts(Train.SERIAL, tests=known, built=chain(A, B))) == (Land((A,)),)
    around = {(A,): GREEN, (A, B): RED}
    assert plan(facts(Train.AUTO, tests=around, built=chain(A, B), recall=True)) == (Build((A, C)),)


def test_nothing_lands_without_a_candidate() -> None:
    """It was forgotten because objects were lost: it is built again first."""
    assert plan(facts(Train.SERIAL, tests={(A,): GREEN}, built={})) == (Build((A,)),)


def test_nothing_lands_whose_predecessor_comes_after_it() -> None:
    built = chain(A, B) | chain(B, A)
    order = {"order": (A, B), "after": {B: frozenset({A})}}
    assert plan(facts(Train.AUTO, tests={(B, A): GREEN}, built=built, **order)) != (Land((B, A)),)


def test_what_was_cut_short_once_is_still_worth_building_on() -> None:
    known = {(A,): TestRecord(broken=1)}
    assert plan(facts(Train.SPECULATIVE, slots=2, tests=known)) == (Run((A,)), Run((A, B)))
    assert plan(facts(Train.SERIAL, tests=known | {(): GREEN})) == (Run((A,)),)


def test_the_more_was_rejected_the_shorter_the_steps() -> None:
    order = tuple(AgentName(f"{n:02}") for n in range(15))

    def lengths(decided: int, rejected: int) -> list[int]:
        known = Facts(order, built=chain(*order), slots=2, policy=Train.AUTO, decided=decided, rejected=rejected)
        return [len(action.group) for action in plan(known) if isinstance(action, Run)]

    assert (lengths(0, 0), lengths(60, 0), lengths(20, 10)) == ([15, 6], [15], [3, 1])


def test_infrastructure_blames_nobody() -> None:
    stuck = TestRecord(broken=3)
    assert plan(facts(Train.SERIAL, tests={(A,): TestRecord(broken=1)})) == (Run((A,)),)
    assert plan(facts(Train.SERIAL, tests={(A,): stuck})) == (Run(()),)
    assert plan(facts(Train.SERIAL, tests={(A,): stuck, (): GREEN})) == (Hold(A, HoldReason.STUCK),)
    everybody = tuple(Hold(agent, HoldReason.STUCK_TARGET) for agent in FIVE)
    assert plan(facts(Train.SERIAL, tests={(A,): stuck, (): stuck})) == everybody


def test_conflict_empty_and_blocked() -> None:
    assert plan(facts(Train.AUTO, built={(A,): BuildOutcome.CONFLICT})) == (Evict(A, EvictionCause.CONFLICT),)
    assert plan(facts(Train.AUTO, built={(A,): BuildOutcome.EMPTY})) == (Evict(A, EvictionCause.EMPTY),)
    out = {"after": {B: frozenset({A}), C: frozenset({A})}, "out": frozenset({A}), "order": (B, C, D)}
    assert plan(facts(Train.AUTO, **out)) == (Block(B, A), Block(C, A))


@pytest.mark.parametrize("policy", list(Train))
def test_the_first_branch_may_repair_a_red_target_and_then_all_land(policy: Train) -> None:
    world = World(FIVE[:4], red_target=True, mends=A)
    for play in explore(world, begin(world, policy, Guarantee.TIP_GREEN, 2)):
        assert set(play.landed) == set(world.agents)


@pytest.mark.parametrize("policy", list(Train))
def test_a_red_target_ends_the_train_and_evicts_no_agent(policy: Train) -> None:
    world = World(FIVE, red_target=True)
    for play in explore(world, begin(world, policy, Guarantee.TIP_GREEN, 1)):
        assert [result for _, result in play.results] == ["held: red-target"] * 5
        assert play.runs == 2, "one group, and the target alone in the next free slot"
