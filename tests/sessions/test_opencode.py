"""The real opencode in fleets, against a scripted model on loopback: a made-up key, an empty environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeRepository
from tests.e2e.road import Road

from .program_fleet import (
    WRITE_NOTES,
    fail_log_in_and_resume,
    land_three_agents,
    log,
    program_road,
    wait_for_states,
)
from .program_server import ProgramServer, Turns

pytestmark = [pytest.mark.client, pytest.mark.timeout(400)]


@pytest.fixture
def make_road(make_repository: MakeRepository, tmp_path: Path, roads: list[Road]) -> Any:
    """``make_road(server, "one", ...)``: a fleet of opencode agents whose provider is the server."""

    def make(server: ProgramServer, *names: str) -> Road:
        runner = {"kind": "opencode", "model": "scripted/m"}
        road = program_road(make_repository, tmp_path, "opencode", *names, runner=runner)
        model = {"name": "m", "tool_call": True, "limit": {"context": 100000, "output": 1000}}
        model["cost"] = {"input": 1, "output": 1}  # dollars for a million tokens
        options = {"baseURL": f"{server.url}/v1", "apiKey": "made-up"}
        provider = {"npm": "@ai-sdk/openai-compatible", "name": "scripted", "options": options, "models": {"m": model}}
        config = Path(road.env["HOME"]) / ".config/opencode/opencode.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"provider": {"scripted": provider}}), "utf-8")
        # It fetches nothing: neither its list of models nor a package from npm.
        road.env |= {"OPENCODE_DISABLE_MODELS_FETCH": "1", "npm_config_registry": server.url}
        roads.append(road)
        road.spawn()
        return road

    return make


def test_three_agents_work_finish_and_land(make_road: Any) -> None:
    road, rows, prompts = land_three_agents(make_road)
    assert all("The repository's own rules." in prompt for prompt in prompts)
    assert all(prompt.count("Tabs only, says the fleet.") == 1 for prompt in prompts)
    assert rows["one"]["tokens"] == {"input": 2700, "output": 150, "cache": 300}
    assert rows["one"]["cost_usd"] == pytest.approx(0.00285)
    assert road.checkout.read("AGENTS.md") == "The repository's own rules."
    assert "> " in road.run("logs", "one").out


def test_its_edits_outside_the_scope_are_refused_and_its_shells_are_sent_back(make_road: Any, tmp_path: Path) -> None:
    refused = "a rule which prevents you from using this specific tool call"
    turns: Turns = [
        {"write": "README.md"},
        {"expect": refused, "write": "lib/other.txt"},
        {"expect": refused, "write": "./TASK.md"},
        {"expect": refused, "write": str(tmp_path / "outside.txt")},
        {"expect": refused, "shell": "git push origin HEAD"},
        {"expect": refused, "write": "src/1.txt"},
        {"shell": "echo 1 > lib/new.txt; git add -A; git commit -qm x"},
        {"text": "Done."},
        {"expect": "take back your change of lib/new.txt", "shell": "git rm -qf lib/new.txt; git commit -qm y"},
        {"shell": WRITE_NOTES},
        {"text": "Done."},
    ]
    with ProgramServer({1: turns}) as server:
        road = make_road(server, "one")
        road.run("start")
        rows = wait_for_states(road, {"one": "finished"}, timeout_s=180)
        assert server.misses == [], log(road)
        assert rows["one"]["tokens"]["output"] == 11 * 50
    place = road.at("one")
    assert place.git("status", "--porcelain") == ""
    assert place.git("diff", "--name-only", "main", "HEAD") == "src/1.txt"
    assert not (tmp_path / "outside.txt").exists()


def test_a_refused_login_fails_the_session_and_a_killed_one_is_resumed(make_road: Any) -> None:
    fail_log_in_and_resume(make_road, busy=429)  # opencode tries again by itself
