"""Adopted branches as agents: their records, their names, and their place among declared agents."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.adopted_agents import (
    AdoptedBranch,
    agent_name_problem,
    derive_agent_name,
    format_adopted,
    read_adopted,
    with_adopted,
)
from orchestra.blueprint.model import AgentName, RunnerKind
from tests.fleets import make_blueprint

LOGIN = AgentName("login")


@pytest.mark.parametrize(
    ("branch", "taken", "name"),
    [
        ("feature/login", (), "login"),
        ("feature/login", ("Login",), "feature-login"),
        ("feature/login", ("login", "feature-login"), "branch-feature-login"),
        ("feature/login", ("login", "feature-login", "branch-feature-login"), "feature-login-2"),
        ("review", (), "branch-review"),
        ("fix/123", (), "fix-123"),
        ("123", (), "branch-123"),
        ("fix the_bug!", (), "fix-the-bug"),
        ("größe", (), "gr-e"),
        ("要件", (), "branch"),
        ("x.lock", (), "x-lock"),
    ],
)
def test_the_name_of_an_agent_comes_from_its_branch(branch: str, taken: tuple[str, ...], name: str) -> None:
    assert derive_agent_name(branch, taken) == name


@given(st.text(min_size=1, max_size=200), st.lists(st.text(max_size=5), max_size=5))
def test_every_derived_name_is_valid_and_free(branch: str, taken: list[str]) -> None:
    first = derive_agent_name(branch, taken)
    second = derive_agent_name(branch, [*taken, first])
    assert not agent_name_problem(first)
    assert not agent_name_problem(second)
    assert first.casefold() != second.casefold()


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "adopted.json"
    assert read_adopted(file) == {}
    records = {LOGIN: AdoptedBranch("feature/login", "services"), AgentName("a"): AdoptedBranch("b")}
    file.write_text(format_adopted(records))
    assert list(read_adopted(file).items()) == list(records.items())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"login": 1}', '{"login": {"branch": "a..b", "stage": null}}', '{"merge": {"branch": "b"}}'],
)
def test_a_damaged_record_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "adopted.json").write_text(text)
    assert read_adopted(tmp_path / "adopted.json") == {}


def test_adopted_branches_follow_the_declared_agents() -> None:
    blueprint = make_blueprint("api", "web")
    extended = with_adopted(blueprint, {LOGIN: AdoptedBranch("feature/login", "no-such-stage")})
    assert extended.merge_order == ("api", "web", "login")
    login = extended.agents[2]
    assert (login.number, login.branch, login.scope, login.stage) == (3, "feature/login", None, None)
    assert login.adopted
    assert with_adopted(blueprint, {}) is blueprint


def test_a_declared_agent_keeps_its_rules_with_an_adopted_branch() -> None:
    blueprint = make_blueprint("api", "web")
    extended = with_adopted(blueprint, {AgentName("web"): AdoptedBranch("old/web")})
    web = extended.agents[1]
    assert (web.branch, web.number, web.task, web.adopted) == ("old/web", 2, blueprint.agents[1].task, True)
    assert web.runner.kind is RunnerKind.NONE
