"""What orchestra stores, damaged; and files with odd times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.adversary.acts import (
    clear,
    link_to_itself,
    link_to_zeros,
    make_folder,
    odd_bytes,
    pipe,
    socket_file,
    unreadable,
)
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World


def _state_file(name: str, make: Callable[[World, Path], None], world: World) -> None:
    place = world.repository / ".git" / "orchestra" / name
    clear(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    make(world, place)


def _nothing(world: World, place: Path) -> None:
    return None


def _empty(world: World, place: Path) -> None:
    place.write_bytes(b"")


def _json_of_other_shape(world: World, place: Path) -> None:
    place.write_text('[{"x": [1, null, {}]}, "y", 3]\n', "utf-8")


def _branch_main(world: World, place: Path) -> None:
    place.write_text("main\n", "utf-8")


_STATE_KINDS: dict[str, Callable[[World, Path], None]] = {
    "missing": _nothing,
    "empty": _empty,
    "odd bytes": odd_bytes,
    "a folder": make_folder,
    "JSON of another shape": _json_of_other_shape,
    "unreadable": unreadable,
    "a pipe": pipe,
    "a link to zeros": link_to_zeros,
    "a socket": socket_file,
    "a link to itself": link_to_itself,
}
_STATE_FILES = (
    *(
        "lock",
        "lock.holder",
        "current",
        "worktrees.config",
        "train",
        "train/lock",
        "train/intent.json",
        "fleets",
        "gates",
    ),
    *("train/behind.json", "fleets/web", "fleets/web/ledger.db", "fleets/web/blueprint.json", "fleets/web/target"),
    *("fleets/web/excludes", "fleets/web/worktree.config", "fleets/web/trees.json", "fleets/web/made-root"),
    *(
        "fleets/web/agents",
        "fleets/web/agents/evil",
        "fleets/web/agents/evil/branch",
        "fleets/web/agents/evil/rendered",
    ),
    *(
        "fleets/web/agents/evil/ready.json",
        "fleets/web/agents/evil/copied.json",
        "fleets/web/agents/evil/rendered/TASK.md",
    ),
    *("fleets/web/agents/evil/kept", "fleets/web/results", "fleets/web/logs"),
)


def stored() -> Iterator[Situation]:
    for name in _STATE_FILES:
        for kind, make in _STATE_KINDS.items():
            for phase in (Phase.WORKED, Phase.LANDED):
                act = partial(_state_file, name, make)
                yield Situation(f"stored {name} is {kind}, {phase}", act, phase, good_lands=False)
    for phase in (Phase.WORKED, Phase.APPROVED, Phase.LANDED):
        act = partial(_state_file, "fleets/web/agents/evil/branch", _branch_main)
        yield Situation(f"the recorded branch is the target, {phase}", act, phase)


def _future(world: World) -> None:
    for top in (world.evil, world.repository / ".git"):
        for path in top.rglob("*"):
            if not path.is_symlink():
                os.utime(path, (4_000_000_000, 4_000_000_000))


def _past(world: World) -> None:
    for path in world.evil.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (0, 0))


def times() -> Iterator[Situation]:
    for phase in (Phase.WORKED, Phase.APPROVED, Phase.LANDED):
        yield Situation(f"times in the future, {phase}", _future, phase)
        yield Situation(f"times of long ago, {phase}", _past, phase)
