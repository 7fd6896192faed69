"""A train reads the repository once: its git processes do not grow without notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate, Train
from tests.git_processes import recorded_git_processes
from tests.train.train_fixture import TrainFixture, landed

FIXED, PER_BRANCH = 36, 4
MOVED_TARGET = 7  # what a target that has moved since the branches started costs: a forecast, renames, merges


def test_merge_starts_few_git_processes(train: TrainFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train.gates(RunGate("check", "true")).merge_settings(train=Train.BATCH).blueprint(limits=Limits(gates=1))
    train.notes("one")
    train.approved(one={"a": "1\n"})
    with recorded_git_processes(tmp_path, monkeypatch) as one:
        assert landed(train.merge(agents=["one"])) == ["one"]
    train.notes("two")
    train.notes("three")
    train.approved(two={"b": "1\n"}, three={"c": "1\n"})
    with recorded_git_processes(tmp_path, monkeypatch) as two:
        assert landed(train.merge(agents=["two", "three"])) == ["two", "three"]
    two = [line for line in two if line != "git version"]  # once a process: counts only where this test runs first
    assert len(one) <= FIXED + PER_BRANCH, os.linesep.join(one)
    assert len(two) <= FIXED + MOVED_TARGET + 2 * PER_BRANCH, os.linesep.join(two)
