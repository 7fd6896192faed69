"""The live view of a train as values: what is folded from events, and what is drawn of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestra.cli.console import Tone
from orchestra.cli.train_live import is_final
from orchestra.cli.train_state import FATES, Phase, TrainState, fold
from orchestra.cli.train_view import ASCII, UNICODE, render
from orchestra.ledger import Json
from orchestra.train.events import KINDS, TrainEvent

AGENTS = ("schema", "auth", "billing", "search", "mail", "web")


def event(kind: str, *agents: str, at: float = 100.0, text: str = "", **data: Json) -> TrainEvent:
    return TrainEvent(kind, agents, text, data, at)


def folded(*events: TrainEvent) -> TrainState:
    state = TrainState()
    for one in events:
        state = fold(state, one)
    return state


def started(*agents: str, rehearsed: bool = False) -> TrainEvent:
    return event("train.started", *(agents or AGENTS), target="main", slots=2, rehearsed=rehearsed)


def gate(run: int, slot: int, *agents: str, at: float = 100.0, **data: Json) -> TrainEvent:
    usual: dict[str, Json] = {"gate": "tests", "step": 2, "steps": 3, "expected_s": 90.0, "purpose": "land"}
    return TrainEvent("gate.started", agents, "", {**usual, "run": run, "slot": slot, **data}, at)


def drawn(state: TrainState, width: int = 79, height: int = 23, now: float = 172.0) -> list[str]:
    lines = render(state, width, height, now)
    return ["".join(cell.text for cell in line).rstrip() for line in lines]


# -- what is known ------------------------------------------------------------------------------------------------


def test_a_train_under_way() -> None:
    state = folded(
        started(),
        event("landed", "schema"),
        event("evicted", "mail"),
        gate(2, 1, "schema", "auth"),
        gate(3, 2, "schema", "auth", "billing"),
        event("test.finished", "schema", run=1, outcome="passed", cached=False),
        event("train.progress", *AGENTS, eta_s=250.0),
    )
    assert drawn(state) == [
        "─" * 79,
        "main  ✓ 1 landed  ✗ 1 evicted  ▸ 2 in test  · 2 to go",
        "✓ schema  ▸ auth  ▸ billing  · search  ✗ mail  · web",
        "slot 1  main + auth           tests 2/3  1:12 of ~1:30",
        "slot 2  main + auth, billing  tests 2/3  1:12 of ~1:30",
        "about 3 min left, 1 run done, 1:12 so far",
    ]
    expected = "about 3 min left, 1 run done, 1:12 so far, Ctrl-C stops; the same command continues"
    assert drawn(state, 100)[-1] == expected


PHASES: Sequence[tuple[TrainEvent, str]] = [
    (event("test.queued", "auth", run=1), "main + auth  waits for a slot  1:12"),
    (event("test.preparing", "auth", run=1, slot=4), "slot 4  main + auth  making the slot ready  1:12"),
    (gate(1, 4, "auth", expected_s=None), "slot 4  main + auth  tests 2/3  1:12"),
    (gate(1, 4, "auth", steps=1), "slot 4  main + auth  tests  1:12 of ~1:30"),
    (gate(1, 4), "slot 4  main alone  tests 2/3  1:12 of ~1:30"),
    (gate(1, 4, "auth", purpose="explain"), "slot 4  why auth fails  tests 2/3  1:12 of ~1:30"),
    (event("test.cancelled", "auth", run=1, slot=4), "slot 4  main + auth  giving up  1:12"),
    (event("landing", "auth", text="landing auth"), "landing auth"),
    (event("landed", "auth"), "building candidates"),
    (event("landed", *AGENTS), "finishing"),
]


@pytest.mark.parametrize(("told", "line"), PHASES, ids=[line for _, line in PHASES])
def test_what_is_done_and_what_it_waits_for(told: TrainEvent, line: str) -> None:
    assert drawn(folded(started(), told))[3].split() == line.split()


def test_a_run_far_over_its_time_stands_out() -> None:
    state = folded(started(), gate(1, 1, "auth", expected_s=10.0))
    tones = [render(state, 79, 23, now)[3][-1].tone for now in (110.0, 172.0)]
    assert tones == [Tone.PLAIN, Tone.WAITING]


@pytest.mark.parametrize(
    ("now", "said"),
    [(100.0, "about 4 min left, "), (290.0, "about 60 s left, "), (351.0, "")],
)
def test_the_time_left_runs_down_and_is_not_said_once_it_was_wrong(now: float, said: str) -> None:
    state = folded(started(), event("train.progress", eta_s=250.0))
    assert drawn(state, now=now)[-1].startswith(f"{said}0 runs done")
    assert drawn(folded(started(), event("train.progress", eta_s=None)))[-1].startswith("0 runs done")


def test_before_it_leaves_when_interrupted_and_after_its_end() -> None:
    assert drawn(TrainState()) == ["getting ready"]
    stopped = folded(started(), event("train.interrupted"))
    assert drawn(stopped)[-1] == "interrupted: stopping tests…"
    assert drawn(folded(started(), gate(1, 1, "auth"), event("train.finished"))) == []


def test_a_rehearsal_says_would() -> None:
    assert "✓ 1 would land" in drawn(folded(started(rehearsed=True), event("landed", "auth")))[1]


def test_a_lost_end_of_a_run_leaves_its_slot_to_the_next() -> None:
    state = folded(started(), gate(1, 1, "auth"), gate(2, 1, "billing"))
    assert list(state.runs) == [2]


def test_a_run_that_ended_does_not_come_back() -> None:
    over = event("test.finished", "auth", run=1, outcome="failed")
    state = folded(started(), gate(1, 1, "auth"), over, gate(1, 1, "auth"), over)
    assert (dict(state.runs), state.runs_done) == ({}, 1)


def test_runs_without_a_verdict_and_results_from_before_are_not_counted() -> None:
    cancelled = event("test.finished", run=1, outcome="cancelled")
    cached = event("test.finished", run=2, outcome="passed", cached=True)
    assert folded(cancelled, cached).runs_done == 0


def test_the_later_word_on_an_agent_counts() -> None:
    gone, explained = event("blocked", "auth", at=1.0), event("evicted", "auth", at=2.0)
    assert folded(gone, explained).fates == folded(explained, gone).fates
    assert folded(explained, gone).fates["auth"].kind == "evicted"


# -- sizes --------------------------------------------------------------------------------------------------------


def fleet(count: int, landed: int = 0, name: str = "agent-{}") -> TrainState:
    names = tuple(name.format(number) for number in range(count))
    return folded(
        started(*names),
        *(event("landed", one) for one in names[:landed]),
        *(gate(n, n, *names[landed : landed + 5 * n]) for n in range(1, 5)),
    )


def test_fifty_agents_are_summarised_in_a_few_lines() -> None:
    assert drawn(fleet(50, landed=20)) == [
        "─" * 79,
        "main  ✓ 20 landed  ▸ 20 in test  · 10 to go",
        "▸ agent-20  ▸ agent-21  ▸ agent-22  ▸ agent-23  ▸ agent-24  ▸ agent-25",
        "▸ agent-26  ▸ agent-27  ▸ agent-28  ▸ agent-29  ▸ agent-30  ▸ agent-31",
        "▸ agent-32  ▸ agent-33  ▸ agent-34  ▸ agent-35  ▸ agent-36  ▸ agent-37",
        "▸ agent-38  ▸ agent-39  · agent-40  · agent-41  · agent-42  … 7 more",
        "slot 1  main + agent-20..agent-24 (5)   tests 2/3  1:12 of ~1:30",
        "slot 2  main + agent-20..agent-29 (10)  tests 2/3  1:12 of ~1:30",
        "slot 3  main + agent-20..agent-34 (15)  tests 2/3  1:12 of ~1:30",
        "slot 4  main + agent-20..agent-39 (20)  tests 2/3  1:12 of ~1:30",
        "0 runs done, 1:12 so far, Ctrl-C stops; the same command continues",
    ]


@pytest.mark.parametrize(("width", "height"), [(39, 11), (79, 5), (79, 4), (79, 3), (79, 2), (79, 1), (10, 3), (1, 1)])
def test_small_windows_keep_the_counts(width: int, height: int) -> None:
    lines = drawn(fleet(50, landed=20), width, height)
    assert len(lines) <= height
    assert width < 15 or any("✓ 20" in line or "✓20" in line for line in lines)


def test_more_candidates_than_lines() -> None:
    assert [line.split()[1] for line in drawn(fleet(8), 79, 5)[1:-1]] == ["1", "2", "2"]
    assert "… 2 more in test" in drawn(fleet(8), 79, 5)
    assert drawn(fleet(8), 79, 6)[1].startswith("▸ agent-0")


def test_long_names_do_not_push_the_columns_out() -> None:
    state = fleet(12, name="a" * 62 + "{}")
    assert all(line.endswith("1:12 of ~1:30") for line in drawn(state) if line.startswith("slot"))
    assert all(line.split()[-1] == "1:12" for line in drawn(state, 39, 11) if "tests" in line)


NASTY = st.text(st.characters(codec=None), max_size=70) | st.sampled_from(
    ["\x1b[2J", "\u202egnp", "漢字" * 20, "e\u0301" * 40, "👩‍👩‍👧‍👦", "\udcff", "a\nb\rc\td"]
)


@given(st.lists(NASTY, max_size=60), NASTY, st.integers(1, 210), st.integers(1, 60), st.sampled_from([ASCII, UNICODE]))
def test_whatever_the_names_are_it_fits_and_obeys_nobody(
    names: list[str], gate_name: str, width: int, height: int, marks: object
) -> None:
    runs = [gate(n, n, *names[: n * 3], gate=gate_name) for n in range(1, 4)]
    state = folded(started(*names), *runs, event("landing", text=gate_name))
    assert isinstance(marks, type(ASCII))
    lines = render(state, width, height, 172.0, marks)
    assert len(lines) <= height
    for line in lines:
        text = "".join(cell.text for cell in line)
        assert cell_len(text) <= width
        assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs")]
        text.encode("utf-8")


# -- any events, in any order -------------------------------------------------------------------------------------

VALUES: st.SearchStrategy[Json] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
)
KEYS = (
    "run",
    "slot",
    "gate",
    "step",
    "steps",
    "expected_s",
    "eta_s",
    "outcome",
    "cached",
    "purpose",
    "target",
    "rehearsed",
)
NONSENSE = st.builds(
    lambda kind, agents, text, data, at: TrainEvent(kind, tuple(agents), text, data, at),
    st.sampled_from([*KINDS, "from.tomorrow"]),
    st.lists(st.sampled_from(AGENTS), max_size=4),
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
    st.floats(),
)


@given(st.lists(NONSENSE, max_size=30), st.floats(0, 1e9))
def test_no_event_breaks_it(events: list[TrainEvent], now: float) -> None:
    state = folded(*events)
    render(state, 80, 24, now)
    for one in events:
        is_final(one)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[list[TrainEvent], Mapping[str, str]]:
    """The events of a train that decides every agent, each told at its own moment; and what it decided."""
    fates = {name: draw(st.sampled_from(FATES)) for name in AGENTS}
    events = [started()]
    for number, (name, kind) in enumerate(fates.items(), 1):
        at = 100.0 + number
        events += [
            gate(number, 1, name, at=at),
            event("test.finished", name, at=at, run=number, outcome="passed"),
            event(kind, name, at=at),
        ]
    return events, fates


@given(journeys(), st.randoms(), st.lists(st.integers(0, 18), max_size=8))
def test_the_end_is_the_same_in_any_order_and_told_twice(
    journey: tuple[list[TrainEvent], Mapping[str, str]],
    random: object,
    again: list[int],
) -> None:
    events, fates = journey
    shuffled = [*events, *(events[place] for place in again)]
    getattr(random, "shuffle")(shuffled)  # noqa: B009 - hypothesis' Random has no public type
    state = folded(*shuffled)
    assert {name: fate.kind for name, fate in state.fates.items()} == fates
    assert (dict(state.runs), state.runs_done) == ({}, len(AGENTS))
    assert state.order == AGENTS


def test_every_phase_is_reached_by_an_event() -> None:
    kinds = ("test.queued", "test.preparing", "gate.started", "test.cancelled")
    reached = {folded(event(kind, "auth", run=1, slot=1)).runs[1].phase for kind in kinds}
    assert reached == set(Phase)


def test_what_stays_in_the_scrollback() -> None:
    kept = [kind for kind in KINDS if is_final(event(kind, outcome="passed"))]
    assert set(kept) == {*FATES, "advice", "proposal", "recovered", "train.result"}
    assert is_final(event("gate.finished", outcome="failed", purpose="land"))
    assert not is_final(event("gate.finished", outcome="cancelled", purpose="land"))
    assert not is_final(event("gate.finished", outcome="failed", purpose="explain"))
