"""The real Codex CLI in fleets, against a scripted model on loopback: no key, an empty environment."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeRepository
from tests.e2e.road import Road

from .program_fleet import HAS_SANDBOX, WRITE_NOTES, land_three_agents, log, program_road, wait_for_states, work
from .program_server import ProgramServer, Turns

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(not HAS_SANDBOX, reason="codex needs a sandbox that works: bubblewrap with user namespaces"),
]


@pytest.fixture(autouse=True)
def clean_tmp() -> Iterator[None]:
    """Remove the empty folders that the sandbox of codex leaves in /tmp, where go would take one for a repository."""
    places = [Path("/tmp") / name for name in (".git", ".codex", ".agents")]
    new = [place for place in places if not place.exists()]
    yield
    for place in new:
        with suppress(OSError):
            place.rmdir()


@pytest.fixture
def make_road(make_repository: MakeRepository, tmp_path: Path, roads: list[Road]) -> Any:
    """``make_road(server, "one", ...)``: a fleet of codex agents whose provider is the server."""

    def make(server: ProgramServer, *names: str, retries: int = 0, **keys: Any) -> Road:
        road = program_road(make_repository, tmp_path, "codex", *names, **keys)
        config = Path(road.env["HOME"]) / ".codex/config.toml"
        config.parent.mkdir()
        limits = f"request_max_retries = {retries}\nstream_max_retries = {retries}\n"
        provider = f'base_url = "{server.url}/v1"\nwire_api = "responses"\nenv_key = "SCRIPTED_KEY"\n{limits}'
        head = 'model = "scripted"\nmodel_provider = "scripted"\n'
        config.write_text(f'{head}[model_providers.scripted]\nname = "scripted"\n{provider}', "utf-8")
        road.env["SCRIPTED_KEY"] = "made-up"
        roads.append(road)
        road.spawn()
        return road

    return make


def test_three_agents_work_finish_and_land(make_road: Any) -> None:
    road, rows, prompts = land_three_agents(make_road)
    assert all("The repository's own rules." in prompt for prompt in prompts)
    assert rows["one"]["tokens"]["input"] == 3000, rows["one"]
    assert rows["one"]["cost_usd"] is None
    assert rows["one"]["sessions_without_cost"] == 1
    assert road.checkout.read("AGENTS.md") == "The repository's own rules."
    assert "> " in road.run("logs", "one").out


def test_what_is_outside_the_scope_cannot_be_written(make_road: Any) -> None:
    tries = "for f in package.json lib/other.txt lib/new.txt TASK.md AGENTS.md; do echo x > $f; done"
    refs = "git update-ref refs/heads/main HEAD~0; git update-ref refs/orchestra/f/one/approved HEAD"
    script: dict[int, Turns] = {1: [{"shell": f"{tries}; {refs}; touch build.log"}, *work("src/1.txt")]}
    script[1][1] = {**script[1][1], "expect": "Read-only file system"}
    with ProgramServer(script) as server:
        road = make_road(server, "one")
        road.run("start")
        wait_for_states(road, {"one": "failed"})
        assert server.misses == []
    place = road.at("one")
    assert place.git("status", "--porcelain") == "?? build.log"
    assert not (place.path / "lib/new.txt").exists()
    assert place.read("src/1.txt") == "1"
    assert road.checkout.git("for-each-ref", "refs/orchestra/f/one/approved") == ""


def test_a_session_without_notes_or_with_a_change_outside_its_scope_is_sent_back(make_road: Any) -> None:
    turns: Turns = [
        {"shell": "echo 1 > src/1.txt; echo 1 > new.txt; git add -A; git commit -qm x"},
        {"text": "Done."},
        {"expect": "take back your change of new.txt: new.txt is outside your scope", "shell": "git rm -qf new.txt"},
        {"shell": "git commit -qm y"},
        {"text": "Done."},
        {"expect": "fill in AGENT_NOTES.md", "shell": WRITE_NOTES},
        {"text": "Done."},
    ]
    with ProgramServer({1: turns}) as server:
        road = make_road(server, "one")
        road.run("start")
        rows = wait_for_states(road, {"one": "finished"})
        assert server.misses == []
        assert rows["one"]["tokens"]["input"] == 7000  # codex counts the whole session each time
        road.run("request-changes", "one", "Say 2.")
        wait_for_states(road, {"one": "failed"})  # the script has no more turns: nothing was committed since
        assert "Say 2." in server.requests[-4]["newest"]
        assert len({request["agent"] for request in server.requests}) == 1
        assert server.requests[-4]["turn"] == 7  # the same session, with its history


def test_a_refused_session_is_resumed_after_the_back_off_and_a_refused_login_holds_the_queue(make_road: Any) -> None:
    turns = work("src/1.txt")
    turns[1] |= {"error": 429, "times": 1}
    with ProgramServer({1: turns, 2: [{"error": 401, "times": 9}]}) as server:
        road = make_road(server, "one", "two")
        road.run("start", "one")
        rows = wait_for_states(road, {"one": "finished"})
        assert "one: busy: exceeded retry limit, last status: 429" in log(road)
        assert rows["one"]["tokens"]["output"] == 150, rows["one"]
        road.run("start", "two")
        wait_for_states(road, {"two": "failed"})
        held = road.checkout.path / ".git/orchestra/fleets/f/backoff.json"
        assert "401" in held.read_text("utf-8")


def test_a_killed_session_is_lost_and_start_resumes_it(make_road: Any) -> None:
    turns: Turns = [*work("src/1.txt")]
    turns.insert(1, {"shell": "echo waiting; sleep 60"})
    with ProgramServer({1: turns}) as server:
        road = make_road(server, "one")
        road.run("start")
        assert server.asked_for(1, 1).wait(60), log(road)
        shown: set[str] = set()
        deadline = time.monotonic() + 40
        while "echo waiting; sleep 60" not in shown:
            assert time.monotonic() < deadline, shown
            shown.add(wait_for_states(road, {"one": "working"})["one"]["state_reason"])
        run = road.checkout.path / ".git/orchestra/fleets/f/agents/one/runs/1/run.json"
        os.kill(json.loads(run.read_text("utf-8"))["keeper"]["pid"], signal.SIGKILL)
        wait_for_states(road, {"one": "lost"})
        road.run("start")
        wait_for_states(road, {"one": "finished"})
        resumed = [request for request in server.requests if "Your session was interrupted" in request["newest"]]
        assert resumed[0]["turn"] == 2
