"""start, stop and the supervisor killed at every point that changes the disk; the next start finishes the work.

The points are found by tracing (tests/kill_points.py). A sample is taken; ORCHESTRA_ALL_POINTS=1 takes all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.engine import process, process_tree
from orchestra.sessions.store import FleetFolder
from tests.conftest import Checkout, MakeRepository
from tests.kill_points import PYTHON, chosen_points, count_points, run_killed

PROGRAM = Path(sys.executable).with_name("orchestra")
BLUEPRINT = """\
version: 1
name: two
target: main
runner: {{kind: command, command: ["/bin/sh", "-c", '{script}', "agent", "{{prompt}}"]}}
agents: [{{name: a, task: "x"}}, {{name: b, task: "x"}}]
"""
ONCE = "[ -e w ] || {{ echo 1 > w; git add w; git commit -qm work; }}"
FOR_EVER = "echo precious > p; exec sleep 600"
_SAMPLE = 4

pytestmark = pytest.mark.timeout(3600 if os.environ.get("ORCHESTRA_ALL_POINTS") else 300)  # against a hang


class CliFleet:
    """A spawned fleet of two on the command line."""

    def __init__(self, checkout: Checkout, script: str) -> None:
        self.checkout = checkout
        text = BLUEPRINT.format(script=script.replace("{{", "{").replace("}}", "}"))
        checkout.commit("blueprint", {"blueprints/two.yaml": text})
        self.run("trust", "--yes", "--blueprint", "two")
        self.run("spawn", "--blueprint", "two")
        self.fleet = FleetFolder(checkout.path / ".git/orchestra/fleets/two")

    def argv(self, *words: str) -> list[str]:
        return [str(PROGRAM), words[0], "--repo", str(self.checkout.path), *words[1:]]

    def run(self, *words: str) -> None:
        done = subprocess.run(self.argv(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def queue(self) -> list[str]:
        """Queue sessions while nobody may work them off; the argv of a supervisor that will."""
        with self.fleet.supervising() as mine:
            assert mine
            self.run("start")
        return [PYTHON, "-m", "orchestra.sessions.supervisor", str(self.fleet.path)]

    def wait_until_done(self) -> None:
        who = self.fleet.supervisor
        assert who is None or process.wait_gone(who, 60), self.fleet.supervisor_log.read_text("utf-8")

    def marks(self) -> list[str]:
        return [mark for agent in self.fleet.agents() for run in agent.runs() if (mark := run.mark) is not None]

    def processes(self) -> list[process_tree.ProcessId]:
        return [who for mark in self.marks() for who in process_tree.members(mark)]

    def require_done(self) -> None:
        """As after an undisturbed run: each agent worked, once, and nothing is left over."""
        for name in ("a", "b"):
            commits = self.checkout.git("rev-list", "--count", f"main..agent/two/{name}")
            assert commits == "1", self.fleet.supervisor_log.read_text("utf-8")
            agent = self.fleet.agent(name)
            newest = agent.newest()
            assert newest is not None
            assert newest.ending is not None
            assert (newest.ending.why, newest.ending.exit_code) == ("exited", 0)
            assert agent.request is None
        assert self.processes() == []
        assert "error" not in self.checkout.git("fsck")


@pytest.fixture
def ended_at_exit() -> Iterator[list[CliFleet]]:
    fleets: list[CliFleet] = []
    yield fleets
    for cli in fleets:
        cli.run("stop")
        cli.wait_until_done()
        assert cli.processes() == []


def test_a_killed_start_is_finished_by_the_next(make_repository: MakeRepository, ended_at_exit: list[CliFleet]) -> None:
    first = CliFleet(make_repository(name="count/repo"), ONCE)
    points = count_points(first.argv("start"), first.checkout.path)
    first.wait_until_done()
    first.require_done()
    for point in chosen_points(points, _SAMPLE):
        cli = CliFleet(make_repository(name=f"{point}/repo"), ONCE)
        ended_at_exit.append(cli)
        run_killed(cli.argv("start"), cli.checkout.path, point)
        cli.wait_until_done()
        cli.run("start")
        cli.wait_until_done()
        cli.require_done()


def test_a_killed_supervisor_is_finished_by_the_next_start(
    make_repository: MakeRepository, ended_at_exit: list[CliFleet]
) -> None:
    root = Path(__file__).parents[2]
    first = CliFleet(make_repository(name="count/repo"), ONCE)
    points = count_points(first.queue(), root)
    first.require_done()
    for point in chosen_points(points, _SAMPLE):
        cli = CliFleet(make_repository(name=f"{point}/repo"), ONCE)
        ended_at_exit.append(cli)
        run_killed(cli.queue(), root, point)
        cli.run("start")
        cli.wait_until_done()
        cli.require_done()


def test_a_killed_stop_is_finished_by_the_next(make_repository: MakeRepository, ended_at_exit: list[CliFleet]) -> None:
    first = CliFleet(make_repository(name="count/repo"), FOR_EVER)
    first.run("start")
    _until_at_work(first)
    points = count_points(first.argv("stop"), first.checkout.path)
    for point in chosen_points(points, _SAMPLE):
        cli = CliFleet(make_repository(name=f"{point}/repo"), FOR_EVER)
        ended_at_exit.append(cli)
        cli.run("start")
        _until_at_work(cli)
        run_killed(cli.argv("stop"), cli.checkout.path, point)
        cli.run("stop")
        assert cli.processes() == []
        for name in ("a", "b"):
            newest = cli.fleet.agent(name).newest()
            assert newest is not None
            assert newest.stop is not None
            place = cli.checkout.path.parent / "worktrees/repo/two" / f"agent-{'ab'.index(name) + 1}"
            assert (place / "p").read_text("utf-8") == "precious\n"
        cli.wait_until_done()


def _until_at_work(cli: CliFleet) -> None:
    """Until both sessions have written what stop must save; the supervisor paces the looking."""
    root = cli.checkout.path.parent / "worktrees/repo/two"
    while not all((root / f"agent-{number}" / "p").exists() for number in (1, 2)):
        who = cli.fleet.supervisor
        assert who is not None
        assert not process.wait_gone(who, 0.02)
