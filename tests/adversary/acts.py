"""Acts that several groups of situations share."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from tests.adversary.world import World


def clear(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def set_config(world: World, key: str, value: str, folder: Path | None = None, scope: str = "--local") -> None:
    world.git("config", scope, key, value, folder=folder)


def find_object(world: World, kind: str) -> str:
    if kind == "missing":
        return "1" * 40
    if kind == "blob":
        return world.git("rev-parse", "main:README")
    if kind == "tree":
        return world.git("rev-parse", "main^{tree}")
    if kind == "tag":
        text = f"object {world.git('rev-parse', 'main')}\ntype commit\ntag t\ntagger T <t@t> 1 +0000\n\nt\n"
        return world.git("mktag", stdin=text.encode())
    if kind == "main":
        return world.git("rev-parse", "main")
    return world.git("commit-tree", "-m", "unrelated", world.git("rev-parse", "main^{tree}"))


def in_the_middle(operation: str, folder: str, world: World) -> None:
    """A merge, rebase, cherry-pick or bisect that stopped, in the worktree of evil or in the main checkout."""
    place = world.folder / folder
    world.git("stash", "--quiet", "--include-untracked", folder=place, check=False)
    (place / "README").write_text("one side\n", "utf-8")
    world.git("commit", "--quiet", "-am", "one side", folder=place)
    side = world.git("rev-parse", "HEAD", folder=place)
    world.git("branch", "--quiet", "side", "HEAD~1", folder=place)
    tree = world.git("rev-parse", "HEAD~1^{tree}", folder=place)
    blob = world.git("hash-object", "-w", "--stdin", stdin=b"another side\n", folder=place)
    listing = world.git("ls-tree", tree, folder=place).splitlines()
    rows = [f"100644 blob {blob}\tREADME" if row.endswith("\tREADME") else row for row in listing]
    changed = world.git("mktree", stdin="\n".join(rows).encode() + b"\n", folder=place)
    other = world.git("commit-tree", "-p", f"{side}~1", "-m", "another side", changed, folder=place)
    special = {"revert": ("revert", "--no-edit", other), "bisect": ("bisect", "start", "HEAD", "HEAD~1")}
    world.git(*special.get(operation, (operation, other)), folder=place, check=False)


def lock_left(name: str, world: World) -> None:
    place = world.repository / ".git" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")


def _link_out(world: World, place: Path) -> None:
    place.symlink_to(world.outside / "secret")


def _link_to_folder(world: World, place: Path) -> None:
    place.symlink_to(world.outside / "folder")


def link_to_itself(world: World, place: Path) -> None:
    place.symlink_to(place.name)


def link_to_zeros(world: World, place: Path) -> None:
    place.symlink_to("/dev/zero")


def pipe(world: World, place: Path) -> None:
    os.mkfifo(place)


def socket_file(world: World, place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # the name of a socket has 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place.name)
    finally:
        os.chdir(here)


def make_folder(world: World, place: Path) -> None:
    place.mkdir()
    (place / "inside").write_text("inside\n", "utf-8")


def unreadable(world: World, place: Path) -> None:
    world.ordinary_user = True
    place.write_text("nobody may read this\n", "utf-8")
    place.chmod(0)


def _sealed_folder(world: World, place: Path) -> None:
    world.ordinary_user = True
    place.mkdir()
    (place / "inside").write_text("work in a sealed folder\n", "utf-8")
    world.precious.append("work in a sealed folder")
    place.chmod(0)


def odd_bytes(world: World, place: Path) -> None:
    place.write_bytes(b"\xff\xfe\0\x1b[2Jodd\n" * 100)


def endless(world: World, place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 30)


FILE_KINDS: dict[str, Callable[[World, Path], None]] = {
    "link out": _link_out,
    "link to a folder": _link_to_folder,
    "link to itself": link_to_itself,
    "link to zeros": link_to_zeros,
    "pipe": pipe,
    "socket": socket_file,
    "folder": make_folder,
    "unreadable": unreadable,
    "sealed folder": _sealed_folder,
    "odd bytes": odd_bytes,
}
