"""Settings of the Claude client that reach agents, as ``plan`` and ``doctor`` report them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.doctor import Level, examine
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.finding import Code, Finding, Severity
from orchestra.plan.plan import plan
from tests.conftest import Checkout, MakeRepository

AGENTS = """\
version: 1
name: demo
target: main
agents:
  - {name: api, task: x, scope: [src/api/**]}
  - {name: db, task: x, scope: [src/db/**]}
"""
FILES = {"src/api/a.ts": "", "src/api/.env": "", "src/db/generated/x.ts": "", "src/db/y.ts": ""}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of the client, empty."""
    folder = tmp_path / "claude"
    folder.mkdir()
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(folder))
    return folder


def fleet_with(make_repository: MakeRepository, settings: object, *, agents: str = AGENTS) -> tuple[Checkout, Fleet]:
    text = settings if isinstance(settings, str) else json.dumps(settings)
    checkout = make_repository({**FILES, ".claude/settings.json": text, "demo.yaml": agents})
    return checkout, make_fleet(Repository.discover(checkout.path), load_blueprint(checkout.path / "demo.yaml"))


def client_notes(fleet: Fleet) -> list[Finding]:
    return [each for each in plan(fleet).findings if each.code in (Code.CLIENT_DENIES, Code.CLIENT_SETTINGS)]


@pytest.mark.usefixtures("home")
def test_denied_files_of_a_scope_are_named_with_the_agents(make_repository: MakeRepository) -> None:
    rules = ["Edit(.env)", "Edit(/src/db/generated/**)", "Edit(//etc/**)", "Write(src/**)", "Read(src/**)", "Edit([)"]
    _, fleet = fleet_with(make_repository, {"permissions": {"deny": [*rules, 3], "allow": ["Edit"]}})
    findings = client_notes(fleet)
    assert [(each.severity, each.message) for each in findings] == [
        (
            Severity.WARNING,
            ".claude/settings.json denies Edit(.env): api cannot edit 1 file of its scope: src/api/.env",
        ),
        (
            Severity.WARNING,
            ".claude/settings.json denies Edit(/src/db/generated/**): db cannot edit 1 file of its scope: "
            "src/db/generated/x.ts",
        ),
    ]
    assert findings[0].advice == "exclude them from the scope, or remove the rule from .claude/settings.json"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("rule", ["Bash", "Bash(git *)", "Bash(git commit:*)", "Edit"])
def test_a_denied_tool_concerns_every_agent_of_the_client(make_repository: MakeRepository, rule: str) -> None:
    _, fleet = fleet_with(make_repository, {"permissions": {"deny": [rule, "Bash(git push *)"]}})
    (finding,) = client_notes(fleet)
    assert finding.message == (f".claude/settings.json denies {rule}, so no agent of the Claude client can do its work")
    assert finding.agents == ("api", "db")
    (check,) = [check for check in examine(fleet) if rule in check.message and check.subject == "client"]
    assert (check.level, check.fix) == (Level.WARN, "remove the rule from .claude/settings.json")


def test_hooks_variables_and_models_are_notes_of_plan_and_doctor(make_repository: MakeRepository, home: Path) -> None:
    (home / "settings.json").write_text(json.dumps({"model": "opus"}), "utf-8")
    settings = {"hooks": {"Stop": [], "PreToolUse": []}, "env": {"TOKEN": "secret-value"}}
    checkout, fleet = fleet_with(make_repository, settings)
    (checkout.path / ".claude/settings.local.json").write_text(json.dumps({"env": {"X": "1"}}), "utf-8")
    findings = client_notes(fleet)
    messages = [
        ".claude/settings.json has hooks that run in every agent's session: Stop and PreToolUse",
        ".claude/settings.json sets variables for every agent's session: TOKEN",
        ".claude/settings.local.json of the main checkout (client 2.1.240 and newer) sets variables for every agent's "
        "session: X",
        f"{home / 'settings.json'} sets the model of agents whose runner names none: opus",
    ]
    assert [each.message for each in findings] == messages
    assert {each.severity for each in findings} == {Severity.NOTE}
    assert [check.message for check in examine(fleet) if check.message in messages] == messages


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ["", "[]", "{", '{"permissions": {"deny": "oops"}, "hooks": 1, "model": 2}'])
def test_settings_of_another_shape_say_nothing(make_repository: MakeRepository, text: str) -> None:
    assert client_notes(fleet_with(make_repository, text)[1]) == []


@pytest.mark.usefixtures("home")
def test_other_programs_read_no_settings_of_the_client(make_repository: MakeRepository) -> None:
    other = f"{AGENTS}runner: {{kind: command, command: [sh]}}\n"
    assert client_notes(fleet_with(make_repository, {"env": {"A": "1"}}, agents=other)[1]) == []
