"""What is measured: wall time of whole commands, two sides in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Run = Callable[[], float]
"""One run of one side: prepares, measures, checks what came out, cleans up; the seconds that count."""


@dataclass(frozen=True)
class Side:
    """One of the two things compared. ``times`` are seconds, in the order measured."""

    name: str
    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.times)


@dataclass(frozen=True)
class Case:
    """One line of the table: orchestra's time for ``what``, ``where``, and the plain way's."""

    what: str
    where: str
    ours: Side
    plain: Side

    def document(self) -> dict[str, Any]:
        """As JSON: every time, and the medians and their ratio for those who do not want to compute."""
        return {
            "what": self.what,
            "where": self.where,
            "orchestra": {"name": self.ours.name, "median_s": self.ours.median, "times_s": self.ours.times},
            "plain": {"name": self.plain.name, "median_s": self.plain.median, "times_s": self.plain.times},
            "ratio": self.ours.median / self.plain.median,
        }


def compare(
    what: str, where: str, ours: tuple[str, Run], plain: tuple[str, Run], repeat: int, *, warm_up: bool = True
) -> Case:
    """Run both sides ``repeat`` times, in turn; ``warm_up`` is one more run of each, first, that does not count."""
    case = Case(what, where, Side(ours[0]), Side(plain[0]))
    for number in range(-warm_up, repeat):
        for side, run in ((case.plain, plain[1]), (case.ours, ours[1])):
            seconds = run()
            if number >= 0:
                side.times.append(seconds)
    return case


def wall(argv: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Seconds that a command takes. It has to succeed; what it says is shown only when it does not."""
    os.sync()  # what an earlier run left to be written is not this one's to pay for
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{argv} failed with {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}")
    return seconds
