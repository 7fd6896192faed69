"""What an agent gets to read: golden files, shape, and templates of a team's own.

New golden files after a change that is meant: ORCHESTRA_GOLDEN=write pytest tests/workspace/test_render.py
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Blueprint
from orchestra.errors import BlueprintError
from orchestra.fleet import Fleet
from orchestra.gates.notes_gate import notes_filled
from orchestra.workspace.paths import InstructionNames
from orchestra.workspace.render import render_files
from tests.conftest import Checkout, MakeRepository

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = Path(__file__).resolve().parents[2] / "blueprints"
USUAL = InstructionNames("CLAUDE.md")


def fleet_of(blueprint: Blueprint, target: str = "main") -> Fleet:
    """A fleet for rendering alone, which asks no repository anything."""
    from orchestra.git.repository import Repository

    nowhere = Path("/nowhere")
    return Fleet(Repository(nowhere, nowhere, bare=True), blueprint, target, None)


def rendered(file: Path, agent: str, names: InstructionNames = USUAL) -> dict[str, str]:
    blueprint = load_blueprint(file, blueprint_paths=[SHIPPED])
    found = blueprint.agent(agent)
    assert found is not None
    return render_files(fleet_of(blueprint), found, names)


@pytest.mark.parametrize("agent", ["schema", "docs"])
def test_golden_files(agent: str) -> None:
    for name, text in rendered(GOLDEN / "fleet.yaml", agent).items():
        golden = GOLDEN / agent / name
        if os.environ.get("ORCHESTRA_GOLDEN") == "write":
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text, "utf-8")
        assert text == golden.read_text("utf-8"), golden
        check_shape(text.replace("\n\n\n", "\n\n", 1) if "two blank lines" in text else text)


@pytest.mark.parametrize("name", ["mvp5", "production15", "enterprise50", "mixed50", "refactor6"])
def test_every_shipped_assignment_reads_well(name: str) -> None:
    blueprint = load_blueprint(SHIPPED / f"{name}.yaml", blueprint_paths=[SHIPPED])
    for agent in blueprint.agents:
        files = render_files(fleet_of(blueprint), agent, USUAL)
        assert list(files) == ["CLAUDE.md", "TASK.md", "AGENT_NOTES.md"]
        for text in files.values():
            check_shape(text.replace(agent.task.strip("\n"), "The task."))
        assert agent.task.strip("\n") in files["TASK.md"]
        assert f"`{agent.branch}`" in files["CLAUDE.md"]
        assert not notes_filled(files["AGENT_NOTES.md"])
        assert len(files["CLAUDE.md"]) < 16_000
        assert files["TASK.md"].count("- [ ]") >= 3


def check_shape(text: str) -> None:
    """One newline at the end, one blank line between paragraphs, no heading with nothing below it."""
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    lines = [line for line in re.sub(r"```.*?```", "code", text, flags=re.DOTALL).splitlines() if line.strip()]
    for line, following in zip(lines, [*lines[1:], "# end"], strict=True):
        if line.startswith("#") and following.startswith("#"):
            assert len(following) - len(following.lstrip("#")) > len(line) - len(line.lstrip("#")), (line, following)


def test_the_local_name_is_the_one_that_agents_read_about() -> None:
    files = rendered(GOLDEN / "fleet.yaml", "schema", InstructionNames("CLAUDE.local.md"))
    assert "CLAUDE.local.md" in files
    assert "CLAUDE.md" not in files
    assert "commands in `CLAUDE.local.md` pass" in files["TASK.md"]


def test_task_text_and_standards_are_literal() -> None:
    files = rendered(GOLDEN / "fleet.yaml", "schema")
    assert "value: {{ .Values.name }}\n\n\nafter: two blank lines" in files["TASK.md"]
    assert "Braces such as {{ this }} and {% that %} are text here." in files["CLAUDE.md"]


def test_big_fleets_name_only_who_matters() -> None:
    text = rendered(SHIPPED / "enterprise50.yaml", "1")["TASK.md"]
    section = text.partition("## Your neighbours")[2].partition("## Before you stop")[0]
    assert 0 < section.count("\n- `") < 30


def test_a_neighbour_that_has_the_rest_does_not_look_as_if_it_had_all(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    parts = ", ".join(f"p{number}/**" for number in range(8))
    agents = f"agents:\n  - {{name: rest, task: x, scope: {{include: ['**'], exclude: [{parts}]}}}}\n"
    file.write_text(f"version: 1\nname: f\n{agents}  - {{name: one, task: x, scope: [p0/**]}}\n")
    assert (
        "- `rest`, rest: `**`, except `p0/**`, `p1/**`, `p2/**`, `p3/**`, `p4/**`, `p5/**` and 2 more\n"
        in (rendered(file, "one")["TASK.md"])
    )


# -- a team's own templates ------------------------------------------------------------------------------------------


def own(tmp_path: Path, **templates: str) -> Path:
    """A blueprint beside template files, given as ``CLAUDE_md="text"``."""
    names = {key.replace("_md", ".md").replace("_json", ".json"): text for key, text in templates.items()}
    (tmp_path / "t").mkdir(exist_ok=True)
    for name, text in names.items():
        (tmp_path / "t" / f"{name}.j2").write_text(text, "utf-8")
    lines = "".join(f'  "{name}": "t/{name}.j2"\n' for name in names)
    file = tmp_path / "own.yaml"
    file.write_text(
        f'version: 1\nname: own\ntitle: Own\ntemplates:\n{lines}agents:\n  - {{name: one, task: "do {{{{ it }}}}"}}\n'
    )
    return file


def test_a_team_changes_one_block(tmp_path: Path) -> None:
    file = own(
        tmp_path,
        CLAUDE_md='{% extends "CLAUDE.md.j2" %}\n'
        "{% block never %}\n## House rules\n\n- Ask {{ agent.title }}\n\n{% endblock %}\n",
    )
    text = rendered(file, "one")["CLAUDE.md"]
    assert "## House rules\n\n- Ask one\n" in text
    assert "## How you work" in text
    assert "## Never" not in text


def test_further_files_keep_their_bytes(tmp_path: Path) -> None:
    source = '{"a": "{{ agent.name }}",\n\n\n\n "worktree": "{{ agent.directory }}"}\n'
    blueprint = load_blueprint(own(tmp_path, mcp_json=source))
    files = render_files(fleet_of(blueprint), blueprint.agents[0], InstructionNames("CLAUDE.md", further=("mcp.json",)))
    assert files["mcp.json"] == '{"a": "one",\n\n\n\n "worktree": "agent-1"}\n'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ agent.name }}\n{% for n in stages %}{% endfor %}\n{{ [1][3] }}", ":3:1: the template cannot be rendered"),
        ("a\n{{ agent.__class__.__mro__ }}", "cannot be rendered|undefined variable"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxx{% endfor %}{% endfor %}", "writes more than"),
        ("x\n{% include 'CLAUDE.md.j2' %}\n{{ 1 / 0 }}", ":3:1: the template cannot be rendered: division by zero"),
    ],
)
def test_a_template_that_cannot_be_rendered_says_where(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(BlueprintError, match=message) as wrong:
        rendered(own(tmp_path, TASK_md=template), "one")
    assert str(tmp_path / "t" / "TASK.md.j2") in str(wrong.value)


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    file = own(tmp_path, TASK_md="a\n{% include 'part.j2' %}\n")
    (tmp_path / "t" / "part.j2").write_text("\n\n{{ agent.scope.include }}\n")
    with pytest.raises(BlueprintError, match=r"part\.j2:3:1: the template cannot be rendered"):
        rendered(file, "one")


def test_a_template_that_is_gone_since_validation(tmp_path: Path) -> None:
    file = own(tmp_path, TASK_md="x")
    blueprint = load_blueprint(file)
    (tmp_path / "t" / "TASK.md.j2").unlink()
    with pytest.raises(BlueprintError, match="cannot be read"):
        render_files(fleet_of(blueprint), blueprint.agents[0], USUAL)


# -- notes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def form() -> str:
    return rendered(GOLDEN / "fleet.yaml", "schema")["AGENT_NOTES.md"]


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("", False),
        ("\n\n   \n", False),
        ("None.", True),
        ("none", False),
        ("- n/a", False),
        ("**TBD**", False),
        ("...", False),
        ("<!-- still a comment -->", False),
        ("- The tables, see `db/`.", True),
        ("ok", True),
    ],
)
def test_what_counts_as_filled_in(form: str, written: str, filled: bool) -> None:
    text = form.replace("## Key Decisions", f"{written}\n\n## Key Decisions")
    assert notes_filled(text) is (filled and written != "None.")


def test_other_sections_do_not_stand_in_for_what_was_built(form: str) -> None:
    assert not notes_filled(form + "\nSomething is unclear.\n")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", False),
        ("# Notes\n", False),
        ("# Notes\n\nI built it all.\n", True),
        ("## WHAT I BUILT:\n\nAll of it.\n", True),
        ("## What I Built\n\n## Key Decisions\n\nMany.\n", False),
        ("<!-- never closed", True),
    ],
)
def test_notes_of_another_shape(text: str, filled: bool) -> None:
    assert notes_filled(text) is filled


def test_a_form_of_the_teams_own() -> None:
    own_form = "# Report\nDescribe your change below.\n"
    assert not notes_filled(own_form, own_form)
    assert notes_filled(own_form + "It is done.\n", own_form)


@given(st.text(alphabet="<!-> #\nab-", max_size=400))
def test_any_text_has_an_answer(text: str) -> None:
    assert notes_filled(text) in (True, False)


def test_a_megabyte_of_comment_openings_takes_no_time() -> None:
    assert notes_filled("<!--" * 250_000)


def test_a_real_repository_with_its_own_claude_md(make_repository: MakeRepository) -> None:
    from orchestra.git.repository import Repository
    from orchestra.workspace.paths import instruction_names

    blueprint = load_blueprint(GOLDEN / "fleet.yaml")
    plain = make_repository()
    tracking: Checkout = make_repository({"CLAUDE.md": "ours\n", "sub/CLAUDE.md": "x"}, name="tracking")
    deep = make_repository({"sub/CLAUDE.md": "x"}, name="deep")
    found = []
    for checkout in (plain, tracking, deep):
        opened = Repository.discover(checkout.path)
        found.append(instruction_names(opened, blueprint, opened.require_commit("HEAD")))
    assert [names.standards for names in found] == ["CLAUDE.md", "CLAUDE.local.md", "CLAUDE.md"]
    assert found[1].all == {"CLAUDE.local.md", "TASK.md", "AGENT_NOTES.md"}
