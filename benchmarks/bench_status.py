"""How long the status of a hundred agents takes, and what watching them costs, against plain ``git status``."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, git, make_repository, workplace, write_blueprint
from timing import Case, Side, compare, wall

TITLE = "Status: one look at a hundred agents, and watching them"
AGENTS = 100
WATCHED_S = 30.0
_WORK = "echo 1 > work.txt; git add work.txt; git commit -qm work"
_EACH = 'for place in ../worktrees/*; do git -C "$place" status --porcelain >/dev/null; done'


def measure(repeat: int) -> Iterator[Case]:
    """A fleet at rest, one whose agents have all worked, and the live view of that: its CPU time in its wall time."""
    with workplace() as folder:
        repository = make_repository(folder / "main", 236)
        blueprint = write_blueprint(folder / "bench.yaml", AGENTS)
        wall([ORCHESTRA, "spawn", f"--blueprint={blueprint}"], repository)
        argv = [ORCHESTRA, "status", f"--blueprint={blueprint}"]
        plain = ("git status in each", partial(wall, ["sh", "-c", _EACH], repository))
        status = ("orchestra status", partial(wall, argv, repository))
        yield compare("orchestra status", f"236 files, {AGENTS} agents", status, plain, repeat or 10)
        _let_work(blueprint, repository)
        yield compare("the same", "all have worked once", status, plain, repeat or 10)
        yield _watching([*argv, "--watch"], repository, repeat or 3)


def _let_work(blueprint: Path, repository: Path) -> None:
    """Every agent gets a session of a shell command; returns when the last has ended."""
    text = blueprint.read_text("utf-8")
    command = f'runner: {{kind: command, command: ["/bin/sh", "-c", "{_WORK}"]}}\nlimits: {{agents: 8}}'
    blueprint.write_text(text.replace("runner: {kind: none}", command), "utf-8")
    wall([ORCHESTRA, "start", f"--blueprint={blueprint}"], repository)
    fleet = Path(git(repository, "rev-parse", "--absolute-git-dir")) / "orchestra/fleets/bench100"
    while len(list(fleet.glob("agents/*/runs/1/result.json"))) < AGENTS:
        time.sleep(0.5)


def _watching(argv: list[str], cwd: Path, repeat: int) -> Case:
    """The ratio is the share of one core; start-up is in it."""
    case = Case("--watch, CPU time", f"{AGENTS} agents, {WATCHED_S:.0f} s", Side("CPU"), Side("wall"))
    for _ in range(repeat):
        cpu, took = _watched(argv, cwd)
        case.ours.times.append(cpu)
        case.plain.times.append(took)
    return case


def _watched(argv: list[str], cwd: Path) -> tuple[float, float]:
    """CPU seconds, of the program and all that it started, and wall seconds, in a terminal of its own."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    time.sleep(WATCHED_S)
    process.send_signal(signal.SIGINT)
    _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        return
