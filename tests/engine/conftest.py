"""Real processes, held and released through FIFOs: no test waits for time to pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.engine.job import Engine, Event, Finished, Job, JobId, Result, shell_job
from orchestra.engine.local import LocalEngine
from orchestra.engine.process_tree import ProcessId, identity


class JobFolder:
    """A folder to run jobs in, with the events that were read so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        self.events: list[Event] = []

    def job(self, name: str, command: str, *, timeout_s: float | None = None, cwd: Path | None = None) -> Job:
        log = self.folder / f"{name}.log"
        return shell_job(JobId(name), command, cwd or self.folder, self.env, log, timeout_s=timeout_s)

    def fifo(self, name: str) -> Path:
        path = self.folder / name
        os.mkfifo(path)
        return path

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def result(self, engine: Engine, name: str) -> Result:
        """Read events until that job is over."""
        while True:
            for event in self.events:
                if isinstance(event, Finished) and event.job == name:
                    return event.result
            events = engine.wait(60)
            assert events, f"{name} never ended; seen so far: {self.events}"
            self.events.extend(events)


def read_process(fifo: Path) -> ProcessId:
    """Return the living process whose pid a job writes to ``fifo``."""
    process = identity(int(fifo.read_text(encoding="ascii")))
    assert process is not None
    return process


@pytest.fixture
def jobs(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)


@pytest.fixture(params=["local"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine, with two places: the contract tests run once for each."""
    with LocalEngine(2, grace_s=0.5) as engine:
        yield engine


@pytest.fixture(params=["local"])
def patient_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The same, for jobs that do something on TERM: on a loaded machine that may take seconds."""
    with LocalEngine(2, grace_s=60.0) as engine:
        yield engine
