"""Real clients at work in tests: agents with scopes, a protected file and a scripted model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestra.blueprint.model import Builtin, BuiltinGate, Limits, Policy, Runner, RunnerKind, Scope

from .clients import VERSIONS, client_folder
from .conftest import LiveFleet
from .model_server import ModelServer

Turns = list[dict[str, Any]]
NOTES = "# Notes\n\n## What I Built\n\nA function, and a test for it.\n"


def tool(name: str, **given: str) -> dict[str, Any]:
    return {"name": name, "input": {"description": "d", **given} if name == "Bash" else given}


READ_NOTES = tool("Read", file_path="${CWD}/AGENT_NOTES.md")  # the client overwrites nothing that it has not read
WRITE_NOTES = tool("Write", file_path="${CWD}/AGENT_NOTES.md", content=NOTES)


def work(*, notes: bool = True) -> Turns:
    """Turns that read the task, write inside the scope, commit, and fill in the notes."""
    turns: Turns = [
        {"text": "Reading.", "tools": [tool("Read", file_path="${CWD}/TASK.md"), READ_NOTES]},
        {"expect": "the task of", "tools": [tool("Write", file_path="${CWD}/src/f.js", content="1\n")]},
        {"tools": [tool("Bash", command="git add -A && git commit -qm 'Add f'")]},
    ]
    if notes:
        turns.append({"tools": [WRITE_NOTES]})
    return [*turns, {"text": "Done."}]


class ClientFleet(LiveFleet):
    """A fleet whose agents are real clients, with scopes, a protected file and a scripted model."""

    version: str

    def prepare(self, **more: Any) -> None:
        exclude = self.world.checkout.path / ".git/info/exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text("TASK.md\nAGENT_NOTES.md\nCLAUDE.md\n", "utf-8")
        agents = tuple(
            replace(agent, runner=Runner(kind=RunnerKind.CLAUDE, **more), scope=Scope(("src/**",)))
            for agent in self.fleet.blueprint.agents
        )
        blueprint = replace(self.fleet.blueprint, agents=agents, protected=("package.json",), limits=Limits(agents=8))
        scope_gate = BuiltinGate("scope", Builtin.SCOPE, Policy.BLOCK)
        blueprint = replace(blueprint, gates={"scope": scope_gate, **blueprint.gates})
        self.fleet = replace(self.fleet, blueprint=blueprint)
        for agent in agents:
            place = self.fleet.worktree(agent)
            (place / "TASK.md").write_text(f"This is the task of {agent.name}.\n", "utf-8")
            (place / "AGENT_NOTES.md").write_text("# Notes\n\n## What I Built\n", "utf-8")

    @contextmanager
    def model(self, scripts: dict[str, Turns]) -> Iterator[ModelServer]:
        """The model's part for each agent."""
        agents = {
            name: {"match": {"cwd": f"*/{self.agent(name).directory}"}, "turns": turns}
            for name, turns in scripts.items()
        }
        with ModelServer({"agents": agents}) as server, pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE", "AWS_", "GOOGLE_"))]:
                patch.delenv(name)
            for name, value in server.environment().items():
                patch.setenv(name, value)
            # The scripted model answers at once: its commit would meet the index.lock of the client's own git status.
            patch.setenv("GIT_OPTIONAL_LOCKS", "0")
            patch.setenv("PATH", f"{client_folder(self.version)}{os.pathsep}{os.environ['PATH']}")
            yield server

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.files(name).events.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(params=VERSIONS)
def client_fleet(
    request: pytest.FixtureRequest,
    make_live_fleet: Callable[..., LiveFleet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., ClientFleet]:
    """``client_fleet("a", "b", max_turns=...)`` for each version of the client, each with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def make(*names: str, **more: Any) -> ClientFleet:
        live = make_live_fleet(*names)
        live.__class__ = ClientFleet
        assert isinstance(live, ClientFleet)
        live.version = request.param
        live.prepare(**more)
        return live

    return make


MakeClientFleet = Callable[..., ClientFleet]
