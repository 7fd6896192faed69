"""The merge order: total, true to stages and merge_after, stable; a cycle is spelled out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.merge_order import Member, OrderCycle, merge_order
from orchestra.blueprint.model import AgentName

STAGES = ("infra", "services", "api")


def member(name: str, stage: str | None = None, *after: str) -> Member:
    return Member(AgentName(name), stage, tuple(AgentName(other) for other in after))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("b"), member("a")], "b a"),
        ([member("x", "api"), member("y", "infra"), member("z", "services")], "y z x"),
        ([member("a", None, "b"), member("b"), member("c")], "b a c"),
        ([member("late"), member("x", "api"), member("y", "infra")], "y x late"),
        ([member("x", "api"), member("y", "api", "z"), member("z", "api"), member("w", "infra")], "w x z y"),
        ([member("x", "infra", "free"), member("free"), member("y", "infra")], "y free x"),
    ],
)
def test_stages_then_edges_then_declared_order(members: list[Member], expected: str) -> None:
    assert " ".join(merge_order(members, STAGES).names) == expected


def test_predecessors_are_closed() -> None:
    order = merge_order([member("t", "api"), member("s", "services"), member("i", "infra"), member("f")], STAGES)
    assert order.predecessors == {"t": {"s", "i"}, "s": {"i"}, "i": set(), "f": set()}


def test_an_empty_stage_is_passed_over() -> None:
    order = merge_order([member("t", "api"), member("i", "infra")], STAGES)
    assert order.predecessors["t"] == {"i"}  # type: ignore[index]


@pytest.mark.parametrize(
    "members",
    [
        [member("a", None, "b"), member("b", None, "a")],
        [member("a", None, "c"), member("b", None, "a"), member("c", None, "b"), member("d", None, "a")],
        [member("a", "infra", "b"), member("b", "api")],
        [member("a", None, "a")],
    ],
)
def test_a_cycle_is_spelled_out(members: list[Member]) -> None:
    with pytest.raises(OrderCycle) as raised:
        merge_order(members, STAGES)
    cycle = raised.value.cycle
    assert cycle[0] == cycle[-1] and len(set(cycle)) == len(cycle) - 1
    after = {one.name: one.merge_after for one in members}
    stage = {one.name: one.stage for one in members}
    for earlier, later in pairwise(cycle):
        by_stage = stage[earlier] is not None and stage[later] is not None and stage[earlier] != stage[later]
        assert earlier in after[later] or by_stage


@st.composite
def fleets(draw: st.DrawFn) -> list[Member]:
    """Agents whose edges point backwards in a hidden order, so that there is no cycle, declared in another order."""
    size = draw(st.integers(1, 12))
    stages = sorted(draw(st.lists(st.sampled_from([0, 1, 2]), min_size=size, max_size=size)))
    members = []
    for number in range(size):
        earlier = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        members.append(member(f"n{number}", STAGES[stages[number]], *(f"n{other}" for other in earlier)))
    return draw(st.permutations(members))


@given(fleets())
def test_everyone_comes_after_their_predecessors(members: list[Member]) -> None:
    order = merge_order(members, STAGES)
    place = {name: number for number, name in enumerate(order.names)}
    assert sorted(place) == sorted(one.name for one in members)
    for one in members:
        expected = {other.name for other in members if STAGES.index(other.stage or "") < STAGES.index(one.stage or "")}
        assert set(one.merge_after) | expected <= order.predecessors[one.name]
        assert all(place[earlier] < place[one.name] for earlier in order.predecessors[one.name])
        for earlier in order.predecessors[one.name]:
            assert order.predecessors[earlier] <= order.predecessors[one.name]


@given(fleets())
def test_free_agents_go_in_declared_order(members: list[Member]) -> None:
    order = merge_order(members, STAGES)
    number = {one.name: index for index, one in enumerate(members)}
    stage = {one.name: one.stage for one in members}
    for one, two in pairwise(order.names):
        if stage[one] == stage[two] and number[one] > number[two]:
            assert one in order.predecessors[two], "a higher number went first only because it had to"
