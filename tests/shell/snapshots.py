"""Twin repositories: the same place, the same start, once worked on by the tool and once by a script."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.repository import Repository
from orchestra.shell.inputs import collect_inputs
from orchestra.shell.script import scripts
from tests.conftest import START, Checkout

# What only one of the two keeps: the journal, locks, where the blueprint is, checksums, logs with times.
_APART = ("ledger.db", "lock", "blueprint.json", "copied.json", "setup.log", "gates", "results", "worktrees.config")
Start = Callable[[Checkout], None]


@dataclass(frozen=True)
class RepositoryTemplate:
    """``folder`` holds the repository ``repo`` and whatever grows beside it."""

    folder: Path
    blueprint: str
    start: Start

    def create(self) -> Checkout:
        """The repository as it begins; what was there goes."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        checkout = Checkout(self.folder / "repo")
        checkout.path.mkdir(parents=True)
        checkout.git("init", "--quiet", "--initial-branch=main")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_AUTHOR_DATE", f"{START} +0000")
            patch.setenv("GIT_COMMITTER_DATE", f"{START} +0000")
            self.start(checkout)
        return checkout

    def fleet(self, checkout: Checkout) -> Fleet:
        file = self.folder.parent / "fleet.yaml"
        file.write_text(self.blueprint, "utf-8")
        return make_fleet(Repository.discover(checkout.path), load_blueprint(file))

    def script(self, checkout: Checkout, name: str) -> Path:
        """One of the scripts, outside the repository."""
        place = self.folder.parent / name
        place.write_text(scripts(collect_inputs(self.fleet(checkout).blueprint, "fleet"))[name], "utf-8")
        return place


def snapshot(folder: Path) -> Mapping[str, object]:
    """All that there is: every file below ``folder`` but git's objects, every ref, every index."""
    found: dict[str, object] = {}
    for place in sorted(folder.rglob("*")):
        name = str(place.relative_to(folder))
        if _is_apart(name):
            continue
        if place.is_symlink():
            found[name] = os.readlink(place)  # noqa: PTH115
        elif place.is_file():
            found[name] = (place.stat().st_mode & 0o777, place.read_bytes())
    checkout = Checkout(folder / "repo")
    found["refs"] = checkout.git("for-each-ref", "--format=%(refname) %(objectname)")
    found["worktrees"] = checkout.git("worktree", "list", "--porcelain")
    for line in checkout.git("worktree", "list", "--porcelain").splitlines():
        if line.startswith("worktree "):
            there = Checkout(Path(line.removeprefix("worktree ")))
            found[f"index of {there.path.name}"] = there.git("ls-files", "--stage")
            found[f"status of {there.path.name}"] = there.git("status", "--porcelain", "--ignored")
    return found


def _is_apart(name: str) -> bool:
    parts = Path(name).parts
    if parts[:2] == ("repo", ".git"):
        inside = parts[2:]
        if inside[:1] == ("orchestra",):
            return inside[-1].startswith(_APART)
        return inside[:1] in (("objects",), ("logs",), ("refs",)) or inside[-1:] == ("index",) or "logs" in inside
    return False
