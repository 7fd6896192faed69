"""The real Gemini CLI in fleets, against a scripted model on loopback: a made-up key, an empty environment."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeRepository
from tests.e2e.road import Road

from .program_fleet import WRITE_NOTES, land_three_agents, log, program_road, wait_for_states, work
from .program_server import ProgramServer, Turns

pytestmark = [pytest.mark.client, pytest.mark.timeout(900)]


@pytest.fixture
def make_road(make_repository: MakeRepository, tmp_path: Path, roads: list[Road]) -> Any:
    """``make_road(server, "one", ...)``: a fleet of gemini agents that talk to the server."""

    def make(server: ProgramServer, *names: str) -> Road:
        runner = {"kind": "gemini", "model": "gemini-2.5-pro"}
        road = program_road(make_repository, tmp_path, "gemini", *names, runner=runner)
        road.env |= {"GEMINI_API_KEY": "made-up", "GOOGLE_GEMINI_BASE_URL": server.url}
        roads.append(road)
        road.spawn()
        return road

    return make


def test_three_agents_work_finish_and_land(make_road: Any) -> None:
    road, rows, _ = land_three_agents(make_road)
    assert rows["one"]["tokens"] == {"input": 3000, "output": 150, "cache": 300}
    assert road.checkout.git("log", "-1", "--format=%an <%ae>") == "A Person <person@example.org>"


def test_its_edits_outside_the_scope_are_refused_and_its_shells_are_sent_back(make_road: Any) -> None:
    turns: Turns = [
        {"write": "README.md"},
        {"expect": "outside your scope, which is src/**", "write": "lib/other.txt"},
        {"expect": "outside your scope, which is src/**", "write": "./TASK.md"},
        {"expect": "outside your scope, which is src/**", "shell": "git push origin HEAD"},
        {"expect": "lands your branch after a review", "write": "src/1.txt"},
        {"shell": "echo 1 > lib/new.txt; git add -A; git commit -qm x"},
        {"text": "Done."},
        {"expect": "take back your change of lib/new.txt", "shell": "git rm -qf lib/new.txt; git commit -qm y"},
        {"shell": WRITE_NOTES},
        {"text": "Done."},
    ]
    with ProgramServer({1: turns}) as server:
        road = make_road(server, "one")
        road.run("start")
        wait_for_states(road, {"one": "finished"}, timeout_s=180)
        assert server.misses == [], log(road)
    place = road.at("one")
    assert place.git("status", "--porcelain") == ""
    assert place.git("diff", "--name-only", "main", "HEAD") == "src/1.txt"


def test_a_refused_login_fails_the_session_and_a_killed_one_is_resumed(make_road: Any) -> None:
    turns = work("src/1.txt")
    turns[1] |= {"error": 503, "times": 1}  # gemini tries again by itself
    turns.insert(1, {"shell": "echo waiting && sleep 60"})
    with ProgramServer({1: turns, 2: [{"error": 401, "times": 9}]}) as server:
        road = make_road(server, "one", "two")
        road.run("start", "one")
        assert server.asked_for(1, 2).wait(5) is False
        assert server.asked_for(1, 1).wait(90), log(road)
        run = road.checkout.path / ".git/orchestra/fleets/f/agents/one/runs/1"
        wait_for_states(road, {"one": "working"})
        os.kill(json.loads((run / "run.json").read_text("utf-8"))["keeper"]["pid"], signal.SIGKILL)
        wait_for_states(road, {"one": "lost"})
        road.run("start", "one")
        wait_for_states(road, {"one": "finished"}, timeout_s=180)
        resumed = [request for request in server.requests if "Your session was interrupted" in request["newest"]]
        assert resumed[0]["turn"] > 0
        road.run("start", "two")
        wait_for_states(road, {"two": "failed"}, timeout_s=120)
        assert "two: login: " in log(road)
