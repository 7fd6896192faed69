"""The shipped library, loaded once. Invariant: tests here read the files that ship, and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from orchestra.blueprint.load import find_blueprint, load_blueprint, resolved
from orchestra.blueprint.model import Blueprint
from orchestra.blueprint.yaml_tree import Plain

FLEETS = ("mvp5", "production15", "enterprise50", "mixed50", "refactor6")
PACKS = ("typescript-service", "python-service", "go-service")

LoadFleet = Callable[[str], Blueprint]
Section = Callable[[str], str]


@cache
def shipped_fleet(name: str) -> Blueprint:
    """A shipped blueprint by name. Raises BlueprintError with every problem of it."""
    return load_blueprint(find_blueprint(name, None))


@cache
def shipped_document(name: str) -> Mapping[str, Plain]:
    """The composed document of a shipped blueprint, with the keys as written."""
    return resolved(find_blueprint(name, None)).document


@pytest.fixture(params=FLEETS)
def fleet(request: pytest.FixtureRequest) -> Blueprint:
    """Each shipped fleet in turn."""
    return shipped_fleet(str(request.param))
