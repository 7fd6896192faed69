"""Profiles: one partial agent for many; parameters in the profile's text and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Agent, Scope
from orchestra.errors import BlueprintError, Problem


def agents(folder: Path, text: str, **files: str) -> tuple[Agent, ...]:
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    file = folder / "blueprint.yaml"
    file.write_text(f"version: 1\nname: f\nstages: [services, api]\n{text}", encoding="utf-8")
    return load_blueprint(file).agents


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(BlueprintError) as raised:
        agents(folder, text)
    return raised.value.problems


SERVICE = """\
profiles:
  service:
    with: {store: PostgreSQL, path: "services/<<name>>"}
    stage: services
    title: "<<domain>> service"
    task: |
      Build the <<domain>> service on <<store>> in <<path>>.
      You are <<name>>, <<number>>, <<stage>>, <<title>>.
    done_when: ["<<path>> has unit tests"]
    scope: ["<<path>>/**"]
    runner: {max_turns: <<turns>>, env: {DOMAIN: "<<domain>>"}}
"""


def test_parameters_are_filled_in(tmp_path: Path) -> None:
    one, two = agents(
        tmp_path,
        f"{SERVICE}agents:\n"
        "  - {name: orders, from: service, with: {domain: Orders, turns: 20}}\n"
        "  - {name: users, from: [service], with: {domain: Users, turns: 30, store: Redis}, stage: api, title: U!}\n",
    )
    assert one.task == (
        "Build the Orders service on PostgreSQL in services/orders.\nYou are orders, 1, services, Orders service.\n"
    )
    assert one.scope == Scope(("services/orders/**",))
    assert (one.runner.max_turns, one.runner.env) == (20, {"DOMAIN": "Orders"})
    assert two.task == "Build the Users service on Redis in services/users.\nYou are users, 2, api, U!.\n"


def test_an_agent_goes_over_its_profiles_by_the_rules_of_extends(tmp_path: Path) -> None:
    (agent,) = agents(
        tmp_path,
        "profiles:\n"
        "  one: {task: one, done_when: [a], scope: [x], may_edit: [m], runner: {model: a, max_turns: 1}}\n"
        "  two: {task: two, done_when: !append [b], runner: {model: b}}\n"
        "agents:\n"
        "  - {name: n, from: [one, two], done_when: !append [c], scope: null, may_edit: [k], runner: {max_turns: 3}}\n",
    )
    assert (agent.task, agent.done_when, agent.scope, agent.may_edit) == ("two", ("a", "b", "c"), None, ("k",))
    assert (agent.runner.model, agent.runner.max_turns) == ("b", 3)


def test_profiles_build_on_profiles(tmp_path: Path) -> None:
    (agent,) = agents(
        tmp_path,
        "profiles:\n  base: {task: 'do <<what>>', with: {what: base}}\n"
        "  more: {from: base, with: {what: more}, done_when: ['<<what>> is done']}\n"
        "agents:\n  - {name: n, from: more}\n",
    )
    assert (agent.task, agent.done_when) == ("do more", ("more is done",))


def test_a_file_that_extends_can_change_a_profile(tmp_path: Path) -> None:
    base = "version: 1\nprofiles:\n  p: {task: base, done_when: [a]}\nagents:\n  - {name: n, from: p}\n"
    (agent,) = agents(tmp_path, "extends: base\nprofiles: {p: {done_when: !append [b]}}\n", base=base)
    assert (agent.task, agent.done_when) == ("base", ("a", "b"))


def test_an_agents_own_text_is_literal(tmp_path: Path) -> None:
    (agent,) = agents(
        tmp_path,
        "profiles:\n  p: {task: 'a <<x>> b'}\n"
        "agents:\n  - {name: n, from: p, with: {x: '<<y>>'}, done_when: ['<<x>> stays']}\n",
    )
    assert (agent.task, agent.done_when) == ("a <<y>> b", ("<<x>> stays",))


def test_a_backslash_keeps_a_parameter(tmp_path: Path) -> None:
    (agent,) = agents(
        tmp_path, "profiles:\n  p: {task: '\\<<x>> a<<b << c>> <<EOF'}\nagents:\n  - {name: n, from: p}\n"
    )
    assert agent.task == "<<x>> a<<b << c>> <<EOF"


def test_values_are_put_in_as_typed(tmp_path: Path) -> None:
    given = "{a: 1.10, b: 007, c: yes}"
    text = f"profiles:\n  p: {{task: '<<a>> <<b>> <<c>>'}}\nagents:\n  - {{name: n, from: p, with: {given}}}\n"
    (agent,) = agents(tmp_path, text)
    assert agent.task == "1.10 007 yes"


def test_a_problem_of_a_profile_is_reported_once_for_many_agents(tmp_path: Path) -> None:
    many = "".join(f"  - {{name: n{number}, from: p}}\n" for number in range(20))
    (problem,) = problems(tmp_path, f"profiles:\n  p:\n    task: x\n    scope: [/abs]\nagents:\n{many}")
    assert (problem.line, problem.message) == (7, 'agent "n0": scope[0]: the pattern "/abs" is absolute')


def test_a_slip_in_a_long_text_is_reported_at_its_line(tmp_path: Path) -> None:
    text = "profiles:\n  p:\n    task: |\n      one\n      two <<domian>>\n"
    text += "agents:\n  - {name: n, from: p, with: {domain: a}}\n"
    (problem,) = problems(tmp_path, text)
    assert (problem.line, problem.column) == (10, 31)
    assert problem.message.endswith('but "p" uses <<domian>> (line 8)')


def nested(count: int, last: str) -> str:
    """Parameters of which each holds the next one twice."""
    return (
        "".join(f"a{number}: '<<a{number + 1}>><<a{number + 1}>>', " for number in range(count)) + f"a{count}: {last}"
    )


def chain(count: int, what: str) -> str:
    """Profiles of which each builds on the next one."""
    return "".join(f"  p{number}: {{{what.format(next=f'p{number + 1}')}}}\n" for number in range(count))


WIDE = "runner: {env: {" + "".join(f"A{number}: x, " for number in range(5_000)) + "}}"


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        (chain(400, "from: {next}") + "  p400: {task: x}\n", "are nested more than 16 deep"),
        ("  p0: {task: '<<a0>>', with: {" + nested(400, "x") + "}}\n", "circular or too deeply nested"),
        ("  p0: {task: '<<a0>>', with: {" + nested(15, "x" * 100) + "}}\n", "is longer than 200,000 characters"),
        ("  p0: {task: '<<a0>>', with: {" + nested(15, "''") + "}}\n", "task: is blank"),
        (
            "  p0: {task: '" + "<<a>>" * 10_000 + "', with: {a: " + "x" * 10_000 + "}}\n",
            "is longer than 200,000 characters",
        ),
        (
            "  p0: {task: x, from: [" + "p1, " * 5_000 + "]}\n  p1: {" + WIDE + "}\n",
            "merging takes more than 200,000 steps",
        ),
        (
            chain(14, "from: [{next}, {next}, {next}], done_when: !append [a]") + "  p14: {task: x}\n",
            "more than 200,000 steps",
        ),
    ],
)
def test_nothing_that_doubles_or_nests_gets_far(tmp_path: Path, profiles: str, message: str) -> None:
    found = problems(tmp_path, f"profiles:\n{profiles}agents:\n  - {{name: n, from: p0}}\n")
    assert any(message in problem.message for problem in found), [problem.message for problem in found]


def test_many_agents_with_a_large_profile_are_stopped(tmp_path: Path) -> None:
    many = "".join(f"  - {{name: n{number}, from: p}}\n" for number in range(400))
    found = problems(tmp_path, f"profiles:\n  p: {{task: x, {WIDE}}}\nagents:\n{many}")
    assert any("the agents hold more than 100,000 values" in problem.message for problem in found)


def test_a_profile_that_is_null_cannot_be_used(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "profiles:\n  p: null\nagents:\n  - {name: n, from: p}\n")
    assert problem.message == 'no profile "p"'


@pytest.mark.parametrize("profiles", ["{p: '<<: '}", "{p: '<<x>>'}", "'<<x>>'"])
def test_a_profile_that_is_a_text_is_refused_where_it_stands(tmp_path: Path, profiles: str) -> None:
    found = problems(tmp_path, f"profiles: {profiles}\nagents:\n  - {{name: n, from: p}}\n")
    assert found[0].line == 4 and "must be a map" in found[0].message
