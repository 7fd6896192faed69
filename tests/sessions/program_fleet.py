"""Real programs other than Claude Code at work in tests: the whole command line, and a scripted model.

The environment is empty but for PATH, a fresh home with git's identity, and a made-up key for the loopback server.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestra.sessions.sandbox import sandbox_available, sandbox_error
from tests.conftest import MakeRepository
from tests.e2e.road import NOTES, Road

from .program_server import ProgramServer, Turns
from .programs import program_folder

FILES = {
    "README.md": "# sample\n",
    "AGENTS.md": "The repository's own rules.\n",
    "package.json": "{}\n",
    "src/app.txt": "app\n",
    "lib/other.txt": "other\n",
}
WRITE_NOTES = f"printf '%s' {json.dumps(NOTES)} > AGENT_NOTES.md".replace("\\n", "\n")
HAS_SANDBOX = sandbox_available() and not sandbox_error()
MakeProgramRoad = Callable[..., Road]


def work(file: str) -> Turns:
    """Turns that commit a file inside the scope and fill in the notes."""
    return [
        {"shell": f"cat TASK.md && echo 1 > {file} && git add {file} && git commit -qm 'Add {file}'"},
        {"expect": "Do ", "shell": WRITE_NOTES},
        {"text": "Done."},
    ]


def program_road(make_repository: MakeRepository, tmp_path: Path, kind: str, *names: str, **keys: Any) -> Road:
    """A repository and a blueprint whose agents have ``src/**`` as their scope and run that program."""
    home = tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    (home / ".gitconfig").write_text("[user]\n\tname = A Person\n\temail = person@example.org\n", "utf-8")
    env = {
        "PATH": f"{program_folder(kind)}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),  # codex refuses a home below the folder of temporary files
        "LANG": "C.UTF-8",
    }
    road = Road(make_repository(FILES), tmp_path, env)
    gates = {"scope": {"builtin": "scope"}, "notes": {"builtin": "notes"}}
    agents = [{"name": name, "scope": ["src/**"]} for name in names]
    declared = {"runner": {"kind": kind}, "protected": ["package.json"], "gates": gates} | keys
    return road.fleet(*agents, standards={"Code": ["Tabs only, says the fleet."]}, **declared)


def wait_for_states(road: Road, wanted: dict[str, str], *, timeout_s: float = 90.0) -> dict[str, Any]:
    """Return the rows of status as soon as the agents are in these states."""
    deadline = time.monotonic() + timeout_s
    while True:
        rows = road.status()
        if {name: rows[name]["state"] for name in wanted} == wanted:
            return rows
        assert time.monotonic() < deadline, (rows, log(road))
        time.sleep(0.3)


def land_three_agents(make_road: Callable[..., Road]) -> tuple[Road, dict[str, Any], list[str]]:
    """Let three agents work, finish and land; return the rows of status before, and the first prompt of each."""
    script = {number: work(f"src/{number}.txt") for number in (1, 2, 3)}
    with ProgramServer(script) as server:
        road = make_road(server, "one", "two", "three")
        road.run("start")
        rows = wait_for_states(road, dict.fromkeys(("one", "two", "three"), "finished"), timeout_s=180)
        assert server.misses == []
        road.approve("one", "two", "three")
        assert len(road.merge()["landed"]) == 3
    assert {"src/1.txt", "src/2.txt", "src/3.txt"} <= set(road.checkout.tree("main"))
    prompts = [request["text"] for request in server.requests if request["turn"] == 0]
    assert all("Tabs only, says the fleet." in prompt for prompt in prompts)
    return road, rows, prompts


def fail_log_in_and_resume(make_road: MakeProgramRoad, *, busy: int) -> None:
    """Let one agent meet a busy API, be killed and be resumed in its session; let another's login be refused."""
    turns = work("src/1.txt")
    turns[1] |= {"error": busy, "times": 1}
    turns.insert(1, {"shell": "echo waiting && sleep 60"})
    with ProgramServer({1: turns, 2: [{"error": 401, "times": 9}]}) as server:
        road = make_road(server, "one", "two")
        road.run("start", "one")
        assert server.asked_for(1, 1).wait(180), log(road)
        run = road.checkout.path / ".git/orchestra/fleets/f/agents/one/runs/1"
        wait_for_states(road, {"one": "working"}, timeout_s=180)
        os.kill(json.loads((run / "run.json").read_text("utf-8"))["keeper"]["pid"], signal.SIGKILL)
        wait_for_states(road, {"one": "lost"}, timeout_s=180)
        road.run("start", "one")
        wait_for_states(road, {"one": "finished"}, timeout_s=180)
        resumed = [request for request in server.requests if "Your session was interrupted" in request["newest"]]
        assert resumed[0]["turn"] > 0
        road.run("start", "two")
        wait_for_states(road, {"two": "failed"}, timeout_s=180)
        assert "two: login: " in log(road)


def log(road: Road) -> str:
    """Return what the supervisor and the programs wrote."""
    folder = road.home / ".git/orchestra/fleets/f"
    files = [*folder.glob("*.log"), *folder.glob("agents/*/runs/*/*.log")]
    return "\n".join(f"== {file}\n{file.read_text('utf-8', 'replace')[-4000:]}" for file in files)
