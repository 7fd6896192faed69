"""What an editor shows of a blueprint: squiggles, hovers and completions, by the server that editors run for YAML.

Each file names the schema as ``init`` and the shipped blueprints do, by the comment in its first line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.context import Context

from orchestra.blueprint.catalog import shipped_blueprints
from orchestra.blueprint.load import load_blueprint
from orchestra.cli.json_schema_command import json_schema
from orchestra.errors import BlueprintError
from orchestra.scaffold.init import init_files, write
from tests.editor.conftest import program
from tests.editor.language_server import LanguageServer, Squiggle

MODELINES = "# yaml-language-server: $schema=../.orchestra/blueprint.schema.json\n"
TOP = "version: 1\nname: shop\n"
AGENTS = "agents:\n  - name: api\n    task: Build it.\n"
SHIPPED = sorted((*shipped_blueprints().glob("*.yaml"), *shipped_blueprints().glob("standards/*.yaml")))
MARK = "§"
EXTENDING = """\
extends: [base]
x-anchors: &ours ["src/**"]
gates:
  types: null
standards:
  Old rules:
  New rules: !append ["Write tests"]
never: !append
  - "Touch production"
agents:
  - name: api
    task: "Build {{ .Values.port }}"
    scope: *ours
    done_when: !append ["It answers"]
"""


@pytest.fixture
def blueprints(tmp_path: Path) -> Path:
    """A repository's ``blueprints/``, with the schema where ``schema --write`` puts it."""
    json_schema(Context(), write=str(tmp_path / ".orchestra" / "blueprint.schema.json"))
    (tmp_path / "blueprints").mkdir()
    return tmp_path / "blueprints"


def said_by_validate(file: Path) -> tuple[int, int]:
    with pytest.raises(BlueprintError) as refused:
        load_blueprint(file)
    [problem] = refused.value.problems
    return problem.line, problem.column


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(shipped_blueprints())))
def test_nothing_is_underlined_in_what_ships(server: LanguageServer, file: Path) -> None:
    assert server.open(file) == []


def test_nothing_is_underlined_in_what_init_writes(server: LanguageServer, tmp_path: Path) -> None:
    proposed = init_files(tmp_path, ["package.json", "src/a.ts", "docs/b.md"])
    write(proposed)
    assert server.open(tmp_path / proposed.blueprint) == []
    assert "#### a name" in server.hover(tmp_path / proposed.blueprint, line_of(tmp_path / proposed.blueprint), 2)


def line_of(file: Path) -> int:
    return next(n for n, line in enumerate(file.read_text().splitlines(), 1) if line.startswith("name:"))


def test_nothing_is_underlined_in_composition(server: LanguageServer, blueprints: Path) -> None:
    """null takes away, !append appends, x- keys are anyone's, anchors are the language's."""
    file = blueprints / "mine.yaml"
    assert server.open(file, MODELINES + TOP + EXTENDING) == []


def test_without_the_setting_that_init_writes_append_is_an_error(blueprints: Path) -> None:
    """Why ``init`` writes it; the day that this fails it can go."""
    bare = LanguageServer(program(), {})
    try:
        found = bare.open(blueprints / "mine.yaml", MODELINES + TOP + EXTENDING)
    finally:
        bare.close()
    assert {one.message for one in found} == {"Unresolved tag: !append"}


MISTAKES = {
    "a mistyped key": ("protcted: [package.json]\n" + AGENTS, "Property protcted is not allowed."),
    "a value that is none": (
        "merge: {strategy: squish}\n" + AGENTS,
        'Value is not accepted. Valid values: "rebase", "squash", "merge".',
    ),
    "a text in place of a list": (AGENTS + "    done_when: It works\n", 'Incorrect type. Expected "array".'),
    "a command in place of a gate": (
        'gates: {tests: "npm test"}\n' + AGENTS,
        'Must be {run: "npm test"} or {builtin: scope}; null removes an inherited gate.',
    ),
    "a duration in words": (
        'gates: {tests: {run: "npm test", timeout: 15 minutes}}\n' + AGENTS,
        "Must be a duration: 90s, 15m, 1h30m, 2d, or a number of seconds.",
    ),
    "an agent without a task": ("agents:\n  - name: api\n", 'Missing property "task".'),
    "yes in place of true": ("merge: {push: yes}\n" + AGENTS, 'Incorrect type. Expected "boolean".'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_underlined_where_validate_finds_it(
    server: LanguageServer, blueprints: Path, mistake: str
) -> None:
    text, message = MISTAKES[mistake]
    file = blueprints / "mine.yaml"
    file.write_text(MODELINES + TOP + text)
    [found] = server.open(file)
    assert (found.kind, found.message) == ("error", message)
    assert (found.line, found.column) == said_by_validate(file)


def test_keys_that_do_not_go_together(server: LanguageServer, blueprints: Path) -> None:
    gates = 'gates: {tests: {run: "npm test", builtin: scope}}\n'
    found = server.open(blueprints / "mine.yaml", MODELINES + TOP + gates + AGENTS)
    assert found == [Squiggle(4, 17, (4, 20), "error", "Property run is not allowed.")]


HOVERS = {
    "stages: [a]": "The layers of the merge order, first to last.",
    "overlap: warn": "What happens when two agents' scopes share a path. Default: warn.\n\n"
    "Allowed Values:\n\n"
    "* `warn`: plan reports each pair, with a path that is in both scopes.\n"
    "* `allow`: Overlaps are not checked.\n"
    "* `error`: plan reports it, and spawn refuses to start.",
    "gates: {tests: {run: x}}": "Checks that must pass on the candidate, in this order.",
}


@pytest.mark.parametrize("line", HOVERS)
def test_hovering_over_a_key_explains_it(server: LanguageServer, blueprints: Path, line: str) -> None:
    file = blueprints / "mine.yaml"
    server.open(file, f"{MODELINES}{TOP}{line}\n{AGENTS}")
    shown = server.hover(file, 4, 2)
    assert shown.startswith(HOVERS[line]), "the explanation comes first: no title above it, nothing twice"
    assert "Example:\n\n```yaml\n" in shown


def test_hovering_over_an_agents_keys(server: LanguageServer, blueprints: Path) -> None:
    file = blueprints / "mine.yaml"
    server.open(file, f"{MODELINES}{TOP}{AGENTS}    merge_after: [db]\n    scope: [src]\n")
    assert server.hover(file, 6, 6).startswith("The assignment, in Markdown; it becomes TASK.md.")
    assert server.hover(file, 7, 6).startswith("Agents that must land before this one")
    assert "a plain path means that file or everything below that folder" in server.hover(file, 8, 6)


CHOICES = {
    f"overlap: {MARK}\n{AGENTS}": {"allow", "warn", "error"},
    f"runner:\n  kind: {MARK}\n{AGENTS}": {"claude", "codex", "gemini", "opencode", "qwen", "command", "none"},
    f"runner:\n  mode: {MARK}\n{AGENTS}": {"headless", "tmux"},
    f"gates:\n  mine:\n    builtin: {MARK}\n{AGENTS}": {
        "scope",
        "notes",
        "secrets",
        "dependencies",
        "tests-kept",
        "commits",
    },
    f"gates:\n  mine:\n    builtin: scope\n    policy: {MARK}\n{AGENTS}": {"warn", "justify", "block"},
    f"gates:\n  mine:\n    builtin: tests-kept\n    untested: {MARK}\n{AGENTS}": {"ignore", "warn", "block"},
    f"merge:\n  review: {MARK}\n{AGENTS}": {"required", "none"},
    f"merge:\n  strategy: {MARK}\n{AGENTS}": {"rebase", "squash", "merge"},
    f"merge:\n  train: {MARK}\n{AGENTS}": {"auto", "serial", "speculative", "batch"},
    f"merge:\n  guarantee: {MARK}\n{AGENTS}": {"tip-green", "step-green"},
    f"merge:\n  proposals:\n    - {MARK}\n{AGENTS}": {"rerere", "mergiraf"},
}


def completed(server: LanguageServer, file: Path, text: str) -> dict[str, dict[str, object]]:
    """What is offered at the mark, by label; the tag !append is offered everywhere."""
    at = text.index(MARK)
    line, column = text.count("\n", 0, at) + 4, at - text.rfind("\n", 0, at)
    server.open(file, MODELINES + TOP + text.replace(MARK, ""))
    return {str(one["label"]): one for one in server.complete(file, line, column) if one["label"] != "!append"}


@pytest.mark.parametrize("text", CHOICES, ids=lambda text: text.split(MARK)[0].split()[-1].rstrip(":"))
def test_choices_are_offered_each_with_its_meaning(server: LanguageServer, blueprints: Path, text: str) -> None:
    offered = completed(server, blueprints / "mine.yaml", text)
    assert set(offered) == CHOICES[text]
    meanings = [one["documentation"] for one in offered.values()]
    assert all(meanings)
    assert len(meanings) == 1 or set(map(str, meanings)) != {str(meanings[0])}


def test_keys_are_offered(server: LanguageServer, blueprints: Path) -> None:
    top = set(completed(server, blueprints / "mine.yaml", AGENTS + MARK))
    assert {"description", "extends", "gates", "merge", "profiles", "protected", "stages", "target", "worktrees"} <= top
    agent = set(completed(server, blueprints / "mine.yaml", f"{AGENTS}    {MARK}\n"))
    assert agent == {"done_when", "from", "may_edit", "merge_after", "runner", "scope", "stage", "title", "with"}
    gate = set(completed(server, blueprints / "mine.yaml", f"gates:\n  tests:\n    {MARK}\n{AGENTS}"))
    assert gate == {
        "run",
        "shell",
        "builtin",
        "timeout",
        "when",
        "inputs",
        "retries",
        "junit",
        "env",
        "policy",
        "untested",
    }


def test_an_agents_runner_is_completed_without_undoing_the_fleets(server: LanguageServer, blueprints: Path) -> None:
    offered = completed(server, blueprints / "mine.yaml", f"runner: {{mode: tmux}}\n{AGENTS}    {MARK}\n")
    assert "headless" not in str(offered["runner"])


@pytest.mark.parametrize("place", [f"merge:\n  conflicts:\n    a.md: {MARK}\n{AGENTS}", f"{AGENTS}    scope: {MARK}\n"])
def test_what_is_offered_has_names(server: LanguageServer, blueprints: Path, place: str) -> None:
    offered = completed(server, blueprints / "mine.yaml", place)
    assert offered
    assert "[object Object]" not in offered
