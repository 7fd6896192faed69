"""Blueprints for the plan's tests, written as a person writes them and read by the real loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Blueprint

Written = Callable[..., Blueprint]
"""``written("- {name: a, scope: [src/**]}", "overlap: error")``: agents' lines, then further top-level lines."""


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a blueprint and load it. Every agent has a task; line 5 is the first agent's."""

    def write(agents: str, more: str = "", *, name: str = "fleet.yaml") -> Blueprint:
        path = tmp_path / name
        lines = [line.replace("{name:", "{task: x, name:") for line in agents.strip().splitlines()]
        text = "\n".join(["version: 1", "name: demo", "target: main", "agents:", *(f"  {line}" for line in lines)])
        path.write_text(f"{text}\n{more}\n", encoding="utf-8")
        return load_blueprint(path)

    return write
