"""How long a train takes, and how often it tests, against the plain loop of rebase, test and fast-forward.

The gate only waits, so that what is measured is the train and not a test suite: T is what it waits. A branch changes
one file of its own; a bad one also brings the file that makes the gate red. The loop does what a careful person does in
a worktree of their own: ``git rebase``, the gate, ``git update-ref`` of the target, one branch after the other.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ground import ORCHESTRA, fresh_copy, git, make_repository, workplace
from timing import Case, Side, wall

TITLE = "Train: landing a whole fleet behind a gate that waits T"
LOOP = """
git worktree add -q --detach ../loop main; cd ../loop
for branch in $(git for-each-ref --format='%(refname:short)' refs/heads/agent); do
  git checkout -q --detach $branch
  git rebase -q main || { git rebase --abort; continue; }
  sh -c "$1" && git update-ref refs/heads/main HEAD
done
"""
BLUEPRINT = """\
version: 1
name: bench
target: main
runner: {{kind: none}}
worktrees: {{root: ../places}}
gates: {{tests: {{run: {gate!r}, timeout: 10m}}}}
limits: {{gates: {slots}}}
merge: {{train: {policy}, guarantee: {guarantee}}}
agents:
{agents}
"""


@dataclass(frozen=True)
class Fleet:
    """So many branches, a share of them bad, on a repository of so many files."""

    files: int
    branches: int
    bad: float = 0.0

    @property
    def names(self) -> list[str]:
        return [f"a{number:02}" for number in range(1, self.branches + 1)]

    @property
    def culprits(self) -> set[str]:
        chosen = random.Random(self.branches).sample(self.names, round(self.branches * self.bad))  # noqa: S311
        return set(chosen)


@dataclass(frozen=True)
class Train:
    """How the train goes: ``wait`` is T in seconds."""

    wait: float
    slots: int
    policy: str = "auto"
    guarantee: str = "tip-green"

    @property
    def gate(self) -> str:
        return f"sleep {self.wait:g}; ! test -e bad" if self.wait else "! test -e bad"


def measure(repeat: int) -> Iterator[Case]:
    """What it costs beside the tests (T is nothing, then a minute), then whole trains."""
    with workplace() as folder:
        origins = {files: make_repository(folder / f"origin{files}", files) for files in (236, 20_000)}
        for files, branches in ((236, 15), (20_000, 15), (20_000, 50)):
            for policy in ("serial", "auto"):
                yield from _cases(origins[files], Fleet(files, branches), [Train(0, 2, policy)], repeat or 3)
        for files, branches in ((236, 15), (236, 50), (20_000, 15)):
            yield _against_one_run(origins[files], Fleet(files, branches), Train(60, 2), repeat or 1)
        trains = [Train(2, slots) for slots in (1, 2, 4, 8)]
        for branches in (5, 15, 50):
            for bad in (0.0, 0.05, 0.2):
                yield from _cases(origins[236], Fleet(236, branches, bad), trains, repeat or 1)


def _cases(origin: Path, fleet: Fleet, trains: Sequence[Train], repeat: int) -> Iterator[Case]:
    """The loop and each train in turn, every one on a fresh clone; the loop knows neither slots nor policies."""
    plain = Side("rebase, test, fast-forward, one by one")
    sides = [Side("orchestra merge") for _ in trains]
    runs = [0 for _ in trains]
    for _ in range(repeat):
        plain.times.append(_loop(_ground(origin, fleet, trains[0]), fleet, trains[0]))
        for number, train in enumerate(trains):
            seconds, runs[number] = _merge(_ground(origin, fleet, train), fleet)
            sides[number].times.append(seconds)
    for train, ours, tests in zip(trains, sides, runs, strict=True):
        yield Case(_told(fleet, train, ours, tests), f"{fleet.files} files, T = {train.wait:g} s", ours, plain)


def _told(fleet: Fleet, train: Train, ours: Side, tests: int) -> str:
    """The case, with the makespan in T and the tests for each branch; without a T, what each branch costs."""
    told = f"{fleet.branches} branches, {fleet.bad:.0%} bad, {train.policy}, {train.slots} slots"
    if not train.wait:
        return told + f": {(ours.median / fleet.branches) * 1000:.0f} ms a branch beside the tests"
    least = _least(fleet, train)
    makespan = f"{ours.median / train.wait:.1f} T (at least {least})"
    return f"{told}: {makespan}, {tests / fleet.branches:.2f} tests a branch"


def _least(fleet: Fleet, train: Train) -> int:
    """T that even one who knew the answers needs: a test of all that lands, and one of each that does not."""
    return math.ceil((1 + len(fleet.culprits)) / train.slots)


def _against_one_run(origin: Path, fleet: Fleet, train: Train, repeat: int) -> Case:
    """A whole fleet against its gate run once, alone: no train can be faster."""
    ours, plain = Side("orchestra merge"), Side("the gate, once")
    for _ in range(repeat):
        plain.times.append(wall(["sh", "-c", train.gate], origin))
        ours.times.append(_merge(_ground(origin, fleet, train), fleet)[0])
    rounds = int(ours.median // train.wait)
    beside = 1 - rounds * train.wait / ours.median
    told = f"{fleet.branches} branches, none bad, {train.slots} slots: {rounds} T and {beside:.1%} beside the tests"
    return Case(told, f"{fleet.files} files, T = {train.wait:g} s", ours, plain)


def _ground(origin: Path, fleet: Fleet, train: Train) -> Path:
    """A clone with the fleet's branches, approved, and no worktrees: they are not what is measured."""
    home = fresh_copy(origin)
    base = git(home, "rev-parse", "main")
    stream = []
    for name in fleet.names:
        text = f"{name}\n"
        stream.append(f"commit refs/heads/agent/bench/{name}\ncommitter A <a@x> 1700000100 +0000\ndata 4\nwork\n")
        stream.append(f"from {base}\nM 100644 inline work/{name}.txt\ndata {len(text)}\n{text}\n")
        if name in fleet.culprits:
            stream.append("M 100644 inline bad\ndata 4\nbad\n\n")
    git(home, "fast-import", "--quiet", stdin="".join(stream).encode())
    for name in fleet.names:
        git(home, "update-ref", f"refs/orchestra/bench/{name}/base", base)
        git(home, "update-ref", f"refs/orchestra/bench/{name}/approved", f"agent/bench/{name}")
    agents = "\n".join(f"  - {{name: {name}, task: Nothing}}" for name in fleet.names)
    (home.parent / "bench.yaml").write_text(
        BLUEPRINT.format(
            gate=train.gate, slots=train.slots, policy=train.policy, guarantee=train.guarantee, agents=agents
        )
    )
    return home


def _merge(home: Path, fleet: Fleet) -> tuple[float, int]:
    """Seconds, and how many candidates were tested. What landed is checked."""
    argv = [ORCHESTRA, "merge", f"--blueprint={home.parent / 'bench.yaml'}", "--json"]
    seconds, told = _timed(argv, home)
    report = json.loads(told)
    _check(home, fleet)
    return seconds, int(report["tests_run"])


def _loop(home: Path, fleet: Fleet, train: Train) -> float:
    seconds, _ = _timed(["sh", "-c", LOOP, "sh", train.gate], home)
    _check(home, fleet)
    return seconds


def _timed(argv: list[str], home: Path) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):
        raise SystemExit(f"{argv} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def _check(home: Path, fleet: Fleet) -> None:
    """Exactly the good branches are on the target."""
    found = {Path(path).stem for path in git(home, "ls-tree", "--name-only", "main", "work/").splitlines()}
    if found != set(fleet.names) - fleet.culprits:
        raise SystemExit(f"landed: {sorted(found)}")
