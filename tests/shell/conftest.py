"""Scripts of a small fleet, made once, and a repository to run them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.repository import Repository
from orchestra.shell.inputs import collect_inputs
from orchestra.shell.script import MERGE_HELPER, ORCHESTRATE, scripts
from tests.conftest import Checkout, MakeRepository
from tests.shell.shells import ScriptResult, run

SMALL_BLUEPRINT = """\
version: 1
name: small
target: main
protected: [package.json]
gates:
  scope: {builtin: scope, policy: block}
  notes: {builtin: notes}
  tests: {run: "test ! -e broken", timeout: 20s}
agents:
  - {name: one, title: "The first", task: "Do one.", scope: ["src/**"]}
  - {name: two, task: "Do two.", merge_after: [one]}
  - {name: three, task: "Do three."}
"""


@dataclass(frozen=True)
class ScriptPair:
    """The two scripts of a blueprint, on disk."""

    blueprint: Path
    orchestrate: Path
    merge_helper: Path


def write_scripts(folder: Path, text: str) -> ScriptPair:
    """The scripts of a blueprint, beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    blueprint = folder / "fleet.yaml"
    blueprint.write_text(text, "utf-8")
    made = scripts(collect_inputs(load_blueprint(blueprint), str(blueprint)))
    for name, script in made.items():
        (folder / name).write_text(script, "utf-8")
    return ScriptPair(blueprint, folder / ORCHESTRATE, folder / MERGE_HELPER)


@pytest.fixture(scope="session")
def small_scripts(tmp_path_factory: pytest.TempPathFactory) -> ScriptPair:
    """The scripts of ``SMALL_BLUEPRINT``."""
    return write_scripts(tmp_path_factory.mktemp("small"), SMALL_BLUEPRINT)


@dataclass(frozen=True)
class SpawnedFleet:
    """A repository with a fleet that a script has spawned."""

    checkout: Checkout
    scripts: ScriptPair

    def load_fleet(self) -> Fleet:
        return make_fleet(Repository.discover(self.checkout.path), load_blueprint(self.scripts.blueprint))

    def worktree(self, agent: str) -> Checkout:
        """An agent's worktree."""
        fleet = self.load_fleet()
        return Checkout(fleet.worktree(fleet.require_agent(agent)))

    def spawn(self, *words: str) -> ScriptResult:
        return run("sh", self.scripts.orchestrate, "spawn", *words, cwd=self.checkout.path)

    def merge_helper(self, *words: str, ok: bool = True) -> ScriptResult:
        return run("sh", self.scripts.merge_helper, *words, cwd=self.checkout.path, ok=ok)

    def commit_work(self, agent: str, files: dict[str, str], *, notes: bool = True) -> None:
        """Commit files and write notes, as an agent does."""
        there = self.worktree(agent)
        there.commit(f"{agent} works", dict(files))
        if notes:
            there.write({"AGENT_NOTES.md": f"# Notes\n\n## What I Built\n\nThe work of {agent}.\n"})

    def ref(self, name: str) -> str:
        return self.checkout.git("rev-parse", "--verify", "-q", f"refs/orchestra/small/{name}", ok=False)


@pytest.fixture
def spawned(make_repository: MakeRepository, small_scripts: ScriptPair) -> SpawnedFleet:
    """``SMALL_BLUEPRINT`` spawned by its script."""
    spawned = SpawnedFleet(make_repository({"README.md": "a\n", "src/a": "a\n", "package.json": "{}\n"}), small_scripts)
    spawned.spawn()
    return spawned
