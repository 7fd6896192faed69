"""What it costs to validate the biggest shipped blueprint, and to decide whether any two of its agents overlap.

The first cases are CPU time, not wall time: that is what a blueprint costs each command that loads one.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, git, make_repository, workplace
from timing import Case, compare

from orchestra.blueprint.catalog import shipped_blueprints
from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.scope_overlap import Overlaps

TITLE = "Blueprint: enterprise50, its standards pack and its profiles"
NAME = "enterprise50"
FILES, AGENTS = 2_000, 50
PARSE = "import sys, yaml\nfor file in sys.argv[1:]: list(yaml.parse(open(file), Loader=yaml.CSafeLoader))"
LOADED = "import sys, pathlib, orchestra.blueprint.load as load; load.load_blueprint(pathlib.Path(sys.argv[1]))"


def measure(repeat: int) -> Iterator[Case]:
    """Loading and the whole command, each in a process of its own; then the overlap alone, in this one."""
    file = shipped_blueprints() / f"{NAME}.yaml"
    pack = shipped_blueprints() / "standards" / "typescript-service.yaml"
    parse = [sys.executable, "-c", PARSE, str(file), str(pack)]
    with workplace() as folder:
        home = make_repository(folder / "main", FILES)
        yield compare(
            "load, CPU",
            f"{NAME}, {AGENTS} agents",
            ("load_blueprint, with its imports", partial(cpu, [sys.executable, "-c", LOADED, str(file)], home)),
            ("PyYAML parsing the two files", partial(cpu, parse, home)),
            repeat or 15,
        )
        yield compare(
            "validate, CPU",
            f"{NAME}, {AGENTS} agents",
            ("orchestra validate", partial(cpu, [ORCHESTRA, "validate", f"--blueprint={NAME}"], home)),
            ("PyYAML parsing the two files", partial(cpu, parse, home)),
            repeat or 15,
        )
        yield compare(
            "overlap",
            f"{AGENTS * (AGENTS - 1) // 2} pairs",
            ("Overlaps, over all possible paths", partial(decide, file)),
            (f"git ls-files for each agent, over {FILES}", partial(list_each, home, file)),
            repeat or 5,
        )


def cpu(argv: list[str], cwd: Path) -> float:
    """Seconds of CPU that a command takes, its children's included. It has to succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{argv} failed with {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def decide(file: Path) -> float:
    """Every pair, from nothing but the scopes."""
    scopes = [agent.scope for agent in load_blueprint(file).agents if agent.scope is not None]
    if len(scopes) != AGENTS:
        raise SystemExit(f"{len(scopes)} of {AGENTS} agents of {NAME} have a scope")
    start = time.perf_counter()
    overlaps = Overlaps(scopes)
    found = [(one, other) for one in range(AGENTS) for other in range(one) if overlaps.witness(one, other) is not None]
    seconds = time.perf_counter() - start
    if found:
        raise SystemExit(f"{NAME} is shipped without overlaps, and {len(found)} were found")
    return seconds


def list_each(home: Path, file: Path) -> float:
    """What one would do with git: list each agent's files, and look which are in two lists."""
    agents = load_blueprint(file).agents
    start = time.perf_counter()
    held = []
    for agent in agents:
        assert agent.scope is not None
        held.append(set(git(home, "ls-files", "--", *(f":(top,glob){one}" for one in agent.scope.include)).split()))
    for number, one in enumerate(held):
        for other in held[:number]:
            one.isdisjoint(other)
    return time.perf_counter() - start
