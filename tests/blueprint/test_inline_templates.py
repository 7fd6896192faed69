"""Inline templates: expressions that know an agent, and cannot run away."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint import inline_templates
from orchestra.blueprint.inline_templates import TemplateProblem, render, render_all, render_env, render_root


@dataclass(frozen=True)
class Someone:
    name: str = "api"
    number: int = 7
    title: str = "The API"
    stage: str | None = None


def rendered(template: str) -> str:
    return render(template, agent=Someone(), fleet="mvp5", worktree="/w/api", repo="/r")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{prompt} ${HOME}", "{prompt} ${HOME}"),
        ("agent/{{ fleet }}/{{ agent.name }}", "agent/mvp5/api"),
        ("{{ 3000 + agent.number }}", "3007"),
        ("{{ 3000 + agent.number * 10 % 4 }}", "3002"),
        ("{{ '%02d' | format(agent.number) }}", "07"),
        ("{{ agent.title | lower | replace(' ', '-') }}", "the-api"),
        ("{{ agent.stage or 'none' }}", "none"),
        ("{% if agent.number > 5 %}big{% else %}small{% endif %}", "big"),
        ("{{ 'a' if agent.name == 'api' else 'b' }}", "a"),
        ("{{ worktree }}:{{ repo }}", "/w/api:/r"),
        ("{{ agent['name'] }}", "api"),
        ("{# a comment #}x", "x"),
        ("{{ [agent.name, fleet] | join('-') | upper }}", "API-MVP5"),
        ("a\n{{ fleet }}\n", "a\nmvp5"),
    ],
)
def test_renders(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    ("template", "line", "message", "hint"),
    [
        ("{{ agent.nmae }}", 1, 'undefined variable "agent.nmae"', 'did you mean "name"?'),
        ("a\n{{ flet }}", 2, 'undefined variable "flet"', 'did you mean "fleet"?'),
        ("{{ fleet", 1, "the template does not parse: unexpected end of template", None),
        ("\n\n{{ fleet | uper }}", 3, "the template does not parse: No filter named 'uper'", 'did you mean "upper"?'),
        ("{{ agent.name + 1 }}", 1, "the template cannot be rendered: can only concatenate str", None),
        ("{{ agent['x'] }}", 1, "the template cannot be rendered: 'dict object' has no attribute 'x'", None),
        ("{{ 1 / 0 }}", 1, "the template cannot be rendered: division by zero", None),
        ("{% for x in [1] %}{% endfor %}", 1, "the template uses a loop", None),
        ("{% set x = 1 %}", 1, "the template uses an assignment", None),
        ("{{ fleet.upper() }}", 1, "the template uses a call", None),
        ("{{ range(9) }}", 1, "the template uses a call", None),
        ("{% include 'x' %}", 1, "the template uses an include", None),
        ("{{ 9 ** 9 }}", 1, "the template uses **", None),
        ("{% macro m() %}{% endmacro %}", 1, "the template uses macro", None),
        ("{{ fleet | map('upper') }}", 1, "the template does not parse: No filter named 'map'", None),
        ("{{ '%s' % fleet }}", 1, "the template cannot be rendered: % works on numbers only", None),
        ("{{ " + "(" * 900 + ")" * 90 + " }}", 1, "", None),
    ],
)
def test_a_wrong_template_is_reported_with_its_line(template: str, line: int, message: str, hint: str | None) -> None:
    with pytest.raises(TemplateProblem) as raised:
        rendered(template)
    assert raised.value.message.startswith(message)
    assert raised.value.line == line
    assert hint is None or raised.value.hint == hint


def test_worktree_and_repo_are_not_there_unless_given() -> None:
    with pytest.raises(TemplateProblem) as raised:
        render("{{ worktree }}", agent=Someone(), fleet="f")
    assert raised.value.hint == "available: agent, fleet"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10000000000 }}",
        "{{ [1] * 10000000000 }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ '%*d' | format(9999999999, 1) }}",
        "{{ '%.9999999999f' | format(1) }}",
        "{{ 'x'" + " | replace('x', 'xxxxxxxxxx')" * 20 + " }}",
        "{{ 'x'" + " | replace('', 'xxxxxxxxxx')" * 20 + " }}",
        "{{ 'a' ~ '" + "x" * 1000 + "' }}",
        "{{ " + "not " * 240 + "1 }}",
        "{{ " + "-" * 900 + "1 }}",
        "{{ " + "[" * 400 + "]" * 400 + " }}",
        "{{ " + "9999999999 * " * 60 + "1 }}",
        "{{ agent.__class__.__mro__ }}",
        "{{ agent['__class__'] }}",
        "{{ agent | attr('name') }}",
        "{{ ''.__class__ }}",
        "{{ fleet | center(999999999) }}",
        "{{ self }}",
        "{{ 1 | round(99999999, 'ceil') }}",
    ],
)
def test_cannot_run_away_or_break_out(template: str) -> None:
    try:
        text = rendered(template)
    except TemplateProblem:
        return
    assert len(text) < 1_000


PIECES = st.sampled_from(
    "{{ }} {% %} {# #} agent . name number fleet | upper format replace ( ) [ ] ' 0 9 + * % ~ - if else endif".split()
    + 'for in , x loop self not is defined "'.split()
    + ["\n"]
)


@given(st.lists(PIECES, max_size=14).map(" ".join))
def test_any_template_renders_or_is_a_template_problem(template: str) -> None:
    try:
        assert isinstance(rendered(template), str)
    except TemplateProblem as problem:
        assert problem.line >= 1 and problem.message


def test_commands_and_environments() -> None:
    who = Someone()
    assert render_all(["run", "{{ agent.name }}"], agent=who, fleet="f") == ("run", "api")
    assert render_env({"A": "{{ repo }}"}, agent=who, fleet="f", repo="/r") == {"A": "/r"}


SIMPLE = st.sampled_from(
    "{{ }} {{{ }}} { } {% {# fleet agent.name agent.number agent.stage agent.title agent.x worktree repo".split()
    + "a|\n|\r| |{{ fleet }}|{{ repository }}|{{agent.name}}|{{ worktree }}".split("|")
    + "3000 + agent.number|{{ 3000 + agent.number }}|{{0+agent.number}}|{{ 007 + agent.number }}|+|9".split("|")
)


@given(st.lists(SIMPLE, max_size=8).map("".join))
def test_what_is_filled_in_without_jinja_is_what_jinja_makes(template: str) -> None:
    agent = {"name": "api", "number": 2, "title": "The API", "stage": ""}
    values = {"agent": agent, "fleet": "mvp5", "worktree": "/w", "repo": "/r", "repository": "home"}
    quick = inline_templates._without_jinja(template, values)
    if quick is not None:
        assert inline_templates._compiled(template, frozenset(values)).render(values) == quick


def test_the_root_of_worktrees_has_the_fleet_and_the_repository() -> None:
    template = "../worktrees/{{ repository }}/{{ fleet }}"
    assert render_root(template, fleet="mvp5", repository="shop") == "../worktrees/shop/mvp5"
    assert render_root("{{ repository | upper }}", fleet="mvp5", repository="shop") == "SHOP"
    with pytest.raises(TemplateProblem, match='undefined variable "agent"'):
        render_root("../{{ agent.name }}", fleet="mvp5", repository="shop")
