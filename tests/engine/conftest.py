"""Real processes, held and released through FIFOs: no test waits for time to pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.engine.job import Engine, Event, Finished, JobId, JobSpec, Result
from orchestra.engine.local import LocalEngine
from orchestra.engine.process_tree import ProcessId, identity


class Bench:
    """A folder to run jobs in, and short names for what the contract tests do over and over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        self.past: list[Event] = []

    def job(self, name: str, command: str, *, timeout_s: float | None = None, cwd: Path | None = None) -> JobSpec:
        log = self.folder / f"{name}.log"
        return JobSpec(JobId(name), command, cwd or self.folder, self.env, log, timeout_s)

    def fifo(self, name: str) -> Path:
        path = self.folder / name
        os.mkfifo(path)
        return path

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def result(self, engine: Engine, name: str) -> Result:
        """Read events until that job is over."""
        while True:
            for event in self.past:
                if isinstance(event, Finished) and event.job == name:
                    return event.result
            events = engine.wait(60)
            assert events, f"{name} never ended; seen so far: {self.past}"
            self.past.extend(events)


def said(fifo: Path) -> ProcessId:
    """The process whose pid is written to ``fifo``, while it is held alive by whoever wrote it."""
    who = identity(int(fifo.read_text(encoding="ascii")))
    assert who is not None
    return who


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=["local"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine there is, with two places: the contract tests run once for each."""
    with LocalEngine(2, grace_s=0.5) as made:
        yield made


@pytest.fixture(params=["local"])
def patient_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The same, for jobs that do something when they are told to end: on a loaded machine that may take seconds."""
    with LocalEngine(2, grace_s=60.0) as made:
        yield made
