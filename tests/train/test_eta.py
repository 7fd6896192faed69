"""The guess of how long it still takes: a table of values, and what a train tells on its way."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName, Train
from orchestra.train.eta import format_remaining, remaining_rounds, seconds_left, typical_seconds
from orchestra.train.planner_model import Facts
from tests.train.train_fixture import TrainFixture

TEN = tuple(AgentName(f"a{n}") for n in range(10))


def test_one_run_is_the_sum_of_the_medians() -> None:
    assert typical_seconds({"lint": [1.0, 9.0, 2.0], "tests": [30.0]}, ("lint", "tests")) == 32.0
    assert typical_seconds({"lint": [1.0]}, ("lint", "tests")) is None
    assert typical_seconds({}, ()) == 0


@pytest.mark.parametrize(
    ("policy", "slots", "low", "high"),
    [
        (Train.SERIAL, 4, 10, 12),
        (Train.SPECULATIVE, 4, 3, 4),
        (Train.BATCH, 4, 1, 5),
        (Train.AUTO, 4, 1, 3),
    ],
)
def test_rounds_by_policy(policy: Train, slots: int, low: float, high: float) -> None:
    assert low <= remaining_rounds(Facts(order=TEN, slots=slots, policy=policy)) <= high


def test_nothing_left_and_nothing_known() -> None:
    assert remaining_rounds(Facts(order=())) == 0
    assert seconds_left(Facts(order=TEN), None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.2, "about 1 s left"),
        (80, "about 80 s left"),
        (250, "about 4 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_in_words(seconds: float | None, text: str) -> None:
    assert format_remaining(seconds) == text


def test_a_train_says_how_far_it_is(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b.txt": "RED\n"}, three={"c": "1\n"})
    told: list[tuple[str, object]] = []
    train.merge(progress=lambda e: told.append((e.text, e.to_json()["data"])) if e.kind == "train.progress" else None)
    assert "to go" in told[0][0]
    assert "left" in told[-1][0]
    assert isinstance(told[-1][1], dict)
    assert told[-1][1]["counts"]["landed"] >= 1
