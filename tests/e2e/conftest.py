"""A road for every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository

from .road import Road

MakeRoad = Callable[..., Road]
FILES = {"README.md": "# sample\n", "src/app.txt": "".join(f"line {n}\n" for n in range(20))}


@pytest.fixture
def make_road(make_repository: MakeRepository, tmp_path: Path) -> MakeRoad:
    """``make_road("one", "two", gates={...}, files={...})``: a repository and the blueprint of a fleet, not spawned."""

    def make(*agents: object, files: dict[str, object] | None = None, at: Path | None = None, **keys: object) -> Road:
        checkout = Checkout(at) if at else make_repository(FILES | (files or {}))
        return Road(checkout, tmp_path).fleet(*(agents or ("one", "two", "three")), **keys)  # type: ignore[arg-type]

    return make


@pytest.fixture
def road(make_road: MakeRoad) -> Road:
    """Three agents without an order on a small repository."""
    return make_road()
