"""A verdict reads the repository once: its git processes do not grow without notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.review.approval import approve
from tests.conftest import MakeRepository
from tests.fleets import make_world
from tests.git_processes import recorded_git_processes


def test_approve_starts_few_git_processes(
    make_repository: MakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(make_repository(), "one")
    world.at("one").commit("work", {"a": "1\n"})
    with recorded_git_processes(tmp_path, monkeypatch) as processes:
        fleet = make_fleet(Repository.discover(world.checkout.path), world.fleet.blueprint)
        approve(fleet, fleet.require_agent("one"))
    assert len(processes) <= 8, os.linesep.join(processes)
