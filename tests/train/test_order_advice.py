"""Order advice against the best order there is, and the forecast that it rests on."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName
from orchestra.candidates.conflict_forecast import conflicts_by_agent, forecast_conflicts
from orchestra.fleet import read_snapshot
from orchestra.git.git_process import Git
from orchestra.git.objects import Objects
from orchestra.train.entries import Accept, read_entries
from orchestra.train.landing_order import advise, better_order, losses
from tests.train.train_fixture import TrainFixture

A, B, C, D = (AgentName(name) for name in "abcd")
STAR = {A: frozenset({B, C, D}), B: frozenset({A}), C: frozenset({A}), D: frozenset({A})}


def test_who_conflicts_with_many_lands_last() -> None:
    assert losses((A, B, C, D), {}, STAR) == (B, C, D)
    assert better_order((A, B, C, D), {}, STAR) == (B, C, D, A)
    told = advise((A, B, C, D), {}, STAR)
    assert told[0] == "a and b conflict as text: whichever lands second will be evicted"
    assert told[-1] == "1 instead of 3 would be evicted in this order: b, c, d, a"


def test_what_must_land_before_does() -> None:
    after = {B: frozenset({A}), C: frozenset({A})}
    assert better_order((A, B, C, D), after, STAR) is None


def test_no_conflicts_no_words() -> None:
    assert advise((A, B), {}, {}) == ()
    assert advise((A,), {}, {A: frozenset({B})}) == ()


NAMES = (A, B, C, D)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[AgentName, frozenset[AgentName]], dict[AgentName, frozenset[AgentName]]]:
    after: dict[AgentName, frozenset[AgentName]] = {}
    for place, agent in enumerate(NAMES):
        near = draw(st.frozensets(st.sampled_from(NAMES[:place]), max_size=1)) if place else frozenset[AgentName]()
        after[agent] = near.union(*(after[one] for one in near))
    pairs = draw(st.frozensets(st.sampled_from([(x, y) for x in NAMES for y in NAMES if x < y])))
    clashes = {n: frozenset({b if n == a else a for a, b in pairs if n in (a, b)}) for n in NAMES}
    return after, clashes


@given(cases())
def test_an_advised_order_is_allowed_and_better(
    case: tuple[dict[AgentName, frozenset[AgentName]], dict[AgentName, frozenset[AgentName]]],
) -> None:
    after, clashes = case
    advised = better_order(NAMES, after, clashes)
    if advised is None:
        return
    assert sorted(advised) == list(NAMES)
    assert all(after[agent] <= set(advised[:place]) for place, agent in enumerate(advised))
    allowed = (o for o in permutations(NAMES) if all(after[a] <= set(o[:n]) for n, a in enumerate(o)))
    best = min(len(losses(order, after, clashes)) for order in allowed)
    assert best <= len(losses(advised, after, clashes)) < len(losses(NAMES, after, clashes))


def test_the_forecast_sees_every_pair_and_no_instruction_file(train: TrainFixture) -> None:
    train.commit("one", {"README.md": "# one\n", "TASK.md": "one\n"})
    train.commit("two", {"README.md": "# two\n", "TASK.md": "two\n"})
    train.commit("three", {"c": "3\n", "TASK.md": "three\n"})
    with Objects(Git(train.checkout.path)) as objects:
        snapshot = read_snapshot(train.fleet)
        entries = read_entries(snapshot, objects, train.tip(), accept=Accept.NAMED, agents=None, read_unfinished=dict)
    found = forecast_conflicts(Git(train.checkout.path), [entry.branch for entry in entries.queued])
    assert [(clash.first, clash.second, clash.paths) for clash in found] == [("one", "two", ("README.md",))]
    assert conflicts_by_agent(found) == {"one": {"two"}, "two": {"one"}}


def test_the_train_says_it_before_it_leaves(train: TrainFixture) -> None:
    train.approved(one={"README.md": "# one\n"}, two={"README.md": "# two\n"})
    told: list[str] = []
    report = train.merge(progress=lambda event: told.append(event.text))
    assert "one and two conflict as text: whichever lands second will be evicted" in told
    assert report.advice == ("one and two conflict as text: whichever lands second will be evicted",)
