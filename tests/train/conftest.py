"""Fleets that are ready to land."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import MakeRepository
from tests.train.train_fixture import TrainFixture, make_train

MakeTrain = Callable[..., TrainFixture]


@pytest.fixture
def train(make_repository: MakeRepository) -> TrainFixture:
    """Three agents without commits on a repository with one file."""
    return make_train(make_repository({"README.md": "# sample\n"}), "one", "two", "three")
