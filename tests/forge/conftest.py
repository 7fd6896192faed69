"""A fleet whose remote is a forge: a git server over HTTP, and a scripted gh on PATH."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestra.blueprint.model import Via
from orchestra.fleet import make_fleet
from tests.conftest import MakeRepository
from tests.fleets import World
from tests.forge.git_server import GitServer
from tests.train.train_fixture import TrainFixture, make_train

HERE = Path(__file__).parent
BRANCH = "orchestra/demo/train"


def install(folder: Path, program: str, script: Path) -> None:
    """Put a program that runs ``script`` into ``folder``, under the name ``program``."""
    folder.mkdir(exist_ok=True)
    copy = folder / program
    copy.write_text(f"#!{sys.executable} -I\n{script.read_text('utf-8')}", "utf-8")
    copy.chmod(0o755)


@dataclass
class ForgeWorld:
    """``train``: the fleet; ``server``: its remote; ``folder``: where the scripted programs and their state are."""

    train: TrainFixture
    server: GitServer
    folder: Path

    def read(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "forge.json").read_text("utf-8"))
        return document

    def change(self, **values: object) -> None:
        (self.folder / "forge.json").write_text(json.dumps(self.read() | values), "utf-8")

    @property
    def requests(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.read()["requests"]
        return rows

    def calls(self) -> list[list[str]]:
        """Return what the program was called with so far."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []

    def close(self, number: int, state: str = "CLOSED") -> None:
        """End a pull request as the forge does, with the head that it has."""
        rows = self.requests
        for row in rows:
            if row["number"] == number:
                row |= {"state": state, "headRefOid": self.server.tip(row["head"])}
        self.change(requests=rows)

    def merge(self, method: str, number: int = 12, *, delete: bool = True) -> str:
        """Merge a pull request with one of the methods, and delete its branch as forges can."""
        self.close(number, "MERGED")
        commit = self.server.merge(BRANCH, method)
        if delete:
            self.server.bare.git("update-ref", "-d", f"refs/heads/{BRANCH}")
        return commit


@pytest.fixture
def forge(make_repository: MakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeWorld]:
    """Three agents without commits; main is protected on the remote; gh is on PATH and logged in."""
    train = make_train(make_repository({"README.md": "# sample\n\none\n\ntwo\n\nthree\n"}), "one", "two", "three")
    server = GitServer(tmp_path / "server", train.checkout)
    train.checkout.git("remote", "add", "origin", server.url)
    train.checkout.git("fetch", "-q", "origin")
    train.world = World(train.checkout, make_fleet(train.fleet.repository, train.fleet.blueprint))
    train.merge_settings(via=Via.PULL_REQUEST)
    folder = tmp_path / "programs"
    install(folder, "gh", HERE / "scripted_gh.py")
    state = {"project": f"{server.host}/acme/shop", "repository": str(server.bare.path), "requests": []}
    (folder / "forge.json").write_text(json.dumps(state), "utf-8")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield ForgeWorld(train, server, folder)
    server.close()
