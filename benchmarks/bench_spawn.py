"""How long a fleet takes to get its worktrees, against the plain shell loop of ``git worktree add``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, fresh_copy, git, make_repository, workplace, write_blueprint
from timing import Case, compare, wall

TITLE = "Spawn: worktrees for a whole fleet, with its files, refs and records"
LOOP = 'i=1; while [ $i -le "$1" ]; do git worktree add -q -b agent-$i ../worktrees/agent-$i main; i=$((i + 1)); done'
# Runs that count: a fleet of fifty on the big repository is a million files for each side of each run.
SIZES = {236: {5: 7, 15: 5, 50: 5}, 20_000: {5: 3, 15: 3, 50: 1}}


def measure(repeat: int) -> Iterator[Case]:
    """Fleets of 5, 15 and 50 on a small and on a big repository, each run in a fresh clone."""
    with workplace() as folder:
        for files, fleets in SIZES.items():
            origin = make_repository(folder / f"origin{files}", files)
            for agents, runs in fleets.items():
                blueprint = write_blueprint(folder / "bench.yaml", agents)
                ours = [ORCHESTRA, "spawn", f"--blueprint={blueprint}"]
                plain = ["sh", "-e", "-c", LOOP, "sh", str(agents)]
                yield compare(
                    f"spawn {agents}",
                    f"{files} files",
                    ("orchestra spawn", partial(_run, ours, origin, agents)),
                    ("git worktree add, in a loop", partial(_run, plain, origin, agents)),
                    repeat or runs,
                    warm_up=runs > 1,
                )


def _run(argv: list[str], origin: Path, agents: int) -> float:
    """Seconds of one spawn; afterwards the worktrees are looked at."""
    home = fresh_copy(origin)
    seconds = wall(argv, home)
    made = [line.removeprefix("worktree ") for line in _worktrees(home)][1:]
    last = Path(made[-1])
    if len(made) != agents or git(last, "status", "--porcelain"):
        raise SystemExit(f"{argv[0]} left {len(made)} worktrees, {git(last, 'status', '--porcelain')!r} in the last")
    return seconds


def _worktrees(home: Path) -> list[str]:
    listed = git(home, "worktree", "list", "--porcelain").splitlines()
    return [line for line in listed if line.startswith("worktree ")]
