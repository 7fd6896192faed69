"""Commands that a coding session runs: verdicts are refused there, and the plugin for a person's own session."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.engine.process import capture
from orchestra.fleet import open_fleet
from orchestra.review.verdict_giver import SESSION_VARIABLES
from orchestra.scaffold.session_plugin import session_commands
from tests.conftest import Checkout, MakeRepository
from tests.sessions.client_fleet import tool
from tests.sessions.clients import VERSIONS, client_folder
from tests.sessions.model_server import ModelServer

from .conftest import Orchestra, valid_json

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt}
runner: {kind: none}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}]
"""
PLUGIN = shipped_data_folder() / "plugin"


@pytest.fixture
def fleet(make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT, "a.txt": "a\n"})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn")[0] == 0
    for number, name in ((1, "one"), (2, "two")):
        worktree = Checkout(checkout.path.parent / f"wt/agent-{number}")
        worktree.write({"AGENT_NOTES.md": "# Notes\n\n## What I Built\n\nA thing.\n"})
        worktree.commit(f"work of {name}", {f"{name}.txt": f"{name}\n"})
    return checkout


def refs(fleet: Checkout) -> str:
    return fleet.git("for-each-ref", "--format=%(refname) %(objectname)")


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        *((variable, "approve one") for variable in SESSION_VARIABLES),
        *(("CLAUDECODE", line) for line in ("approve --green", "discard one unwanted", "merge one --yes --push")),
    ],
)
def test_a_session_that_is_recognised_cannot_decide(
    variable: str, line: str, fleet: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = refs(fleet)
    monkeypatch.setenv(variable, "1")
    code, _, err = orchestra(*line.split())
    verb = line.partition(" ")[0]
    assert code == 3
    assert err.startswith(
        f"error: {verb} is for a person to type, and this is a session of {SESSION_VARIABLES[variable]} "
        f"({variable} is set)\nhint: ask the person to type, in a terminal of their own: orchestra {line}; "
    )
    assert refs(fleet) == before


def test_a_session_may_request_changes_and_the_history_says_so(
    fleet: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    assert orchestra("request-changes", "one", "smaller")[0] == 0
    (event,) = open_fleet(fleet.path, "f").ledger.events("verdict")
    assert (event.agent, event.data["by"]) == ("one", "Claude Code (CLAUDECODE is set)")


def test_a_blueprint_can_let_sessions_decide(
    fleet: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.commit("allow", {"blueprints/f.yaml": f"{BLUEPRINT}verdicts: {{by-agents: allow}}\n"})
    monkeypatch.setenv("CLAUDECODE", "1")
    assert orchestra("approve", "one")[0] == 0
    assert orchestra("discard", "two", "unwanted")[0] == 0
    assert orchestra("merge")[0] == 0
    assert fleet.read("one.txt", at="main") == "one"
    events = open_fleet(fleet.path, "f").ledger.events("verdict")
    assert [(event.kind, event.data["by"]) for event in events] == [
        ("verdict.approved", "Claude Code (CLAUDECODE is set)"),
        ("verdict.discarded", "Claude Code (CLAUDECODE is set)"),
    ]


def test_a_persons_verdict_names_no_session(fleet: Checkout, orchestra: Orchestra) -> None:
    assert orchestra("approve", "one")[0] == 0
    (event,) = open_fleet(fleet.path, "f").ledger.events("verdict")
    assert "by" not in event.data


def test_the_plugin_is_not_installed_without_a_yes(
    fleet: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "claude").write_text("#!/bin/sh\ntouch ran\n", "utf-8")
    (programs / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    code, _, err = orchestra("init", "--plugin")
    assert code == 2
    assert f"  claude plugin marketplace add {PLUGIN}\n" in err
    assert "hint: add --yes to run these commands" in err
    assert not (fleet.path / "ran").exists()


def test_a_client_that_refuses_the_plugin_is_quoted(
    fleet: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "claude").write_text("#!/bin/sh\necho 'Error: no such marketplace' >&2\nexit 1\n", "utf-8")
    (programs / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    code, out, err = orchestra("init", "--plugin", "--yes")
    assert (code, out) == (3, "")
    assert err == (
        f"error: claude plugin marketplace add {PLUGIN} failed: Error: no such marketplace\n"
        "hint: run it yourself to see all of its output\n"
    )


@pytest.fixture(params=VERSIONS)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new home, and that version of the client on PATH, with no key in its environment."""
    folder, home = client_folder(request.param), tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE", "AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return home


@pytest.mark.client
@pytest.mark.timeout(180)
def test_the_client_validates_installs_and_runs_the_plugin(
    fleet: Checkout, orchestra: Orchestra, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = capture(["claude", "plugin", "validate", str(PLUGIN)], timeout_s=60.0)
    assert checked.code == 0, checked.stdout + checked.stderr
    for _ in range(2):  # again, as after an upgrade
        code, out, err = orchestra("init", "--plugin", "--yes", "--json")
        assert code == 0, err
    document = valid_json(out, "init.schema.json")
    assert document["commands"] == [f"/orchestra:{name}" for name in ("plan", "review", "status", "triage")]
    assert document["commands"] == session_commands()
    assert not (Path(f"{fleet.path}/../wt/agent-1") / ".claude/settings.local.json").exists()

    turns: list[dict[str, Any]] = [
        {"expect": "Run `orchestra status --json`", "tools": [tool("Bash", command="orchestra status --json")]},
        {"expect": "two", "tools": [tool("Bash", command="orchestra approve one")]},
        {"expect": "approve is for a person to type", "text": "Two agents are finished."},
    ]
    with ExitStack() as stack:
        server = stack.enter_context(ModelServer({"agents": {"person": {"match": {"cwd": "*"}, "turns": turns}}}))
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        done = capture(
            ["claude", "-p", "/orchestra:status", "--allowedTools", "Bash(orchestra:*)"],
            cwd=fleet.path,
            timeout_s=120.0,
        )
    assert done.code == 0, done.stdout + done.stderr
    assert server.misses == []
    assert "Two agents are finished." in done.stdout
    assert "refs/orchestra/f/one/approved" not in refs(fleet), "the command may look, and not decide"
