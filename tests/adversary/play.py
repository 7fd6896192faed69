"""Play a situation: every verb runs on it, and after each the promises are checked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.adversary.world import AGENTS, Ran, World

EXPECTED_CODES = (0, 1, 2, 3)
_TARGET = "refs/heads/main"  # in full: a situation may add a tag named main


class Phase(StrEnum):
    """When the hostile thing happens."""

    NEW = "new"  # before the first spawn
    WORKED = "worked"  # both agents have committed; evil has uncommitted work as well
    APPROVED = "approved"
    LANDED = "landed"


@dataclass(frozen=True)
class Situation:
    """``act`` makes the world hostile. ``good_lands``: the other agent must land all the same."""

    name: str
    act: Callable[[World], None]
    phase: Phase = Phase.WORKED
    good_lands: bool = True
    needs_root: bool = False

    def __str__(self) -> str:
        return self.name


class BrokenPromiseError(AssertionError):
    """A promise that does not hold in a situation."""


def prepare(folder: Path) -> dict[Phase, World]:
    """Build a fleet in each phase, each a copy of the one before; situations play on copies of these."""
    worlds = {Phase.NEW: World(folder / "new")}
    worlds[Phase.NEW].make()
    world = worlds[Phase.WORKED] = worlds[Phase.NEW].copy(folder / "worked")
    require(world.run("spawn"))
    work(world)
    world = worlds[Phase.APPROVED] = world.copy(folder / "approved")
    for agent in AGENTS:
        require(world.run("approve", agent))
    world = worlds[Phase.LANDED] = world.copy(folder / "landed")
    require(world.run("merge"))
    return worlds


def require(ran: Ran) -> None:
    assert ran.code == 0, str(ran)


def work(world: World) -> None:
    """Let the agents do what agents do, as far as they have a worktree."""
    for agent in AGENTS:
        folder = world.folder / "worktrees" / agent
        if (folder / ".git").exists() and world.git("status", folder=folder, check=False):
            world.commit(agent, f"src/{agent}.txt", f"{agent}\n")
            (folder / "AGENT_NOTES.md").write_text("# Notes\n\n## What I Built\n\nA thing.\n", "utf-8")
    if world.evil.is_dir():
        (world.evil / "draft.txt").write_text("work that is not committed\n", "utf-8")


def play(situation: Situation, start: World, folder: Path) -> list[Ran]:
    """Play it on a copy of ``start`` in ``folder``; return what was run. Raises BrokenPromiseError."""
    world = start.copy(folder)
    situation.act(world)
    world.canary_file.unlink(missing_ok=True)
    world.remember_surroundings()
    before = world.git("rev-parse", _TARGET, check=False)
    history: list[Ran] = []

    def run(*words: str) -> Ran:
        ran = world.run(*words)
        history.append(ran)
        check(world, ran, before, history)
        return ran

    if situation.phase is not Phase.LANDED:
        run("spawn")
    if situation.phase is Phase.NEW:
        work(world)
        world.canary_file.unlink(missing_ok=True)  # the agents' own git runs the repository's hooks
    run("status")
    if situation.phase is not Phase.LANDED:
        run("review", "evil")
        run("approve", "evil")
        run("approve", "good")
    run("merge")
    if situation.good_lands and "src/good.txt" not in world.git("ls-tree", "-r", "--name-only", _TARGET).splitlines():
        raise BrokenPromiseError(f"good did not land\n{show(history)}")
    if situation.phase is Phase.LANDED:
        run("clean", "--dry-run")
    else:
        run("discard", "evil", "hostile")
    run("clean")
    for text in world.precious:
        if not world.holds(text):
            raise BrokenPromiseError(f"{text!r} is lost\n{show(history)}")
    return history


def check(world: World, ran: Ran, before: str, history: list[Ran]) -> None:
    """Check what must hold after every command."""
    trouble = []
    if ran.code is None:
        trouble.append("it does not end")
    elif ran.code not in EXPECTED_CODES:
        trouble.append(f"exit code {ran.code}")
    trouble += [f"it prints {word!r}" for word in ("Traceback", "unexpected error", "a fault of") if word in ran.output]
    if world.canary_file.exists():
        trouble.append(f"a foreign program ran: {world.canary_file.read_text('utf-8')}")
        world.canary_file.unlink()
    if changed := world.changed_surroundings():
        trouble.append(f"changed outside: {', '.join(changed)}")
    tip = world.git("rev-parse", _TARGET, check=False)
    if tip != before and tip not in world.tested():
        trouble.append(f"the target is at {tip}, which was not tested")
    if trouble:
        raise BrokenPromiseError(f"{'; '.join(trouble)}\n{show(history)}")


def show(history: list[Ran]) -> str:
    return "\n".join(map(str, history))


def forget(folder: Path) -> None:
    """Delete a played world, whatever was done to its permissions and however deep its folders are."""
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], capture_output=True, check=False)
    subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, check=False)
