"""``init --goal`` with the real client in both versions and a scripted model: read-only, corrected, shown, written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestra.blueprint.load import load_blueprint
from tests.cli.conftest import Orchestra
from tests.conftest import Checkout, MakeRepository
from tests.sessions.client_fleet import tool
from tests.sessions.clients import VERSIONS, client_folder
from tests.sessions.model_server import ModelServer

FILES = {
    "package.json": json.dumps({"name": "shop", "scripts": {"test": "node --test"}}),
    **{f"src/{part}/m{n}.ts": "" for part in ("api", "orders") for n in range(9)},
    "test/api/a.test.ts": "",
}
API: dict[str, Any] = {
    "name": "api",
    "title": "Rate limits of the API",
    "task": 'Limit requests in src/api/m0.ts.\n\n1. Write "limit()".\n2. {{ not a template }}\n',
    "done_when": ["the 101st request in a minute is refused", "src/api tests pass"],
    "scope": ["src/api/**", "test/api/**"],
}
ORDERS: dict[str, Any] = {**API, "name": "orders", "scope": ["src/orders/**"], "merge_after": ["api"]}
GOOD = {"name": "Rate limits", "title": "Rate limits", "description": "One agent a part.", "agents": [API, ORDERS]}
OVERLAPPING = {**GOOD, "agents": [API, {**ORDERS, "scope": ["src/**"], "merge_after": ["nobody"]}]}
Turns = list[dict[str, Any]]
StartModel = Callable[[Turns], ModelServer]


def answer(document: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"name": "StructuredOutput", "input": document}], "usage": {"output_tokens": 10_000}}


@pytest.fixture(params=VERSIONS)
def start_model(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put the client on PATH, with an empty environment and a home of its own, and play the model's part."""
    folder, home = client_folder(request.param), tmp_path / "home"
    home.mkdir()
    with ExitStack() as stack:

        def start(turns: Turns) -> ModelServer:
            server = stack.enter_context(ModelServer({"agents": {"goal": {"match": {"cwd": "*"}, "turns": turns}}}))
            for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE", "AWS_", "GOOGLE_"))]:
                monkeypatch.delenv(name)
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("HOME", str(home))
            monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
            return server

        yield start


@pytest.fixture
def shop(make_repository: MakeRepository, tmp_path: Path) -> Checkout:
    """A repository whose own settings and servers would leave a file behind."""
    hook = {"hooks": [{"type": "command", "command": f"touch {tmp_path}/hooked"}]}
    settings = {"hooks": {"SessionStart": [hook], "PreToolUse": [hook]}, "permissions": {"allow": ["Bash", "Write"]}}
    servers = {"mcpServers": {"x": {"command": "touch", "args": [f"{tmp_path}/served"]}}}
    return make_repository({**FILES, ".claude/settings.json": json.dumps(settings), ".mcp.json": json.dumps(servers)})


def test_a_proposal_with_errors_is_corrected_and_written(
    orchestra: Orchestra, shop: Checkout, start_model: StartModel
) -> None:
    turns: Turns = [
        {"tools": [tool("Read", file_path="${CWD}/package.json")]},
        answer(OVERLAPPING),
        {**answer(GOOD), "expect": "nobody"},
    ]
    server = start_model(turns)
    code, out, err = orchestra("init", "--goal", "Limit requests", "--yes", "--json", "--repo", str(shop.path))
    assert (code, server.misses) == (0, []), err
    first = json.dumps(server.requests[0]["messages"])
    assert "Limit requests" in first
    assert "tests: npm test" in first
    document = json.loads(out)
    assert document["blueprint"] == "blueprints/rate-limits.yaml"
    assert document["cost_usd"] > 0
    assert "init: the client reads package.json (" in err
    assert "init: proposal 1 of at most 3 is sent back: agent " in err
    assert f"cost: ${document['cost_usd']:.2f} for 2 proposals, " in err
    blueprint = load_blueprint(shop.path / document["blueprint"])
    assert [(agent.name, agent.scope.include if agent.scope else ()) for agent in blueprint.agents] == [
        ("api", ("src/api/**", "test/api/**")),
        ("orders", ("src/orders/**",)),
    ]
    assert blueprint.agents[0].task.strip() == API["task"].strip()
    assert {"scope", "notes", "tests"} <= blueprint.gates.keys()


def test_the_client_can_neither_write_nor_run_nor_read_elsewhere(
    orchestra: Orchestra, shop: Checkout, start_model: StartModel, tmp_path: Path
) -> None:
    (tmp_path / "home/secret").write_text("HOME-TOKEN", "utf-8")
    (shop.path / ".env").write_text("ENV-TOKEN", "utf-8")
    attempts = [
        tool("Bash", command="touch ran.txt"),
        tool("Write", file_path="${CWD}/written.txt", content="x"),
        tool("Read", file_path=str(tmp_path / "home/secret")),
        tool("Read", file_path="${CWD}/.env"),
    ]
    before = shop.git("status", "--porcelain")
    server = start_model([{"tools": attempts}, answer({**GOOD, "agents": [API]})])
    code, out, err = orchestra("init", "--goal", "Limit requests", "--yes", "--repo", str(shop.path))
    assert code == 0, err
    offered = {each["name"] for each in server.requests[0]["tools"]}
    assert offered - {"DeferredToolPlaceholder"} == {"Read", "Glob", "Grep", "StructuredOutput"}
    results = json.dumps(server.requests[-1]["messages"])
    assert "HOME-TOKEN" not in results
    assert "ENV-TOKEN" not in results
    new = set(shop.git("status", "--porcelain", "-uall").splitlines()) - set(before.splitlines())
    assert new == {
        "?? .orchestra/blueprint.schema.json",
        "?? .vscode/settings.json",
        "?? blueprints/rate-limits.yaml",
    }
    assert not (tmp_path / "hooked").exists()
    assert not (tmp_path / "served").exists()
    assert "+++ b/blueprints/rate-limits.yaml\n" in out
    assert "\n+  - name: api\n" in out


def test_a_proposal_that_stays_wrong_is_not_written(
    orchestra: Orchestra, shop: Checkout, start_model: StartModel
) -> None:
    start_model([answer(OVERLAPPING)] * 3)
    code, _, err = orchestra("init", "--goal", "x", "--name=limits", "--yes", "--repo", str(shop.path))
    assert code == 1
    assert "error: after 3 proposals the draft still has errors, so it was not written:\n  agent " in err
    assert not (shop.path / "blueprints").exists()
    kept = Path(err.rpartition("correct the draft by hand: ")[2].strip())
    assert "name: limits\n" in kept.read_text("utf-8")


def test_a_refused_login_is_reported(orchestra: Orchestra, shop: Checkout, start_model: StartModel) -> None:
    start_model([{"error": {"status": 401, "message": "invalid x-api-key"}}])
    code, _, err = orchestra("init", "--goal", "x", "--yes", "--repo", str(shop.path))
    assert code == 3
    assert "error: the client could not answer: the API refuses the login" in err


def test_goal_without_the_client_says_how_to_get_it(
    orchestra: Orchestra, shop: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh", "npm"):
        (programs / name).symlink_to(Path("/usr/bin") / name)
    monkeypatch.setenv("PATH", str(programs))
    code, _, err = orchestra("init", "--goal", "x", "--yes", "--repo", str(shop.path))
    assert code == 3
    assert err.endswith(
        "error: the Claude Code client is not on PATH\n"
        "hint: npm install -g @anthropic-ai/claude-code, then run claude once\n"
    )


def test_goal_without_a_terminal_needs_yes(orchestra: Orchestra, shop: Checkout) -> None:
    code, _, err = orchestra("init", "--goal", "x", "--repo", str(shop.path))
    assert (code, err) == (
        2,
        "error: nothing was asked: init shows the proposal before it writes\nhint: add --yes to write it\n",
    )
    code, _, err = orchestra("init", "--goal", "x", "--from=mvp5")
    assert (code, err.splitlines()[0]) == (2, "error: --goal and --from exclude each other")
