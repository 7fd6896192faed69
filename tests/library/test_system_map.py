"""The system maps fit: what one agent consumes another publishes, and every service has its agent.

A fleet's agents never see each other's work before it lands, so a name that is spelled differently in two assignments
costs a day. The maps are prose for agents; these tests read them as data.
"""

from __future__ import annotations

import re

import pytest

from orchestra.blueprint.model import Blueprint
from tests.library.conftest import shipped_fleet

NAME = re.compile(r"(?<![\w/`.-])([a-z]+\.[a-z*][a-z-]*|[a-z]+\.\*|\.[a-z][a-z-]+)")
CLAUSE = re.compile(r"(?<=[ .])([a-z-]+(?: and [a-z-]+)?): ((?:[a-z]*\.[a-z-]+(?:, )?)+)")


@pytest.fixture(scope="module", params=["production15", "enterprise50"])
def mapped(request: pytest.FixtureRequest) -> Blueprint:
    return shipped_fleet(str(request.param))


def _events_of(text: str) -> set[str]:
    """Full names in a list like ``order.placed, .confirmed, stock.*``; the short form continues the noun before it."""
    found: set[str] = set()
    noun = ""
    for word in NAME.findall(text):
        noun = word.split(".")[0] or noun
        found.add(f"{noun}.{word.split('.')[1]}")
    return found


def _owners(fleet: Blueprint) -> dict[str, frozenset[str]]:
    """Event to the agents that own it, as the map says; all agents where the map names a kind of service."""
    owners: dict[str, frozenset[str]] = {}
    everybody = frozenset[str](agent.name for agent in fleet.agents)
    for clause in fleet.standards["System map"]:
        if clause.startswith("Events"):
            for names, events in CLAUSE.findall(clause):
                owners |= dict.fromkeys(_events_of(events), frozenset(names.split(" and ")) & everybody or everybody)
    return owners


def _said(task: str, verb: str) -> set[str]:
    """Events in the sentences of a task that begin with ``verb``; what stands in brackets or quotes is not a name."""
    said: set[str] = set()
    for sentence in re.findall(rf"\b{verb} (.*?)(?:\.(?=\s|$)|$)", " ".join(task.split())):
        said |= _events_of(re.sub(r"\([^)]*\)|`[^`]*`", "", sentence))
    return said


def test_the_map_is_read_as_it_is_meant(mapped: Blueprint) -> None:
    owners = _owners(mapped)
    assert owners["order.confirmed"] == {"orders"}
    assert owners["stock.rejected"] in ({"catalog"}, {"inventory"})
    assert len(owners) >= 15


def test_every_event_is_published_by_the_agents_that_own_it(mapped: Blueprint) -> None:
    everybody = {str(agent.name): _said(agent.task, "[Pp]ublish(?:es)?") for agent in mapped.agents}
    for event, owners in _owners(mapped).items():
        silent = [name for name in owners if event not in everybody[name]]
        if len(owners) < len(everybody):
            assert silent == [], f"not told to publish {event}"
        else:
            assert len(silent) < len(owners), f"nobody is told to publish {event}"


def test_every_event_that_is_consumed_is_on_the_map(mapped: Blueprint) -> None:
    owners = _owners(mapped)
    nouns = {event.split(".")[0] for event in owners}
    for agent in mapped.agents:
        for event in _said(agent.task, "[Cc]onsumes") | _said(agent.task, "[Pp]ublishes"):
            noun, verb = event.split(".")
            known = noun in nouns if verb == "*" else event in owners or event == "erasure.completed"
            assert known, f"{agent.name} speaks of {event}, which nobody owns"


def test_nobody_publishes_what_another_owns(mapped: Blueprint) -> None:
    owners = _owners(mapped)
    for agent in mapped.agents:
        for event in _said(agent.task, "[Pp]ublishes") & owners.keys():
            assert agent.name in owners[event], f"{agent.name} publishes {event} of {sorted(owners[event])}"


def test_every_service_folder_has_exactly_one_agent(mapped: Blueprint) -> None:
    folders = [
        pattern.split("/")[1]
        for agent in mapped.agents
        if agent.scope is not None
        for pattern in agent.scope.include
        if pattern.startswith(("services/", "packages/"))
    ]
    assert len(folders) == len(set(folders))
    may_edit = [pattern for agent in mapped.agents for pattern in agent.may_edit]
    manifests = [pattern.split("/")[1] for pattern in may_edit if pattern.endswith("/package.json")]
    assert sorted(manifests) == sorted(folders), "the agent of a folder adds its own workspace"
