"""A repository with a fleet declared, and what a person would find there: to be compared between two runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.load import load_blueprint
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.repository import Repository
from tests.conftest import Checkout

_VOLATILE = re.compile(
    r"^repo/\.git/orchestra$|(^|/)(ledger\.db.*|lock|lock\.holder|\.[^/]+\.\d+|\.ledger\.[\d.]+|spawn\.log)$"
)

BLUEPRINT = """\
version: 1
name: demo
title: Demo fleet
worktrees:
  root: ../worktrees
  setup:
    copy: [".env"]
    share: ["node_modules"]
    run: ["echo made > set-up.txt"]
agents:
  - {name: schema, task: "Design the schema."}
  - {name: api, task: "Build the API."}
"""

OVERLAPPING = BLUEPRINT.replace('schema."}', 'schema.", scope: ["src/**"]}').replace(
    'API."}', 'API.", scope: ["src/x"]}\noverlap: error'
)
"""Two agents that may change the same path, which this blueprint calls an error."""


@dataclass(frozen=True)
class Home:
    """``path`` holds the repository ``repo``, the blueprint ``demo.yaml`` and, later, ``worktrees``."""

    path: Path

    @property
    def checkout(self) -> Checkout:
        return Checkout(self.path / "repo")

    @property
    def blueprint(self) -> Path:
        return self.path / "demo.yaml"

    def fleet(self) -> Fleet:
        """The fleet as its blueprint declares it now."""
        return make_fleet(Repository.discover(self.checkout.path), load_blueprint(self.blueprint))

    def agent(self, number: int) -> Checkout:
        return Checkout(self.path / "worktrees" / f"agent-{number}")

    def copy(self, path: Path) -> Home:
        """A twin elsewhere. Git keeps absolute paths between worktrees, so these are put right."""
        shutil.copytree(self.path, path, symlinks=True)
        twin = Home(path)
        for note in [*path.glob("worktrees/*/.git"), *path.glob("repo/.git/worktrees/*/gitdir")]:
            note.write_text(note.read_text().replace(str(self.path), str(path)))
        for note in path.glob("repo/.git/orchestra/**/*"):
            if note.is_file() and "ledger" not in note.name and not note.name.endswith(".log"):
                note.write_text(note.read_text().replace(str(self.path), str(path)))
        for worktree in path.glob("worktrees/*"):
            Checkout(worktree).git("status", "--short")  # the copies have other inodes: let git look once
        return twin

    def look(self) -> dict[str, object]:
        """Everything that a person would find, apart from times, process ids and what is only memory."""
        checkout, here = self.checkout, str(self.path)
        listed = checkout.git("worktree", "list", "--porcelain").replace(here, "HOME")
        shape = "%(refname) %(tree) %(parent)"
        refs = checkout.git("for-each-ref", f"--format={shape}").splitlines()
        worktrees = [entry for entry in self.path.glob("worktrees/*") if (entry / ".git").exists()]
        return {
            "refs": [line if not re.search("/(saved|cleaned-work)", line) else line.rsplit(" ", 1)[0] for line in refs],
            "worktrees": sorted(listed.split("\n\n")),
            "admin": sorted(entry.name for entry in (checkout.path / ".git").glob("worktrees/*")),
            "files": _files(self.path, here),
            "status": {w.name: Checkout(w).git("status", "--porcelain", "--ignored") for w in sorted(worktrees)},
            "config": (checkout.path / ".git" / "config").read_text(),
            "fsck": checkout.git("fsck", "--no-dangling", "--connectivity-only"),
        }


def make_home(path: Path, blueprint: str = BLUEPRINT) -> Home:
    """A small repository with a subfolder, a link, a program, ignored files, and ``blueprint`` beside it."""
    home = Home(path)
    checkout = home.checkout
    checkout.path.mkdir(parents=True)
    checkout.git("init", "--quiet", "--initial-branch=main")
    files = {
        ".gitignore": ".env\nnode_modules/\nset-up.txt\n",
        "src/a.txt": "a\n",
        "src/ünï cödé.txt": "b\n",
        "run.sh": "#!/bin/sh\n",
    }
    checkout.write(files)
    (checkout.path / "run.sh").chmod(0o755)
    (checkout.path / "link").symlink_to("src/a.txt")
    checkout.commit("first")
    checkout.write({".env": "KEY=1\n", "node_modules/left-pad/index.js": "pad\n"})
    home.blueprint.write_text(blueprint, "utf-8")
    return home


def _files(root: Path, here: str) -> dict[str, str]:
    found = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root / "repo" / ".git":
            folders[:], names[:] = [name for name in folders if name == "orchestra"], []
        for name in [*names, *folders]:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if not _VOLATILE.search(relative):
                found[relative] = _describe(path, here)
    return found


def _describe(path: Path, here: str) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_dir():
        return "folder"
    content = path.read_bytes().replace(here.encode(), b"HOME")
    if path.name == "copied.json":
        # After a kill in the middle of a set-up, what the set-up and `share` made counts as possible work.
        sums = {name: checksum for name, checksum in json.loads(content).items() if name == ".env"}
        content = json.dumps(sums).encode()
    return f"{path.stat().st_mode:o} {hashlib.sha256(content).hexdigest()[:16]}"
