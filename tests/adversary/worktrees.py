"""Worktrees that were moved, removed, damaged, or that hold what a removal could lose."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.adversary.acts import FILE_KINDS, in_the_middle, link_to_zeros, lock_left, pipe, set_config
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World


def _delete_worktree(world: World) -> None:
    shutil.rmtree(world.evil)


def _move_worktree(world: World) -> None:
    (world.folder / "moved").mkdir()
    world.evil.rename(world.folder / "moved" / "evil")
    world.precious.append("work that is not committed")


def _move_worktree_by_git(world: World) -> None:
    world.git("worktree", "unlock", str(world.evil), check=False)
    (world.folder / "moved").mkdir()
    world.git("worktree", "move", str(world.evil), str(world.folder / "moved" / "evil"))
    world.precious.append("work that is not committed")


def _worktree_is_link(world: World) -> None:
    (world.folder / "moved").mkdir()
    world.evil.rename(world.folder / "moved" / "evil")
    world.evil.symlink_to(world.folder / "moved" / "evil")
    world.precious.append("work that is not committed")


def _worktree_is_link_out(world: World) -> None:
    shutil.rmtree(world.evil)
    world.evil.symlink_to(world.outside / "folder")


def _worktree_is(make: Callable[[World, Path], None], world: World) -> None:
    shutil.rmtree(world.evil)
    make(world, world.evil)


def _worktrees_swapped(world: World) -> None:
    world.evil.rename(world.folder / "worktrees" / "x")
    world.good.rename(world.evil)
    (world.folder / "worktrees" / "x").rename(world.good)
    world.precious.append("work that is not committed")


def _no_permission(world: World) -> None:
    world.ordinary_user = True
    world.evil.chmod(0)


def _read_only_worktree(world: World) -> None:
    world.ordinary_user = True
    for path in [*world.evil.rglob("*"), world.evil]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o555)
    world.precious.append("work that is not committed")


def _foreign_files(world: World) -> None:
    """Files of another user in the worktree, as a container leaves them."""
    world.ordinary_user = True
    place = world.evil / "cache"
    place.mkdir()
    (place / "file").write_text("work of a container\n", "utf-8")
    os.chown(place / "file", 12345, 12345)
    os.chown(place, 12345, 12345)
    place.chmod(0o755)
    world.precious.append("work of a container")


def _other_branch(world: World) -> None:
    world.git("checkout", "--quiet", "-b", "elsewhere", folder=world.evil)
    (world.evil / "else.txt").write_text("work on another branch\n", "utf-8")
    world.git("add", "else.txt", folder=world.evil)
    world.git("commit", "--quiet", "-m", "elsewhere", folder=world.evil)
    world.precious += ["work on another branch", "work that is not committed"]


def _detached(world: World) -> None:
    world.git("checkout", "--quiet", "--detach", folder=world.evil)
    (world.evil / "else.txt").write_text("work on no branch\n", "utf-8")
    world.git("add", "else.txt", folder=world.evil)
    world.git("commit", "--quiet", "-m", "detached", folder=world.evil)
    world.precious += ["work on no branch", "work that is not committed"]


def _admin(act: Callable[[Path], None], world: World) -> None:
    act(world.repository / ".git" / "worktrees" / "evil")


def _admin_file(name: str, content: bytes | None, world: World) -> None:
    place = world.repository / ".git" / "worktrees" / "evil" / name
    place.unlink(missing_ok=True)
    if content is not None:
        place.write_bytes(content)


def _admin_place(make: Callable[[World, Path], None], name: str, world: World) -> None:
    place = world.repository / ".git" / "worktrees" / "evil" / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    make(world, place)


def _locked_by_person(world: World) -> None:
    world.git("worktree", "unlock", str(world.evil))
    world.git("worktree", "lock", "--reason", "I need it", str(world.evil))


def _removed_by_person(world: World) -> None:
    world.git("worktree", "remove", "--force", "--force", str(world.evil))


def _branch_deleted(world: World) -> None:
    world.git("update-ref", "-d", "refs/heads/agent/web/evil")


def _branch_elsewhere(world: World) -> None:
    world.git("worktree", "add", "--quiet", "--force", str(world.folder / "moved" / "second"), "agent/web/evil")


def _branch_is_target(world: World) -> None:
    world.git("checkout", "--quiet", "--detach", folder=world.repository)
    world.git("checkout", "--quiet", "main", folder=world.evil, check=False)


def _process_inside(world: World) -> None:
    subprocess.Popen(["sleep", "30"], cwd=world.evil)


def _long_folder(world: World) -> None:
    """A folder deeper than a path can name, with work in it."""
    here = os.open(world.evil, os.O_RDONLY)
    try:
        for _ in range(45):
            os.mkdir("d" * 100, dir_fd=here)
            deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
        os.write(file, b"deep work\n")
        os.close(file)
        world.precious.append("deep work")
    finally:
        os.close(here)


def _flags(flag: str, world: World) -> None:
    world.git("update-index", flag, "README", folder=world.evil)
    (world.evil / "README").write_text("hidden change\n", "utf-8")
    world.precious.append("hidden change")


def _sparse_worktree(world: World) -> None:
    world.git("sparse-checkout", "set", "--no-cone", "/src/", folder=world.evil)
    (world.evil / "README").write_text("hidden change\n", "utf-8")
    world.precious.append("hidden change")


def _ignored_work(world: World) -> None:
    (world.evil / "newdir").mkdir()
    (world.evil / "newdir" / ".gitignore").write_text("*\n", "utf-8")
    (world.evil / "newdir" / "data.db").write_text("an ignored database\n", "utf-8")
    world.precious.append("an ignored database")


def _ignores_everything(world: World) -> None:
    (world.evil / ".gitignore").write_text("*\n", "utf-8")
    (world.evil / "hidden.txt").write_text("ignored by all\n", "utf-8")
    world.precious.append("ignored by all")


def _excludes_setting(world: World) -> None:
    ignore = world.evil / "ignore-all"
    ignore.write_text("*\n", "utf-8")
    set_config(world, "core.excludesFile", str(ignore))
    world.precious.append("work that is not committed")


def _conflicted_index(world: World) -> None:
    blob = world.git("rev-parse", "main:README")
    lines = "".join(f"100644 {blob} {stage}\tREADME\n" for stage in (1, 2, 3))
    world.git("update-index", "--index-info", folder=world.evil, stdin=f"0 {'0' * 40}\tREADME\n{lines}".encode())
    world.precious.append("work that is not committed")


def _damaged_index(content: bytes, world: World) -> None:
    (world.repository / ".git" / "worktrees" / "evil" / "index").write_bytes(content)
    world.precious.append("work that is not committed")


def _stash(world: World) -> None:
    world.git("stash", "--quiet", "--include-untracked", folder=world.evil)


def worktrees() -> Iterator[Situation]:
    for phase in (Phase.WORKED, Phase.LANDED):
        simple: dict[str, Callable[[World], None]] = {
            "worktree deleted by hand": _delete_worktree,
            "worktree moved by hand": _move_worktree,
            "worktree moved by git": _move_worktree_by_git,
            "worktree is a link to its new place": _worktree_is_link,
            "worktree is a link to another folder": _worktree_is_link_out,
            "worktrees exchanged": _worktrees_swapped,
            "worktree without permission": _no_permission,
            "worktree that is read-only": _read_only_worktree,
            "another branch is checked out": _other_branch,
            "detached with commits": _detached,
            "worktree locked by a person": _locked_by_person,
            "worktree removed by a person": _removed_by_person,
            "branch deleted": _branch_deleted,
            "branch checked out twice": _branch_elsewhere,
            "worktree has the target": _branch_is_target,
            "process in the worktree": _process_inside,
            "folder too deep": _long_folder,
            "sparse worktree": _sparse_worktree,
            "ignored file in a new folder": _ignored_work,
            "everything ignored": _ignores_everything,
            "everything ignored by the configuration": _excludes_setting,
            "index with conflicts": _conflicted_index,
            "stashed work": _stash,
        }
        for name, act in simple.items():
            good = name not in ("worktrees exchanged",)
            yield Situation(f"{name}, {phase}", act, phase, good_lands=good)
        yield Situation(f"files of another user, {phase}", _foreign_files, phase, needs_root=True)
        for kind in ("pipe", "socket", "link to itself"):
            yield Situation(f"worktree is a {kind}, {phase}", partial(_worktree_is, FILE_KINDS[kind]), phase)
        for operation in ("merge", "rebase", "cherry-pick", "revert", "bisect"):
            act = partial(in_the_middle, operation, "worktrees/evil")
            yield Situation(f"worktree in the middle of a {operation}, {phase}", act, phase)
        for flag in ("--assume-unchanged", "--skip-worktree"):
            yield Situation(f"file with {flag}, {phase}", partial(_flags, flag), phase)
        for name, content in (("empty", b""), ("nonsense", b"DIRC nonsense"), ("cut", b"DIRC\0\0\0\2\0\0\0\5")):
            yield Situation(f"index {name}, {phase}", partial(_damaged_index, content), phase)
        yield Situation(f"admin folder deleted, {phase}", partial(_admin, shutil.rmtree), phase)
        for name in ("gitdir", "commondir", "HEAD", "locked", "index"):
            yield Situation(f"admin {name} missing, {phase}", partial(_admin_file, name, None), phase)
            yield Situation(f"admin {name} empty, {phase}", partial(_admin_file, name, b""), phase)
            yield Situation(f"admin {name} nonsense, {phase}", partial(_admin_file, name, b"\xff\0nonsense\n"), phase)
        for name in ("HEAD", "gitdir", "commondir", "locked", "index", "logs/HEAD", "rebase-merge/head-name"):
            for kind, make in (("pipe", pipe), ("link to zeros", link_to_zeros)):
                yield Situation(f"admin {name} is a {kind}, {phase}", partial(_admin_place, make, name), phase)
        for name in ("index.lock", "HEAD.lock", "orchestra-index.lock", "config.worktree"):
            yield Situation(f"worktree's {name} left, {phase}", partial(lock_left, f"worktrees/evil/{name}"), phase)
