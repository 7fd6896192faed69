"""Loading: what is declared is what the model holds; names mean files; everything wrong comes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.blueprint import model
from orchestra.blueprint.catalog import shipped_blueprints, shipped_data_folder
from orchestra.blueprint.load import find_blueprint, list_blueprints, load_blueprint, resolved
from orchestra.blueprint.model import Blueprint
from orchestra.blueprint.problems import MOST_PROBLEMS
from orchestra.errors import BlueprintError, UsageError

SMALL = "version: 1\nname: f\nagents:\n  - {name: api, task: Build it.}\n"
WHOLE = """\
version: 1
name: mvp5
title: 5-agent MVP
description: A small service.
target: main
remote: upstream
overlap: error
worktrees:
  root: ../trees
  directory: "w/{{ '%02d' | format(agent.number) }}-{{ agent.name }}"
  branch: "work/{{ fleet }}/{{ agent.name | upper }}"
  setup:
    copy: [".env"]
    share: [node_modules]
    run: ["npm ci"]
    teardown: ["docker compose down"]
    env: {PORT: "{{ 3000 + agent.number }}", VERSION: 1.10, DEBUG: true, ROOT: "{{ worktree }}/{{ repo }}"}
    timeout: 1h30m
standards:
  Code conventions: ["TypeScript with strict mode"]
never: ["Commit secrets"]
requires: [package.json, "src/**"]
protected: [package.json]
stages: [infrastructure, services]
gates:
  tests: {run: "npm test", timeout: 90, retries: 2, env: {CI: true}}
  truth: {run: true}
  scope: {builtin: scope, policy: justify}
runner:
  kind: command
  mode: tmux
  command: [codex, exec, "{prompt}", "--name={{ agent.name }}"]
  resume: [codex, resume, "{session_id}"]
  allow: ["Bash(docker compose *)", WebSearch]
  model: 4
  max_turns: 10
  max_budget_usd: 2.5
  timeout: 2h
  env: {A: "1", B: "2"}
limits: {agents: 3, gates: 1, budget_usd: 50}
merge:
  review: none
  strategy: squash
  train: serial
  guarantee: step-green
  push: true
  conflicts:
    CHANGELOG.md: union
    db/schema.sql: forbid
    package-lock.json: {regenerate: "npm install --package-lock-only"}
  proposals: [rerere, mergiraf]
verdicts: {by-agents: allow}
agents:
  - name: api
    title: The API
    stage: services
    task: |
      Use {{ .Values.port }} and ${HOME}, as Helm does.
    done_when: ["It answers"]
    scope: {include: ["src/**"], exclude: ["src/db/**"]}
    may_edit: [package.json]
    runner: {kind: claude, env: {B: "3", C: "4"}, max_turns: 20}
  - name: db
    stage: infrastructure
    task: Build it.
    scope: ["db/**"]
  - name: docs
    task: Write it.
    merge_after: [api]
"""


def loaded(folder: Path, text: str, name: str = "blueprint.yaml") -> Blueprint:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load_blueprint(file)


def test_everything_that_is_declared_is_there(tmp_path: Path) -> None:
    blueprint = loaded(tmp_path, WHOLE)
    assert (blueprint.version, blueprint.name, blueprint.title) == (1, "mvp5", "5-agent MVP")
    assert (blueprint.description, blueprint.target, blueprint.remote) == ("A small service.", "main", "upstream")
    assert (blueprint.requires, blueprint.starter) == (("package.json", "src/**"), None)
    assert blueprint.overlap is model.Overlap.ERROR
    assert blueprint.worktrees.setup == model.Setup(
        copy=(".env",),
        share=("node_modules",),
        run=("npm ci",),
        teardown=("docker compose down",),
        env={
            "PORT": "{{ 3000 + agent.number }}",
            "VERSION": "1.10",
            "DEBUG": "true",
            "ROOT": "{{ worktree }}/{{ repo }}",
        },
        timeout_s=5400.0,
    )
    assert blueprint.standards == {"Code conventions": ("TypeScript with strict mode",)}
    assert (blueprint.never, blueprint.protected) == (("Commit secrets",), ("package.json",))
    assert list(blueprint.gates.values()) == [
        model.RunGate("tests", "npm test", timeout_s=90.0, retries=2, env={"CI": "true"}),
        model.RunGate("truth", "true"),
        model.BuiltinGate("scope", model.Builtin.SCOPE, model.Policy.JUSTIFY),
    ]
    assert blueprint.limits == model.Limits(agents=3, gates=1, budget_usd=50)
    assert blueprint.merge == model.Merge(
        review=model.Review.NONE,
        strategy=model.Strategy.SQUASH,
        train=model.Train.SERIAL,
        guarantee=model.Guarantee.STEP_GREEN,
        push=True,
        conflicts={
            "CHANGELOG.md": model.Union(),
            "db/schema.sql": model.Forbid(),
            "package-lock.json": model.Regenerate("npm install --package-lock-only"),
        },
        proposals=(model.Proposer.RERERE, model.Proposer.MERGIRAF),
    )
    assert blueprint.verdicts == model.Verdicts(model.ByAgents.ALLOW)


def test_agents_are_numbered_rendered_and_ordered(tmp_path: Path) -> None:
    blueprint = loaded(tmp_path, WHOLE)
    api, db, docs = blueprint.agents
    assert [agent.number for agent in blueprint.agents] == [1, 2, 3]
    assert (api.branch, api.directory) == ("work/mvp5/API", "w/01-api")
    assert api.task == "Use {{ .Values.port }} and ${HOME}, as Helm does.\n"
    assert api.scope == model.Scope(("src/**",), ("src/db/**",))
    assert (db.title, db.scope, docs.scope) == ("db", model.Scope(("db/**",)), None)
    assert blueprint.merge_order == ("db", "api", "docs")
    assert blueprint.predecessors == {"db": set(), "api": {"db"}, "docs": {"api", "db"}}
    assert blueprint.agent("2") is db and blueprint.agent("docs") is docs and blueprint.agent("4") is None


def test_an_agents_runner_is_laid_over_the_fleets_key_by_key(tmp_path: Path) -> None:
    blueprint = loaded(tmp_path, WHOLE)
    assert blueprint.agents[1].runner == blueprint.runner
    assert blueprint.runner.model == "4"
    assert blueprint.agents[0].runner == model.Runner(
        kind=model.RunnerKind.CLAUDE,
        mode=model.RunnerMode.TMUX,
        command=("codex", "exec", "{prompt}", "--name={{ agent.name }}"),
        resume=("codex", "resume", "{session_id}"),
        allow=("Bash(docker compose *)", "WebSearch"),
        model="4",
        max_turns=20,
        max_budget_usd=2.5,
        timeout_s=7200.0,
        env={"A": "1", "B": "3", "C": "4"},
    )


def test_what_is_left_out_has_the_models_defaults(tmp_path: Path) -> None:
    blueprint = loaded(tmp_path, SMALL)
    assert blueprint.worktrees == model.Worktrees()
    assert blueprint.runner == blueprint.agents[0].runner == model.Runner()
    assert (blueprint.limits, blueprint.merge, blueprint.overlap) == (model.Limits(), model.Merge(), model.Overlap.WARN)
    assert (blueprint.title, blueprint.description, blueprint.target, blueprint.remote) == ("f", "", None, None)
    assert (blueprint.gates, blueprint.templates, blueprint.standards) == ({}, {}, {})
    assert (blueprint.agents[0].branch, blueprint.agents[0].directory) == ("agent/f/api", "agent-1")


def test_origins_say_where_each_value_was_written(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("version: 1\nnever:\n  - Commit secrets\n")
    blueprint = loaded(tmp_path, f"{SMALL}extends: base\nnever: !append\n  - Skip tests\n")
    places = {path: (origin.file.name, origin.line) for path, origin in blueprint.origins.items()}
    assert places["never", 0] == ("base.yaml", 3)
    assert places["never", 1] == ("blueprint.yaml", 7)
    assert places["agents", 0, "name"] == ("blueprint.yaml", 4)
    assert blueprint.source == tmp_path / "blueprint.yaml"


def test_resolved_is_the_composed_document(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("version: 1\nprofiles:\n  p: {task: 'Build <<what>>.', with: {what: it}}\n")
    file = tmp_path / "blueprint.yaml"
    file.write_text("version: 1\nname: f\nextends: base\nx-mine: 1\nagents:\n  - {name: api, from: p}\n")
    found = resolved(file)
    assert found.document == {"version": 1, "name": "f", "agents": [{"task": "Build it.", "name": "api"}]}
    assert found.origins["agents", 0, "task"].file == tmp_path / "base.yaml"
    assert set(found.origins) == {
        ("version",),
        ("name",),
        ("agents",),
        ("agents", 0),
        ("agents", 0, "task"),
        ("agents", 0, "name"),
    }
    assert [path.name for path in found.files] == ["blueprint.yaml", "base.yaml"]


def test_problems_of_the_schema_and_of_the_checks_come_together(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as raised:
        loaded(tmp_path, f"{SMALL}  - {{name: api, tsak: x}}\nprotected: [/x]\nmerge: {{push: 1}}\n")
    assert [problem.line for problem in raised.value.problems] == [5, 5, 6, 7]


def test_what_is_quoted_is_one_visible_line(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as raised:
        loaded(tmp_path, f'{SMALL}stages: ["a\\nb\\e[31m", "a\\nb\\e[31m"]\n? {"k" * 5000}\n: 1\n')
    assert [problem.message[:60] for problem in raised.value.problems] == [
        'stages[1]: the stage "a\\nb\\x1b[31m" is declared twice',
        f'unknown key "{"k" * 40}..."',
    ]


def test_only_the_first_of_very_many_problems_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as raised:
        loaded(tmp_path, SMALL + "".join(f"k{number}: 1\n" for number in range(1000)))
    assert len(raised.value.problems) == MOST_PROBLEMS + 1
    assert raised.value.problems[-1].message == "and 800 more problems from here on"


# Names


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "blueprints"
    folder.mkdir()
    (folder / "mine.yaml").write_text(SMALL)
    (folder / "fragment.yaml").write_text("version: 1\nnever: [a]\n")
    (folder / "broken.yml").write_text(SMALL + "foo: bar\n")
    return tmp_path


def test_finds_the_repositorys_own_before_the_shipped(project: Path) -> None:
    assert find_blueprint("mine", project) == project / "blueprints" / "mine.yaml"
    assert find_blueprint("broken", project) == project / "blueprints" / "broken.yml"
    assert find_blueprint("mvp5", project) == shipped_blueprints() / "mvp5.yaml"
    (project / "blueprints" / "mvp5.yaml").write_text(SMALL)
    assert find_blueprint("mvp5", project) == project / "blueprints" / "mvp5.yaml"
    assert find_blueprint("mvp5", None) == shipped_blueprints() / "mvp5.yaml"


def test_finds_by_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "elsewhere.yaml"
    file.write_text(SMALL)
    assert find_blueprint(str(file), None) == file
    monkeypatch.chdir(project)
    assert find_blueprint("elsewhere.yaml", project) == Path("elsewhere.yaml")
    assert load_blueprint(Path("elsewhere.yaml")).source == file, "it will be read again, from another folder"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mpv5", 'did you mean "mvp5"?'),
        ("mnie", 'did you mean "mine"?'),
        ("typescript-servce", 'did you mean "standards/typescript-service"?'),
        ("./somewhere/mvp.yaml", 'did you mean "mvp5"?'),
    ],
)
def test_a_missing_blueprint_is_reported_with_the_nearest_name(project: Path, name: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_blueprint(name, project)
    assert (raised.value.message, raised.value.hint) == (f'no blueprint "{name}"', hint)


@pytest.mark.parametrize("name", ["", " ", "x" * 5000, "a\0b", "zzzzzzzz"])
def test_a_name_like_no_other_lists_what_there_is(project: Path, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_blueprint(name, project)
    assert raised.value.hint is not None and "mine" in raised.value.hint


def test_a_folder_is_reported_with_its_blueprints(project: Path) -> None:
    with pytest.raises(BlueprintError) as raised:
        load_blueprint(find_blueprint(str(project / "blueprints"), project))
    assert raised.value.problems[0].message == "is a folder, not a file"
    assert "mine.yaml" in str(raised.value.problems[0].hint)


def test_lists_what_can_be_named(project: Path) -> None:
    listed = {entry.name: entry for entry in list_blueprints(project)}
    assert {"mine", "broken", "mvp5"} <= set(listed)
    assert not {"fragment", "standards/typescript-service"} & set(listed), "fragments are only there to be extended"
    assert listed["mine"].blueprint is not None and not listed["mine"].shipped
    assert listed["broken"].blueprint is None
    assert [problem.message for problem in listed["broken"].problems] == ['unknown key "foo"']
    assert listed["mvp5"].shipped and listed["mvp5"].blueprint is not None


def test_the_shipped_data_is_there() -> None:
    assert (shipped_data_folder() / "schemas" / "blueprint.schema.json").is_file()
    assert (shipped_data_folder() / "blueprints" / "mvp5.yaml").is_file()


def test_loading_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import orchestra.blueprint.load, orchestra.blueprint.scope_overlap;"
        "sys.exit(str({'jsonschema', 'jinja2', 'git', 'rich', 'subprocess'} & set(sys.modules)) if"
        " {'jsonschema', 'jinja2', 'git', 'rich', 'subprocess'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_verb_is_refused_as_the_name_of_an_agent() -> None:
    from orchestra.blueprint.git_names import VERBS
    from orchestra.cli import ns

    assert set(ns.task_names) <= VERBS
