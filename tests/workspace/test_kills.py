"""Spawn and clean, killed at every point where they change something on disk, then run again.

By default a random choice of points; all of them with ORCHESTRA_ALL_POINTS=1.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from orchestra.git.refs import CommitId, Kind, RefUpdate, agent_ref, update
from tests.kill_points import PYTHON, chosen_points, count_points, run_killed
from tests.workspace.worlds import BLUEPRINT, Home, make_home

_numbers = count(1)
_ROOT = Path(__file__).resolve().parents[2]
_ENV = {"PYTHONPATH": str(_ROOT)}


def drive(verb: str, home: Home) -> list[str]:
    return [PYTHON, "-m", "tests.workspace.drive", verb, str(home.checkout.path), str(home.blueprint)]


def run(verb: str, home: Home) -> subprocess.CompletedProcess[str]:
    return subprocess.run(drive(verb, home), cwd=_ROOT, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Story:
    """A world to start from, how many points the undisturbed run has, and how it ends."""

    verb: str
    start: Home
    points: int
    end: dict[str, object]
    folder: Path

    def killed(self, point: int, *, group: bool, late_s: float = 0.0) -> Home:
        """Run in a copy of the start, killed at ``point``."""
        home = self.start.copy(self.folder / f"{next(_numbers)}-killed-at-{point}")
        run_killed(drive(self.verb, home), _ROOT, point, group, late_s=late_s)
        return home


@pytest.fixture(scope="module")
def spawning(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return _story("spawn", tmp_path_factory.mktemp("spawning"), make_home)


@pytest.fixture(scope="module")
def cleaning(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return _story("clean", tmp_path_factory.mktemp("cleaning"), make_settled)


def _story(verb: str, folder: Path, make: Callable[[Path], Home]) -> Story:
    start = make(folder / "start")
    calm = start.copy(folder / "calm")
    points = count_points(drive(verb, calm), _ROOT)
    return Story(verb, start, points, calm.look(), folder)


def make_settled(path: Path) -> Home:
    """One agent landed, with work of every kind left in its worktree; one is at work."""
    home = make_home(path, BLUEPRINT.replace("    run:", '    teardown: ["rm -f set-up.txt"]\n    run:'))
    done = run("spawn", home)
    assert done.returncode == 0, done.stderr
    agent, fleet = home.agent(1), home.fleet()
    head = CommitId(agent.commit("work", {"src/new.txt": "new\n"}))
    kinds = (Kind.APPROVED, Kind.LANDED)
    refs = [RefUpdate(agent_ref(fleet.name, fleet.blueprint.agents[0].name, kind), head, None) for kind in kinds]
    update(fleet.repository.git, refs, reason="test")
    agent.write({"src/a.txt": "staged\n"})
    agent.git("add", "src/a.txt")
    agent.write(
        {"src/a.txt": "changed\n", "untracked.txt": "mine\n", "AGENT_NOTES.md": "my notes\n", ".env": "KEY=2\n"}
    )
    home.agent(2).write({"half.txt": "done\n"})
    return home


SAMPLE = 3
WHOLE = pytest.mark.timeout(3600 if os.environ.get("ORCHESTRA_ALL_POINTS") else 300)


@WHOLE
@pytest.mark.parametrize("group", [True, False], ids=["with-its-git", "alone"])
def test_a_killed_spawn_run_again_ends_like_an_undisturbed_one(spawning: Story, group: bool) -> None:
    for point in chosen_points(spawning.points, SAMPLE):
        home = spawning.killed(point, group=group)
        again = run("spawn", home)
        assert again.returncode == 0, (point, again.stderr)
        assert home.look() == spawning.end, point
        assert run("spawn", home).stdout == "", point


@WHOLE
@pytest.mark.parametrize("group", [True, False], ids=["with-its-git", "alone"])
def test_a_killed_clean_run_again_ends_like_an_undisturbed_one(cleaning: Story, group: bool) -> None:
    for point in chosen_points(cleaning.points, SAMPLE):
        home = cleaning.killed(point, group=group)
        check_work_is_there(home, point)
        again = run("clean", home)
        assert again.returncode == 0, (point, again.stderr)
        assert home.look() == cleaning.end, point
        assert run("clean", home).stdout == "", point


def check_work_is_there(home: Home, point: int) -> None:
    """Whatever the point: the work is in the worktree, or in a saved commit, or both."""
    agent, checkout = home.agent(1).path, home.checkout
    away = agent.parent / ".orchestra-old" / agent.name
    if not any((folder / "untracked.txt").exists() for folder in (agent, away)):
        saved = checkout.git("for-each-ref", "--format=%(refname)", "refs/orchestra/demo/schema/saved")
        assert checkout.git("show", f"{saved}:untracked.txt") == "mine", point
        assert checkout.git("show", f"{saved}:src/a.txt") == "changed", point
        assert checkout.git("show", f"{saved}^2:src/a.txt") == "staged", point


@WHOLE
@pytest.mark.parametrize("verb", ["spawn", "clean"])
def test_a_kill_in_the_middle_of_git_is_mended_or_named(request: pytest.FixtureRequest, verb: str) -> None:
    """Git leaves a lock file where it was killed while holding it; the error names it, and without it all is well."""
    story: Story = request.getfixturevalue("spawning" if verb == "spawn" else "cleaning")
    chance = random.Random(os.environ.get("ORCHESTRA_POINTS_SEED", "7"))  # noqa: S311
    for point in chosen_points(story.points, SAMPLE):
        home = story.killed(point, group=True, late_s=chance.uniform(0, 0.006))
        again = run(verb, home)
        if again.returncode:
            left = [path for path in (home.checkout.path / ".git").rglob("*.lock") if str(path) in again.stderr]
            assert left, (point, again.stderr)
            left[0].unlink()
            again = run(verb, home)
        assert again.returncode == 0, (point, again.stderr)
        assert home.look() == story.end, point
