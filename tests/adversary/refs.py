"""Refs that orchestra did not write, in the places of those that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.adversary.acts import clear, find_object, pipe
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World

_EVIL = "refs/orchestra/web/evil"


def _write_ref(world: World, name: str, text: str) -> None:
    place = world.repository / ".git" / name
    clear(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"{text}\n", "utf-8")


def _ref_to(name: str, kind: str, world: World) -> None:
    world.git("pack-refs", "--all")
    _write_ref(world, name, find_object(world, kind))


def _symbolic(name: str, target: str, world: World) -> None:
    _write_ref(world, name, f"ref: {target}")


def _ref_below(name: str, world: World) -> None:
    """A ref below a name that orchestra needs, so that the name itself cannot exist."""
    world.git("update-ref", "-d", "--no-deref", name, check=False)
    world.git("update-ref", f"{name}/x", "main")


def _damaged_ref(name: str, world: World) -> None:
    _write_ref(world, name, "this is no object")


def _empty_ref(name: str, world: World) -> None:
    place = world.repository / ".git" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")


def _locked_ref(name: str, world: World) -> None:
    place = world.repository / ".git" / f"{name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")


def _pipe_ref(name: str, world: World) -> None:
    place = world.repository / ".git" / name
    clear(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    pipe(world, place)


_REFS = (
    *(f"{_EVIL}/{kind}" for kind in ("base", "approved", "approved-notes", "landed", "candidate", "discarded")),
    *(f"{_EVIL}/{kind}" for kind in ("changes-requested", "proposed", "saved/1", "saved", "odd")),
    *("refs/notes/orchestra", "refs/heads/agent/web/evil", "refs/orchestra/web/stranger/base", "refs/orchestra/web"),
)


def refs() -> Iterator[Situation]:
    for name in _REFS:
        for phase in (Phase.WORKED, Phase.APPROVED, Phase.LANDED):
            for kind in ("missing", "blob", "tree", "tag", "main", "orphan"):
                if name == "refs/orchestra/web":
                    continue
                yield Situation(f"{name} points to {kind}, {phase}", partial(_ref_to, name, kind), phase)
            for target in ("refs/heads/main", "refs/heads/nowhere", "refs/heads/agent/web/good"):
                if name != "refs/orchestra/web":
                    yield Situation(f"{name} stands for {target}, {phase}", partial(_symbolic, name, target), phase)
            if name not in ("refs/orchestra/web", f"{_EVIL}/saved"):
                yield Situation(f"a ref below {name}, {phase}", partial(_ref_below, name), phase)
                yield Situation(f"{name} is damaged, {phase}", partial(_damaged_ref, name), phase)
                yield Situation(f"{name} is empty, {phase}", partial(_empty_ref, name), phase)
                yield Situation(f"{name} is a pipe, {phase}", partial(_pipe_ref, name), phase)
                yield Situation(f"{name} is locked, {phase}", partial(_locked_ref, name), phase)
