"""A team's template files: found where rendering will find them, read without being run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.inline_templates import AGENT_ATTRIBUTES, RENDER_VARIABLES
from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.templates import shipped_templates, template_folders
from orchestra.errors import BlueprintError, Problem

BLUEPRINT = "version: 1\nname: f\ntemplates:\n  OUT.md: t/out.j2\nagents:\n  - {name: api, task: x}\n"


def problems(folder: Path, **templates: str) -> tuple[Problem, ...]:
    (folder / "t").mkdir()
    for name, text in templates.items():
        (folder / "t" / f"{name}.j2").write_text(text, encoding="utf-8")
    file = folder / "blueprint.yaml"
    file.write_text(BLUEPRINT)
    try:
        load_blueprint(file)
    except BlueprintError as error:
        return error.problems
    return ()


def test_templates_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    pack = tmp_path / "packs"
    (pack / "t").mkdir(parents=True)
    (pack / "t" / "a.j2").write_text("x")
    (pack / "p.yaml").write_text("templates: {A.md: t/a.j2}\n")
    file = tmp_path / "blueprint.yaml"
    file.write_text("version: 1\nname: f\nextends: packs/p\nagents:\n  - {name: api, task: x}\n")
    assert load_blueprint(file).templates == {"A.md": pack / "t" / "a.j2"}


def test_what_is_known_may_be_named(tmp_path: Path) -> None:
    text = "".join(f"{{{{ {name} }}}}\n" for name in RENDER_VARIABLES)
    text += "".join(f"{{{{ agent.{name} }}}}\n" for name in AGENT_ATTRIBUTES)
    assert not problems(tmp_path, out=text)


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("a\n{{ agnt.name }}", 2, 'undefined variable "agnt"', 'did you mean "agent"?'),
        ("a\n\n{{ agent.titel }}", 3, 'undefined variable "agent.titel"', 'did you mean "title"?'),
        ("{% if x %}", 1, "the template does not parse: Unexpected end of template", None),
        ("{{ agent.name | uper }}", 1, "the template does not parse: No filter named 'uper'", 'did you mean "upper"?'),
        ("\n{% include 'gone.j2' %}", 2, 'template "gone.j2" not found', None),
        ("{% extends 'CLAUDE.md.j3' %}", 1, 'template "CLAUDE.md.j3" not found', 'did you mean "CLAUDE.md.j2"?'),
        ("{{ " + "(" * 5000 + " }}", 1, "the template is nested too deep", None),
    ],
)
def test_a_wrong_template_is_reported_at_its_line(
    tmp_path: Path, text: str, line: int, message: str, hint: str | None
) -> None:
    (problem,) = problems(tmp_path, out=text)
    assert problem.file == tmp_path / "t" / "out.j2"
    assert (problem.line, problem.message[: len(message)]) == (line, message)
    assert hint is None or problem.hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "{% extends 'CLAUDE.md.j2' %}",
        "{% for other in agent.neighbours %}{{ other.name }}{{ loop.index }}{% endfor %}",
        "{% set mine = fleet %}{{ mine }}",
        "{% if fleet %}{% set mine = fleet %}{% endif %}{{ mine }}",
        "{% for n in agent.neighbours %}{% block row scoped %}{{ n.name }}{% endblock %}{% endfor %}",
        "{% include 'gone.j2' ignore missing %}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) }}",
        "{% for i in range(99999999999) %}{% for j in range(99999999999) %}x{% endfor %}{% endfor %}",
    ],
)
def test_what_jinja_can_do_is_allowed_and_not_run(tmp_path: Path, text: str) -> None:
    assert not problems(tmp_path, out=text)


def test_includes_are_followed_and_may_use_loop_variables(tmp_path: Path) -> None:
    assert not problems(
        tmp_path, out="{% for n in agent.neighbours %}{% include 'row.j2' %}{% endfor %}", row="{{ n }}"
    )


def test_a_fault_in_an_included_file_is_reported_there(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, out="{% include 'row.j2' %}", row="one\n{% endif %}")
    assert (problem.file.name, problem.line) == ("row.j2", 2)


def test_templates_that_include_each_other_end(tmp_path: Path) -> None:
    assert not problems(tmp_path, out="{% include 'row.j2' %}", row="{% include 'out.j2' %}")


def test_a_template_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "out.j2").write_bytes(b"caf\xe9")
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    with pytest.raises(BlueprintError) as raised:
        load_blueprint(tmp_path / "blueprint.yaml")
    assert [problem.message for problem in raised.value.problems] == ["byte 0xe9 is not UTF-8"]


def test_shipped_templates_come_first() -> None:
    """So that a team's CLAUDE.md.j2 can extend the shipped one of that name."""
    assert template_folders(Path("/team/CLAUDE.md.j2")) == (shipped_templates(), Path("/team"))
    assert (shipped_templates() / "CLAUDE.md.j2").is_file()


@pytest.mark.parametrize("file", sorted(shipped_templates().glob("*.j2")), ids=lambda file: file.name)
def test_the_shipped_templates_keep_to_what_is_known(tmp_path: Path, file: Path) -> None:
    assert not problems(tmp_path, out=file.read_text(encoding="utf-8"))
