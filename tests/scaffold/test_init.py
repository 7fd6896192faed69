"""``init`` end to end: what it writes loads, plans clean, and changes nothing that was there."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Blueprint, Regenerate, RunGate
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.finding import Code, Severity
from orchestra.plan.plan import plan
from orchestra.scaffold.areas import propose_areas
from orchestra.scaffold.detect import detect, slug
from orchestra.scaffold.init import InitPlan, init_files, write
from tests.conftest import Checkout, MakeRepository

SAMPLE: Mapping[str, str] = {
    "package.json": json.dumps({"name": "shop", "scripts": {"test": "node --test", "lint": "node lint.js"}}),
    "package-lock.json": "{}",
    "CHANGELOG.md": "",
    ".github/workflows/ci.yml": "",
    **{f"src/{part}/m{n}.ts": "" for part in ("api", "orders", "stock") for n in range(9)},
    "test/api/a.test.ts": "",
    "docs/guide.md": "",
    "Dockerfile": "",
}


@pytest.fixture
def sample(make_repository: MakeRepository) -> Checkout:
    return make_repository(SAMPLE)


def initialised(root: Path, tracked: list[str], *, invoke: bool = False) -> tuple[InitPlan, Blueprint]:
    proposed = init_files(root, tracked, invoke=invoke)
    write(proposed)
    return proposed, load_blueprint(root / proposed.blueprint)


def test_what_is_written_says_what_was_found(sample: Checkout) -> None:
    (sample.path / ".env").write_text("SECRET=1")
    _, blueprint = initialised(sample.path, list(SAMPLE))
    scopes = {agent.name: agent.scope.include for agent in blueprint.agents if agent.scope}
    assert scopes == {
        "api": ("src/api/**", "test/api/**"),
        "orders": ("src/orders/**",),
        "stock": ("src/stock/**",),
    }
    text = (sample.path / "blueprints/shop.yaml").read_text()
    assert "  # EDIT: 2 files are in no agent's scope (Dockerfile, docs/guide.md)." in text
    assert blueprint.limits.gates == 1
    assert list(blueprint.gates) == ["scope", "notes", "lint", "tests"]
    tests = blueprint.gates["tests"]
    assert isinstance(tests, RunGate)
    assert (tests.run, tests.timeout_s, dict(tests.env)) == ("npm test", 900, {"CI": "true"})
    assert blueprint.worktrees.setup.run == ("npm ci --prefer-offline --no-audit --no-fund",)
    assert blueprint.worktrees.setup.copy == (".env",)
    assert isinstance(blueprint.merge.conflicts["package-lock.json"], Regenerate)
    assert "CHANGELOG.md" in blueprint.merge.conflicts
    assert blueprint.protected == (".github/**", "**/package.json", "package-lock.json")
    assert blueprint.limits.budget_usd == 10 * len(blueprint.agents)


def test_every_agent_has_work_that_can_be_done_in_its_scope(sample: Checkout) -> None:
    _, blueprint = initialised(sample.path, list(SAMPLE))
    for agent in blueprint.agents:
        assert "**Goal.**" in agent.task
        assert "<<" not in agent.task + agent.title
        assert len(agent.done_when) >= 3
        assert agent.scope is not None


def test_the_plan_of_it_is_clean(sample: Checkout) -> None:
    """No error, no warning, but for what is not installed here."""
    _, blueprint = initialised(sample.path, list(SAMPLE))
    report = plan(make_fleet(Repository.discover(sample.path), blueprint))
    here = {
        Code.RUNNER_NOT_FOUND,
        Code.GATE_CANNOT_RUN,
        Code.SLOTS_EXCEED_CORES,
        Code.AGENTS_EXCEED_MEMORY,
        Code.DISK_TIGHT,
    }
    assert [f.message for f in report.findings if f.severity is not Severity.NOTE and f.code not in here] == []


def test_an_editor_shows_no_error_and_finds_the_schema(sample: Checkout) -> None:
    proposed, _ = initialised(sample.path, list(SAMPLE))
    file = sample.path / proposed.blueprint
    first, second = file.read_text().splitlines()[:2]
    assert first == "# yaml-language-server: $schema=../.orchestra/blueprint.schema.json"
    assert second == "# $schema: ../.orchestra/blueprint.schema.json"
    schema = json.loads((file.parent / "../.orchestra/blueprint.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(file.read_text()))) == []


def test_tasks_py_is_written_only_on_request(sample: Checkout) -> None:
    initialised(sample.path, list(SAMPLE))
    assert not (sample.path / "tasks.py").exists()
    initialised(sample.path, list(SAMPLE), invoke=True)
    assert "from orchestra.cli import ns\n" in (sample.path / "tasks.py").read_text()


def test_planning_writes_nothing(sample: Checkout) -> None:
    proposed = init_files(sample.path, list(SAMPLE))
    assert [str(file.path) for file in proposed.new] == [
        "blueprints/shop.yaml",
        ".orchestra/blueprint.schema.json",
        ".vscode/settings.json",
    ]
    assert sample.git("status", "--porcelain") == ""


def test_a_second_time_changes_nothing(sample: Checkout) -> None:
    proposed, _ = initialised(sample.path, list(SAMPLE))
    (sample.path / proposed.blueprint).write_text("mine")
    again = init_files(sample.path, list(SAMPLE))
    assert write(again) == ()
    assert {str(kept.path): kept.advice for kept in again.existing} == {
        "blueprints/shop.yaml": None,
        ".orchestra/blueprint.schema.json": None,
        ".vscode/settings.json": None,
    }
    assert (sample.path / proposed.blueprint).read_text() == "mine"


@pytest.mark.parametrize("there", ["tasks.py", "tasks/__init__.py"])
def test_tasks_of_somebody_elses_are_kept_with_a_word_on_what_is_missing(sample: Checkout, there: str) -> None:
    (sample.path / there).parent.mkdir(exist_ok=True)
    (sample.path / there).write_text("import invoke\n")
    proposed = init_files(sample.path, list(SAMPLE))
    assert [kept.advice for kept in proposed.existing] == ['for `inv` verbs, add "from orchestra.cli import ns"']
    assert PurePosixPath("tasks.py") not in [file.path for file in proposed.new]


def test_an_old_schema_is_kept_and_named(sample: Checkout) -> None:
    (sample.path / ".orchestra").mkdir()
    (sample.path / ".orchestra/blueprint.schema.json").write_text("{}")
    [kept] = init_files(sample.path, list(SAMPLE)).existing
    assert kept.advice == "`orchestra json-schema --write .orchestra/blueprint.schema.json` updates it"


def test_settings_of_ones_own_are_kept_with_the_line_that_is_missing(sample: Checkout) -> None:
    (sample.path / ".vscode").mkdir()
    (sample.path / ".vscode/settings.json").write_text("{}")
    [kept] = init_files(sample.path, list(SAMPLE)).existing
    assert kept.advice == 'so that VS Code accepts !append, add "yaml.customTags": ["!append sequence"]'


def test_a_dangling_link_is_left_alone(sample: Checkout) -> None:
    (sample.path / "tasks.py").symlink_to("nowhere.py")
    proposed = init_files(sample.path, list(SAMPLE), invoke=True)
    assert PurePosixPath("tasks.py") in [kept.path for kept in proposed.existing]


def test_a_file_that_appears_meanwhile_is_left_as_it_is(sample: Checkout) -> None:
    proposed = init_files(sample.path, list(SAMPLE), invoke=True)
    (sample.path / "tasks.py").write_text("mine")
    made = write(proposed)
    assert sample.path / "tasks.py" not in made
    assert (sample.path / "tasks.py").read_text() == "mine"
    assert sorted(path.name for path in sample.path.iterdir() if path.name.startswith(".t")) == []


def test_a_file_where_a_folder_has_to_be_is_a_clear_error(sample: Checkout) -> None:
    (sample.path / "blueprints").write_text("")
    with pytest.raises(GroundError, match=r"blueprints.*is not a folder"):
        write(init_files(sample.path, list(SAMPLE)))


@pytest.mark.parametrize("folder", ["blueprints", ".orchestra", ".vscode"])
def test_nothing_is_written_through_a_linked_folder(sample: Checkout, tmp_path: Path, folder: str) -> None:
    (tmp_path / "outside").mkdir()
    (sample.path / folder).symlink_to(tmp_path / "outside")
    with pytest.raises(GroundError, match=rf"{folder} is a symbolic link"):
        write(init_files(sample.path, list(SAMPLE)))
    assert list((tmp_path / "outside").iterdir()) == []


def test_pipes_do_not_hold_init_up(sample: Checkout) -> None:
    names = ["tasks.py", ".vscode/settings.json", ".orchestra/blueprint.schema.json", ".env", "Makefile", "setup.cfg"]
    for name in [*names, "package.json"]:
        path = sample.path / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    proposed, _ = initialised(sample.path, [*SAMPLE, *names], invoke=True)
    assert [str(file.path) for file in proposed.existing] == [
        ".orchestra/blueprint.schema.json",
        ".vscode/settings.json",
        "tasks.py",
    ]


def test_a_manifest_is_not_read_through_a_link(sample: Checkout, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "secret"}))
    (sample.path / "package.json").unlink()
    (sample.path / "package.json").symlink_to(tmp_path / "package.json")
    assert init_files(sample.path, list(SAMPLE)).blueprint.stem != "secret"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_clear_error(sample: Checkout) -> None:
    sample.path.chmod(0o500)
    try:
        with pytest.raises(GroundError, match="Permission denied"):
            write(init_files(sample.path, list(SAMPLE)))
    finally:
        sample.path.chmod(0o700)


def test_a_name_of_ones_own(sample: Checkout) -> None:
    proposed = init_files(sample.path, list(SAMPLE), name="mine")
    write(proposed)
    assert load_blueprint(sample.path / "blueprints/mine.yaml").name == "mine"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("archive", "is reserved"), ("Archive", "is reserved"), ("x.lock", "ends with .lock"), ("a/b", "is not a name")],
)
def test_a_name_that_validate_refuses_is_refused_before_anything_is_written(
    sample: Checkout, name: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        init_files(sample.path, list(SAMPLE), name=name)


def test_an_empty_repository_is_refused_with_the_shipped_fleets(tmp_path: Path) -> None:
    with pytest.raises(GroundError, match="has no source code that could be divided among agents") as refused:
        init_files(tmp_path, ["README.md"])
    assert "orchestra init --from=NAME" in str(refused.value.hint)
    assert "enterprise50, mixed50, mvp5, production15, refactor6" in str(refused.value.hint)


def test_a_repository_without_tests_gets_a_line_that_says_so(tmp_path: Path) -> None:
    proposed, blueprint = initialised(tmp_path, ["a.lua", "b.lua", "c.lua", "README.md"])
    assert list(blueprint.gates) == ["scope", "notes"]
    assert "EDIT: no test command was detected" in (tmp_path / proposed.blueprint).read_text()


def test_folders_named_like_a_command_give_agents_other_names(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    tracked = [f"{part}/m{n}.py" for part in ("worker", "status", "watch") for n in range(9)]
    _, blueprint = initialised(root, ["pyproject.toml", *tracked])
    assert {"worker-code", "status-code", "watch-code"} <= {agent.name for agent in blueprint.agents}
    assert blueprint.name == "fleet"


@pytest.mark.parametrize("word", ["null", "True", "no", "1e3", "007", "y"])
def test_words_that_yaml_takes_for_something_else_are_names(tmp_path: Path, word: str) -> None:
    root = tmp_path / word
    root.mkdir()
    _, blueprint = initialised(root, [f"{word}/{number}.py" for number in range(9)] + ["setup.py"])
    assert (blueprint.name, blueprint.agents[0].name) == (slug(word), slug(word))


@pytest.mark.parametrize("folder", ["a\nb", "a b", "[x]", "it's", "{a,b}", " lead", "$(x)", "# no", "ü", "\udcff"])
def test_a_stack_in_a_folder_with_an_odd_name(tmp_path: Path, folder: str) -> None:
    tracked = [f"{folder}/go.mod", f"{folder}/go.sum", *(f"{folder}/m{number}.go" for number in range(9))]
    tracked += [f"plain/m{number}.go" for number in range(9)]
    _, blueprint = initialised(tmp_path, tracked)
    for name, command in detect(tmp_path, tracked).gates.items():
        gate = blueprint.gates[name]
        assert isinstance(gate, RunGate)
        assert gate.run == command.run
        assert shlex.split(gate.run)[:3] == ["cd", folder, "&&"]


TEXT = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
PATHS = st.lists(TEXT.filter(lambda part: part not in (".", "..", ".git")), min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, max_size=25), TEXT)
def test_whatever_the_files_are_called_the_draft_loads(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str], name: str
) -> None:
    root = tmp_path_factory.mktemp("odd")
    (root / "package.json").write_text(json.dumps({"name": name, "scripts": {"test": "x"}}), encoding="utf-8")
    tracked = [*paths, "package.json", "lib/a.js"]
    areas = propose_areas(tracked, detect(root, tracked).suffixes)
    _, blueprint = initialised(root, tracked)
    assert [agent.scope.include for agent in blueprint.agents if agent.scope] == [area.include for area in areas]
