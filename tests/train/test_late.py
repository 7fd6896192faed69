"""What ends too late or not at all: tests that nobody wants any more, runs that the machine cut short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate
from orchestra.engine.job import Event, Finished, JobId
from orchestra.engine.local import LocalEngine
from orchestra.train.events import TrainEvent
from tests.conftest import MakeRepository
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons


class EndsFirst(LocalEngine):
    """Whatever is cancelled has just ended by itself, and nobody has heard of it yet."""

    def __init__(self, places: int, go: Path) -> None:
        super().__init__(places)
        os.mkfifo(go)
        self._go = os.open(go, os.O_RDWR)  # with a reader of its own, so that no end ever blocks
        self._kept: list[Event] = []

    def cancel(self, job: JobId) -> None:
        os.write(self._go, b"\n")
        while not any(isinstance(event, Finished) and event.job == job for event in self._kept):
            self._kept += super().wait()

    def wait(self, timeout_s: float | None = None) -> tuple[Event, ...]:
        kept, self._kept = tuple(self._kept), []
        return kept or super().wait(timeout_s)

    def close(self) -> None:
        super().close()
        os.close(self._go)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EndsFirst]:
    with EndsFirst(2, tmp_path / "go") as made:
        yield made


def test_a_red_of_the_target_as_it_was_is_not_held_against_anybody(
    make_repository: MakeRepository, engine: EndsFirst, tmp_path: Path
) -> None:
    """b lands while a is asked for the second time, which ends red at that moment: that was not today's target."""
    train = make_train(make_repository({"README.md": "x\n"}), "a", "b").approved(a={"a": "1\n"}, b={"b": "1\n"})
    runs, go = tmp_path / "runs", tmp_path / "go"
    ends = f'case $(wc -l <"{runs}") in 3) read x <"{go}"; exit 1;; [124]) exit 1;; esac'
    train.gates(RunGate("tests", f'test -e a || exit 0; echo run >>"{runs}"; {ends}', timeout_s=60, retries=1))
    train.merge_settings(train=Train.AUTO).blueprint(limits=Limits(gates=2))
    report = train.merge(engine=engine)
    assert landed(report) == ["b", "a"], report
    assert len(runs.read_text("utf-8").split()) == 5, "with b; alone, twice; on b, twice"


def test_a_run_that_the_machine_cuts_short_uses_up_no_retry(train: TrainFixture, tmp_path: Path) -> None:
    """Red, then a set-up that is killed, then green: the gate was red once, and it may be twice."""
    red, killed = tmp_path / "red", tmp_path / "killed"
    train.setup(run=(f'test ! -e "{red}" || test -e "{killed}" || {{ touch "{killed}"; kill -9 $$; }}',))
    train.gates(RunGate("tests", f'test ! -e a || test -e "{red}" || {{ touch "{red}"; exit 1; }}', retries=1))
    train.approved(one={"a": "1\n"})

    def lose_the_set_up(event: TrainEvent) -> None:
        if event.kind == "test.finished" and event.data["outcome"] == "failed":
            (memory,) = (train.checkout.path / ".git/worktrees").glob("*/orchestra-slot.json")
            memory.unlink()

    report = train.merge(agents=["one"], progress=lose_the_set_up)
    assert killed.exists()
    assert landed(report) == ["one"], reasons(report)


def test_a_gate_that_is_killed_makes_nobody_build_again(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "test ! -e a || kill -9 $$")).approved(one={"a": "1\n"})
    built: list[str] = []
    report = train.merge(progress=lambda event: built.append(event.text) if event.kind == "candidate.built" else None)
    assert reasons(report)["one"].startswith("its gates could not be run to an end")
    assert built == ["built one"]
