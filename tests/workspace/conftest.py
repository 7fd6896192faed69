"""Fixtures of the workspace tests: a home with a declared fleet, and running use cases on it in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.workspace.clean import CleanReport, clean
from orchestra.workspace.spawn import SpawnReport, spawn
from tests.workspace.worlds import BLUEPRINT, Home, make_home

MakeHome = Callable[..., Home]


@pytest.fixture
def make(tmp_path: Path) -> MakeHome:
    """``make(blueprint=..., name=...)``: a home in a temporary folder."""

    def build(blueprint: str = BLUEPRINT, name: str = "home") -> Home:
        return make_home(tmp_path / name, blueprint)

    return build


@pytest.fixture
def home(make: MakeHome) -> Home:
    return make()


def run_spawn(home: Home, agents: Collection[str] | None = None) -> SpawnReport:
    names = None if agents is None else [AgentName(name) for name in agents]
    with LocalEngine(2) as engine:
        return spawn(home.fleet(), engine=engine, agents=names)


def run_clean(home: Home) -> CleanReport:
    with LocalEngine(2) as engine:
        return clean(home.fleet(), engine=engine)
