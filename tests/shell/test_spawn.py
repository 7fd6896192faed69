"""``orchestrate.sh`` makes what ``orchestra spawn`` makes, byte for byte, whatever the blueprint says."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.engine.local import LocalEngine
from orchestra.workspace.spawn import spawn
from tests.conftest import Checkout
from tests.shell.shells import SHELLS, run
from tests.shell.snapshots import RepositoryTemplate, Start, snapshot

PLAIN = """\
version: 1
name: plain
target: main
worktrees:
  setup:
    run: ['printf "%s\\n" "$PORT $ORCHESTRA_AGENT $ORCHESTRA_WORKTREE $WHERE" >made', "true"]
    env: {PORT: "{{ 3000 + agent.number }}", WHERE: "{{ repo }}/x"}
protected: [package.json]
gates:
  tests: {run: "true"}
agents:
  - {name: one, task: "Do one.", scope: ["src/**"]}
  - {name: two, task: "Do two.", may_edit: [package.json]}
"""
HOSTILE_TEXT = (
    "'\"$HOME `id` $(id) \\ =ls ~ * ? [a] {a,b} !! # \t\u00e9\u4e2d\U0001f600 %s \\n -n EOF\nEND_OF_TEXT\n--\n\r"
)


def hostile() -> str:
    """A blueprint whose every free value tries to be something else to a shell, to sed, to git or to YAML."""
    import json

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False).replace("\r", "\\r")

    agents = [
        {
            "name": "A.b-c_9",
            "title": HOSTILE_TEXT.replace("\n", " "),
            "task": HOSTILE_TEXT,
            "done_when": [HOSTILE_TEXT],
        },
        {"name": "big", "task": "x" * 199_990 + "\n'"},
        {"name": "end", "task": "END_OF_TEXT\nEND_OF_TEXT_2\n@TARGET@ @STANDARDS@\n$(touch oops)\n"},
    ]
    return "\n".join(
        (
            "version: 1",
            "name: h.0",
            f"title: {text(HOSTILE_TEXT)}",
            f"standards: {{ {text('$(id) ' + chr(39))}: [{text(HOSTILE_TEXT)}] }}",
            f"never: [{text(HOSTILE_TEXT)}]",
            "worktrees:",
            f"  root: {text('../w $x ' + chr(39) + ' `y` é')}",
            f"  directory: {text(chr(39) + '$d `e` -{{ agent.number }}')}",
            '  branch: "é\'$x/{{ agent.name }}"',
            "  setup:",
            f"    run: [{text('printf %s ' + chr(34) + '$V' + chr(34) + ' >made')}]",
            f"    env: {{V: {text(HOSTILE_TEXT.replace('{', '').replace('}', ''))}}}",
            "agents:",
            *(f"  - {text(agent)}" for agent in agents),
            "",
        )
    )


def make_start(checkout: Checkout) -> None:
    checkout.commit(
        "start", {"README.md": "# a\n", ".gitignore": ".env\nnode_modules\n*.local\nmade\n", "src/a": "a\n"}
    )
    checkout.write({".env": "S=1\n", "conf/a b.local": "1\n", "node_modules/m/index.js": "m\n"})


def make_start_with_claude_md(checkout: Checkout) -> None:
    make_start(checkout)
    checkout.commit("ours", {"CLAUDE.md": "the team's\n", "run.sh": "#!/bin/sh\n", "t/\u00e9 '\"$x": "odd\n"})
    (checkout.path / "link").symlink_to("README.md")
    checkout.commit("a link")


def by_tool(template: RepositoryTemplate) -> object:
    with LocalEngine(2) as engine:
        report = spawn(template.fleet(template.create()), engine=engine)
    assert not report.not_ready
    return snapshot(template.folder)


def by_script(template: RepositoryTemplate, shell: str) -> object:
    checkout = template.create()
    done = run(shell, template.script(checkout, "orchestrate.sh"), cwd=checkout.path)
    assert not done.err
    return snapshot(template.folder)


@pytest.mark.parametrize("start", [make_start, make_start_with_claude_md], ids=["plain", "own-claude-md"])
def test_script_and_tool_make_the_same(tmp_path: Path, start: Start) -> None:
    template = RepositoryTemplate(tmp_path / "twin 'a' $b", PLAIN, start)
    assert by_script(template, "sh") == by_tool(template)


SHIPPED = ("mvp5", "production15", "enterprise50", "mixed50", "refactor6")


@pytest.mark.parametrize("name", SHIPPED)
def test_script_and_tool_make_the_same_of_what_is_shipped(tmp_path: Path, name: str) -> None:
    """With their own set-up left out: it installs packages, which needs a registry."""
    shipped = f"version: 1\nextends: [{name}]\nrequires: []\nworktrees: {{setup: {{run: [], copy: [], share: []}}}}\n"
    template = RepositoryTemplate(tmp_path / "twin", shipped, make_start)
    assert by_script(template, "sh") == by_tool(template)


@pytest.fixture(scope="module")
def hostile_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[RepositoryTemplate, object]:
    """The hostile blueprint, and what the tool made of it."""
    template = RepositoryTemplate(
        tmp_path_factory.mktemp("twin") / "it's `$here`", hostile(), make_start_with_claude_md
    )
    return template, by_tool(template)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_makes_the_same_of_a_hostile_blueprint(
    hostile_template: tuple[RepositoryTemplate, object], shell: str
) -> None:
    template, made = hostile_template
    assert by_script(template, shell) == made
