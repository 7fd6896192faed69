"""The command line as a process of its own, without paying for Python's imports every time.

A server process has imported the tasks and forks one child for each command (``multiprocessing``'s fork server): own
working folder, environment, streams, exit code, and it can be killed. Where the way a command starts matters itself,
``program`` says how to start it for real.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PRELOAD = """orchestra.cli.program orchestra.cli orchestra.status orchestra.train.merge orchestra.workspace.spawn
orchestra.workspace.clean orchestra.blueprint.load orchestra.review.agent_review orchestra.cli.review_screen
orchestra.scaffold.stacks filelock sqlite3 yaml jinja2 tests.e2e.command""".split()
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(_PRELOAD)
_TIMEOUT_S = 60


def program() -> list[str]:
    """What starts ``orchestra`` in a process of its own."""
    return [sys.executable, "-c", "from orchestra.cli.program import main; main()"]


@dataclass(frozen=True)
class Done:
    """How a command ended. Its repr, which a failing assertion shows, holds all that it said."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str


@dataclass
class Running:
    """A command that runs. ``process.kill()`` is a SIGKILL."""

    words: tuple[str, ...]
    folder: Path
    process: multiprocessing.context.ForkServerProcess = field(init=False)

    def start(self, cwd: Path, env: Mapping[str, str]) -> Running:
        self.folder.mkdir(parents=True)
        self.process = _server.Process(target=_child, args=(self.words, str(cwd), dict(env), str(self.folder)))
        self.process.start()
        return self

    def wait(self) -> Done:
        self.process.join(_TIMEOUT_S)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"orchestra {' '.join(self.words)} did not end: {self._read('err')}")
        return Done(self.words, self.process.exitcode, self._read("out"), self._read("err"))

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8", "surrogateescape")


def _child(words: Sequence[str], cwd: str, env: Mapping[str, str], folder: str) -> None:
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((0, os.devnull), (1, f"{folder}/out"), (2, f"{folder}/err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["orchestra", *words]
    from orchestra.cli.program import main

    main(words=words)
