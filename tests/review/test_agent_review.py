"""What a review shows of an agent's work, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import RunGate, Scope
from orchestra.cli import review_screen
from orchestra.review.agent_review import review_agent
from orchestra.status import read_status
from tests.conftest import MakeRepository
from tests.fleets import World, make_world


@pytest.fixture
def world(make_repository: MakeRepository) -> World:
    world = make_world(make_repository({"Makefile": "test:\n\tpytest\n", "src/a.py": "a\n"}), "schema")
    (agent,) = world.fleet.blueprint.agents
    agent = replace(agent, scope=Scope(("src/**",)), may_edit=("conftest.py",))
    blueprint = replace(world.fleet.blueprint, gates={"t": RunGate("t", "make test && pytest")}, agents=(agent,))
    return replace(world, fleet=replace(world.fleet, blueprint=blueprint))


def test_a_review_begins_with_what_the_branch_changes_about_its_judges(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.at("schema").commit("one", {"conftest.py": "skip = True\n", "src/a.py": "b\n"})
    world.at("schema").commit("two", {"Makefile": "test:\n\ttrue\n"})
    world.at("schema").commit("three", {"Makefile": "test:\n\tpytest\n"})  # the change is still in the history
    shown = review_agent(world.fleet, world.fleet.require_agent("schema"))
    assert [(change.path, change.allowed) for change in shown.preview.judging] == [
        ("Makefile", False),
        ("conftest.py", True),
    ]
    assert [finding.path for finding in shown.preview.scope] == ["Makefile"]
    review_screen.show(world.fleet, shown)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("This branch changes what judges it")
    assert lines[1:3] == ["  Makefile (the agent's may_edit does not name it)", "  conftest.py"]
    (row,) = read_status(world.fleet).rows
    assert row.judging_changes == ("Makefile", "conftest.py")


def test_a_review_of_ordinary_work_names_no_judges(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.at("schema").commit("one", {"src/a.py": "b\n"})
    shown = review_agent(world.fleet, world.fleet.require_agent("schema"))
    assert (shown.preview.judging, shown.preview.scope) == ((), ())
    review_screen.show(world.fleet, shown)
    assert capsys.readouterr().out.startswith("1 schema")
