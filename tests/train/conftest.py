"""Fleets that are ready to land."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import MakeRepository
from tests.train.yard import Yard, make_yard

MakeYard = Callable[..., Yard]


@pytest.fixture
def yard(make_repository: MakeRepository) -> Yard:
    """Three agents without commits on a repository with one file."""
    return make_yard(make_repository({"README.md": "# sample\n"}), "one", "two", "three")
