"""How long a person waits for a listing and for the state of a fleet, against ``git status`` alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, make_repository, workplace, write_blueprint
from timing import Case, compare, wall

TITLE = "Start: wall time of a whole command"
ROOT = Path(__file__).parents[1]


def measure(repeat: int) -> Iterator[Case]:
    """The listing of tasks and the status of fleets; what Python and invoke alone take, as the floor of both."""
    runs = repeat or 15
    with workplace() as folder:
        repository = make_repository(folder / "main", 236)
        plain = ("git status", partial(wall, ["git", "status"], repository))
        python = [sys.executable, "-c"]
        for what, argv in (
            ("(python alone)", [*python, "pass"]),
            ("(python and invoke alone)", [*python, "import invoke.program"]),
            ("./inv --list", [str(ROOT / "inv"), "--list"]),
            ("orchestra --list", [ORCHESTRA, "--list"]),
        ):
            yield compare(what, "236 files", (what, partial(wall, argv, repository)), plain, runs)
        for agents in (5, 50):
            blueprint = write_blueprint(folder / f"bench{agents}.yaml", agents)
            wall([ORCHESTRA, "spawn", f"--blueprint={blueprint}"], repository)
            argv = [ORCHESTRA, "status", f"--blueprint={blueprint}"]
            where = f"236 files, {agents} agents"
            yield compare("orchestra status", where, ("orchestra status", partial(wall, argv, repository)), plain, runs)
