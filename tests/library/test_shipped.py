"""The shipped fleets as a team would take them: valid, apart from each other, complete, as many as promised."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from itertools import combinations, pairwise
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from orchestra.blueprint.load import list_blueprints
from orchestra.blueprint.model import Agent, Blueprint, Builtin, BuiltinGate, Regenerate, RunGate, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.blueprint.scope_overlap import Overlaps
from tests.library.conftest import FLEETS, shipped_fleet

BLUEPRINTS = Path(__file__).parents[2] / "blueprints"
FILES = sorted((*BLUEPRINTS.glob("*.yaml"), *BLUEPRINTS.glob("standards/*.yaml")))


def test_all_shipped_blueprints_can_be_listed_without_a_problem() -> None:
    listed = list_blueprints(None)
    assert {entry.name for entry in listed} == set(FLEETS)
    assert [entry.problems for entry in listed] == [()] * len(FLEETS)


def test_scopes_of_a_fleet_do_not_overlap(fleet: Blueprint) -> None:
    scopes = [agent.scope for agent in fleet.agents if agent.scope is not None]
    assert len(scopes) == len(fleet.agents), "every agent has a scope"
    overlaps = Overlaps(scopes)
    shared = {
        (fleet.agents[one].name, fleet.agents[two].name): witness
        for one, two in combinations(range(len(scopes)), 2)
        if (witness := overlaps.witness(one, two)) is not None
    }
    assert shared == {}


def test_every_agent_is_told_what_done_means(fleet: Blueprint) -> None:
    assert {agent.name: len(agent.done_when) for agent in fleet.agents if len(agent.done_when) < 4} == {}
    assert {agent.name for agent in fleet.agents if len(set(agent.done_when)) < len(agent.done_when)} == set()


def test_every_assignment_has_its_parts(fleet: Blueprint) -> None:
    for agent in fleet.agents:
        labels = re.findall(r"^\*\*([A-Z][^*]*)\.\*\*", agent.task, re.MULTILINE)
        assert labels[0] == "Goal", agent.name
        assert labels[-1] == "Out of scope", agent.name
        assert "Context" in labels, agent.name
        assert len(labels) >= 4, agent.name
        assert agent.title != agent.name


def test_no_parameter_and_no_hole_is_left_in_a_text(fleet: Blueprint) -> None:
    hole = re.compile(r"<<[a-z_]+>>|\bTODO\b|\bTBD\b|\blorem\b|\.\.\.$", re.IGNORECASE | re.MULTILINE)
    for agent in fleet.agents:
        for text in (agent.title, agent.task, *agent.done_when):
            assert hole.search(text) is None, f"{agent.name}: {text}"
            assert text.strip()


@pytest.mark.parametrize("first", FLEETS)
def test_no_two_agents_have_the_same_text(first: str) -> None:
    """Also nearly: what agents of one profile share is less than what is their own."""
    agents = shipped_fleet(first).agents
    for one, two in combinations(agents, 2):
        shared, shorter = _shared_words(one, two)
        assert shared < 0.5 * shorter, f"{one.name} and {two.name} share {shared} of {shorter} words"


def _shared_words(one: Agent, two: Agent) -> tuple[int, int]:
    """Words in common runs of at least eight, and the words of the shorter task."""
    first, second = one.task.split(), two.task.split()
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= 8), min(len(first), len(second))


def test_done_when_is_mostly_the_agents_own(fleet: Blueprint) -> None:
    """Each agent has at least two points that no other agent of the fleet has."""
    for agent in fleet.agents:
        others = {point for other in fleet.agents if other is not agent for point in other.done_when}
        assert len(set(agent.done_when) - others) >= 2, agent.name


def test_what_is_not_an_agents_job_names_agents_that_exist(fleet: Blueprint) -> None:
    names = {agent.name for agent in fleet.agents}
    for agent in fleet.agents:
        text = agent.task.rsplit("**Out of scope.**", 1)[1]
        mentioned = set(re.findall(r"`([a-z][a-z0-9-]*(?:-\*)?)`", text))
        for name in mentioned:
            known = any(other.startswith(name[:-1]) for other in names) if name.endswith("*") else name in names
            assert known, f"{agent.name} hands work to {name}, which no agent is called"
        assert agent.name not in mentioned, f"{agent.name} says that its own work is not its own"


def test_a_protected_path_that_an_agent_may_edit_is_named(fleet: Blueprint) -> None:
    """A scope that reaches into protected paths by name needs the permission, else the agent could not do its work."""
    protected = Matcher(Scope(fleet.protected))
    for agent in fleet.agents:
        assert agent.scope is not None
        for pattern in agent.scope.include:
            inside = pattern.removesuffix("/**") + "/x.yml"
            if protected.matches(inside):
                assert Matcher(Scope(agent.may_edit)).matches(inside), f"{agent.name}: {pattern}"


def test_a_file_that_many_may_edit_has_a_conflict_rule(fleet: Blueprint) -> None:
    editors: dict[str, int] = {}
    for agent in fleet.agents:
        for pattern in agent.may_edit:
            editors[pattern] = editors.get(pattern, 0) + 1
    shared = {pattern for pattern, count in editors.items() if count > 1}
    assert shared <= {pattern for pattern, rule in fleet.merge.conflicts.items() if isinstance(rule, Regenerate)}


def test_gates_are_those_that_run_today(fleet: Blueprint) -> None:
    """No shipped fleet may name a gate that the train refuses: it could never land anything."""
    builtin = {gate.builtin for gate in fleet.gates.values() if isinstance(gate, BuiltinGate)}
    assert builtin == {Builtin.SCOPE, Builtin.NOTES}
    assert {"tests", "lint"} <= {gate.name for gate in fleet.gates.values() if isinstance(gate, RunGate)}
    assert list(fleet.gates)[:2] == ["scope", "notes"], "what costs nothing refuses first"


def test_money_and_sessions_are_bounded(fleet: Blueprint) -> None:
    assert fleet.limits.budget_usd is not None
    assert fleet.limits.agents <= len(fleet.agents)
    for agent in fleet.agents:
        assert agent.runner.max_budget_usd is not None
        assert agent.runner.max_turns is not None


def test_predecessors_land_first(fleet: Blueprint) -> None:
    place = {name: index for index, name in enumerate(fleet.merge_order)}
    for agent in fleet.agents:
        assert all(place[before] < place[agent.name] for before in fleet.predecessors[agent.name])
    stages = [fleet.stages.index(_stage(fleet, name)) for name in fleet.merge_order]
    assert all(before <= after for before, after in pairwise(stages))


def _stage(fleet: Blueprint, name: str) -> str:
    agent = fleet.agent(name)
    assert agent is not None
    assert agent.stage is not None
    return agent.stage


@pytest.mark.parametrize("name", ["mvp5", "production15", "enterprise50"])
def test_infrastructure_services_api_in_this_order(name: str) -> None:
    stages = shipped_fleet(name).stages
    wanted = [stage for stage in ("infrastructure", "services", "api", "tests") if stage in stages]
    assert wanted[:3] == ["infrastructure", "services", "api"]
    assert sorted(wanted, key=stages.index) == wanted


@pytest.mark.parametrize(
    ("name", "agents", "duration"),
    [
        ("mvp5", 5, "6 to 8 hours"),
        ("production15", 15, "3 to 5 days"),
        ("enterprise50", 50, "1 to 2 weeks"),
        ("refactor6", 6, "1 to 2 days"),
    ],
)
def test_size_and_duration(name: str, agents: int, duration: str) -> None:
    fleet = shipped_fleet(name)
    assert len(fleet.agents) == agents
    assert duration in fleet.description
    assert re.search(rf"\b{agents}-agent\b", fleet.title)


TOPICS = [
    ("mvp5", 1, 1, "database schema|migrations"),
    ("mvp5", 2, 2, "core api endpoints"),
    ("mvp5", 3, 3, "authentication and authorization"),
    ("mvp5", 4, 4, "health checks and basic monitoring"),
    ("mvp5", 5, 5, "integration tests"),
    ("production15", 1, 3, "terraform|kubernetes|ci/cd"),
    ("production15", 4, 8, "service|queues"),
    ("production15", 9, 10, "rest|graphql|websocket"),
    ("production15", 11, 12, "oauth|encryption|audit"),
    ("production15", 13, 15, "prometheus|grafana|alerts"),
    ("enterprise50", 1, 10, "region|account|cluster|database|kafka|edge|restore|deliver|disaster"),
    (
        "enterprise50",
        11,
        25,
        "data|catalog|pricing|promotion|tax|inventory|cart|order|payment|fulfil|return|billing|seller|ledger|api",
    ),
    ("enterprise50", 26, 33, "gdpr|pci-dss|soc 2"),
    ("enterprise50", 34, 40, "identity|authorization|key|threat|anomaly|protection|incident"),
    ("enterprise50", 41, 50, r"\((unit|integration|load|security)\)"),
]


@pytest.mark.parametrize(("name", "first", "last", "topics"), TOPICS)
def test_agents_are_about_what_the_library_promises(name: str, first: int, last: int, topics: str) -> None:
    titles = [agent.title.lower() for agent in shipped_fleet(name).agents[first - 1 : last]]
    assert [title for title in titles if not re.search(topics, title)] == []


def test_names_of_mvp5_are_fixed() -> None:
    """The demo and the documentation speak of them."""
    fleet = shipped_fleet("mvp5")
    assert [agent.name for agent in fleet.agents] == ["schema", "api", "auth", "health", "integration"]
    assert fleet.merge_order == ("schema", "auth", "health", "api", "integration")


def test_production15_and_enterprise50_cover_each_topic() -> None:
    production = " ".join(agent.title for agent in shipped_fleet("production15").agents)
    for topic in ("Terraform", "Kubernetes", "CI/CD", "REST", "GraphQL", "WebSocket", "OAuth", "Encryption", "audit"):
        assert topic.lower() in production.lower()
    enterprise = [agent.title for agent in shipped_fleet("enterprise50").agents]
    for topic in ("GDPR", "PCI-DSS", "SOC 2"):
        assert sum(topic in title for title in enterprise[25:33]) >= 2, topic
    for kind in ("unit", "integration", "load", "security"):
        assert sum(f"({kind})" in title for title in enterprise[40:]) >= 2, kind


class _Loader(yaml.SafeLoader):
    """As an editor's language server reads the file: ``!append`` is a list."""


def _as_list(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("!append", _as_list)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_editor_shows_no_error(file: Path) -> None:
    """Each file alone, not composed, against the schema that its modeline names."""
    schema = json.loads((BLUEPRINTS.parent / "schemas" / "blueprint.schema.json").read_text(encoding="utf-8"))
    document = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []


def test_files_begin_with_modelines_that_lead_to_the_schema() -> None:
    files = FILES
    assert len(files) == 8
    for file in files:
        first, second = file.read_text(encoding="utf-8").splitlines()[:2]
        server, jetbrains = first.removeprefix("# yaml-language-server: $schema="), second.removeprefix("# $schema: ")
        assert server == jetbrains
        assert (file.parent / server).resolve() == BLUEPRINTS.parent / "schemas" / "blueprint.schema.json"
        assert (file.parent / server).is_file()
