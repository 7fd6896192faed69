"""Measure orchestra against plain git in the same run: ``./inv bench``, or ``python benchmarks/run.py``.

Every ``bench_*.py`` beside this file has a ``TITLE`` and a function ``measure(repeat)`` that yields ``Case``s (see
``timing.py``). The two sides of a case are measured in turn, so that a busy machine is busy for both. Medians are
shown; ``--json`` holds every single time, in seconds, and what machine it was.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

from timing import Case

from orchestra import __version__
from orchestra.cli.console import print_note, print_result
from orchestra.cli.table_layout import show_table

HERE = Path(__file__).parent


class Benchmark(Protocol):
    """What a ``bench_*.py`` module is."""

    TITLE: str

    def measure(self, repeat: int) -> Iterator[Case]:
        """The cases, one after the other; ``repeat`` 0 leaves the number of runs to the benchmark."""


def main() -> int:
    """Run the chosen benchmarks; 0, or 2 for a name that is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    chosen = [name for name in options.only.split(",") if name] or known
    if unknown := set(chosen) - set(known):
        print_note(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return 2
    report: dict[str, Any] = {"machine": machine(), "benchmarks": []}
    for name in chosen:
        report["benchmarks"].append(run(name, options.repeat, show=not options.json))
    if options.json:
        json.dump(report, sys.stdout, indent=2)
        print()
    return 0


def run(name: str, repeat: int, *, show: bool) -> dict[str, Any]:
    """One benchmark, measured and shown; its part of the document."""
    benchmark = cast(Benchmark, importlib.import_module(f"bench_{name}"))
    cases = []
    for case in benchmark.measure(repeat):
        print_note(
            f"{name}: {case.what}, {case.where}: {spoken(case.ours.median)}, against {spoken(case.plain.median)}"
        )
        cases.append(case)
    if show:
        print_result()
        print_result(benchmark.TITLE)
        show_table(["what", "where", "orchestra", "against", "takes", "ratio", "runs"], [row(case) for case in cases])
    return {"name": name, "title": benchmark.TITLE, "cases": [case.document() for case in cases]}


def row(case: Case) -> list[str]:
    """A line of the table; the ratio says how many times the plain way's time orchestra takes."""
    ratio = case.ours.median / case.plain.median
    return [
        case.what,
        case.where,
        spoken(case.ours.median),
        case.plain.name,
        spoken(case.plain.median),
        f"{ratio:.2f}",
        str(len(case.ours.times)),
    ]


def spoken(seconds: float) -> str:
    """Three digits, and the unit that fits."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "orchestra": __version__,
        "python": platform.python_version(),
        "git": git,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
