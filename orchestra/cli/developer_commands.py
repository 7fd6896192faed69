"""The tasks that build orchestra itself. A clone's ``tasks.py`` adds them; an installed orchestra has none of them.

Each runs the tools of the Python that runs it, in the clone's root, on the developer's own terminal, changes no
file, and ends with 0 or 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from invoke.collection import Collection

import orchestra
from orchestra.cli.call import Call, split_commas
from orchestra.cli.console import Tone, print_note
from orchestra.cli.program import task
from orchestra.errors import ExitCode

ROOT = Path(orchestra.__file__).parents[1]
# About a minute. CI runs it on other versions of the dependencies, of git and of Python.
FAST_TESTS = (
    "tests/blueprint",
    "tests/plan",
    "tests/git",
    "tests/engine",
    "tests/cli/test_demo_command.py",
    "tests/e2e/test_road.py",
)
# Many tests wait for processes and pauses, so that two for each core keep it busy; more would make each of them slow.
_JOBS = min(8, 2 * (os.cpu_count() or 1))
_PYTHON = ("orchestra", "tests", "benchmarks", "tasks.py")
_PYTEST_USAGE, _PYTEST_NO_TESTS = 4, 5  # docs.pytest.org/en/stable/reference/exit-codes.html
_RUFF_CACHE = ("--cache-dir", ".ruff_cache")  # else one more in every starter with a pyproject.toml
_SHELL_SCRIPTS = ("inv", ".ci/run", ".ci/newcomer")  # and every scripts/*.sh


def add_to(collection: Collection) -> None:
    """Add the tasks of this module to a clone's collection."""
    for command in (test, lint, bench):
        command.group = "Build orchestra"
        collection.add_task(command)


@task(
    "[PYTEST...]",
    help={
        "paths": "PATHS: Test folders or files, separated by commas. Default: all.",
        "fast": "Run the fast part: blueprint, plan, git, engine, the demo and one walk from spawn to merge.",
        "jobs": "Test processes at once, by default two for each core; 0 runs all tests in one, for a debugger.",
    },
    examples=("test --fast", "test tests/train tests/gates", "test --paths=tests/train -- -k approve -x"),
    exits={0: "all tests passed", 1: "a test failed, or no test was run"},
    shared=(),
)
def test(call: Call, pytests: tuple[str, ...], paths: str = "", fast: bool = False, jobs: int = _JOBS) -> ExitCode:
    """Run the tests of orchestra; needs only Python and git.

    Plain words are test folders or files. Tests of what the machine lacks (tmux, other shells, the Claude Code client)
    are skipped; the end of the output lists each skipped test with the reason. Words after a lone `--` go to pytest:
    `./inv test -- -k approve -x`.
    """
    # A comma separates paths; what holds one and is no path, as in `-k "a,b"`, is left to pytest.
    words = [part for word in pytests for part in (split_commas([word]) if word.startswith("tests/") else [word])]
    selected = split_commas([paths]) + list(FAST_TESTS) * fast
    named = [*selected, *(word for word in words if word.startswith("tests/"))]
    missing = [path for path in named if not (ROOT / path.partition("::")[0]).exists()]
    if missing:
        raise call.wrong_line(f"no test file or folder {', '.join(missing)}", hint=f"paths are relative to {ROOT}")
    # Each process starts in another part of the suite, so that tests that wait run next to tests that compute.
    workers = ["-n", str(jobs), "--dist", "worksteal"] if jobs else ["-p", "no:xdist"]
    code = _run([sys.executable, "-m", "pytest", "-ra", *workers, *words, *selected])
    if code == _PYTEST_NO_TESTS:
        print_note("error: no test was run: what was named or selected holds none", Tone.BAD)
    return ExitCode.WRONG_INPUT if code == _PYTEST_USAGE else _worst([code])


@task(examples=("lint",), exits={0: "no finding", 1: "findings"}, shared=())
def lint(call: Call) -> ExitCode:
    """Check style, types and shell scripts: ruff, mypy --strict, shellcheck, shfmt. Changes nothing.

    `ruff check --fix`, `ruff format` and `shfmt -w` fix most of what it reports.
    """
    programs = Path(sys.executable).parent
    scripts = [*_SHELL_SCRIPTS, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.sh"))]
    checks = (
        [str(programs / "ruff"), "check", *_RUFF_CACHE, "."],
        [str(programs / "ruff"), "format", *_RUFF_CACHE, "--check", "."],
        [sys.executable, "-m", "mypy", *(path for path in _PYTHON if (ROOT / path).exists())],
        [str(programs / "shellcheck"), "--shell=sh", *scripts],
        [str(programs / "shfmt"), "-ln=posix", "-d", *scripts],
    )
    codes = []
    for check in checks:
        print_note(f"== {' '.join([Path(check[0]).name, *check[1:]])}", Tone.QUIET)
        codes.append(_run(check))
    return _worst(codes)


@task(
    help={
        "only": "NAMES: Names of benchmarks, separated by commas. Default: all.",
        "repeat": "Number of measurements of each thing; 0 leaves it to the benchmark.",
    },
    examples=("bench", "bench --only=spawn --repeat=3"),
    shared=("json",),
)
def bench(call: Call, only: str = "", repeat: int = 0) -> ExitCode:
    """Measure start-up of tasks, creation of worktrees and landing of fleets, each against plain git in the same run.

    Prints a table, or with --json one document with every single time. The figures of the README come from here.
    """
    options = [f"--only={only}"] * bool(only) + [f"--repeat={repeat}"] * bool(repeat) + ["--json"] * call.json
    code = _run([sys.executable, str(ROOT / "benchmarks" / "run.py"), *options])
    return ExitCode.WRONG_INPUT if code == ExitCode.WRONG_INPUT else _worst([code])


def _run(argv: Sequence[str]) -> int:
    """Run a program in the clone's root on this terminal; return its exit code."""
    from orchestra.engine import process

    sys.stdout.flush()
    return process.foreground(argv, cwd=ROOT)


def _worst(codes: Sequence[int]) -> ExitCode:
    return ExitCode.SHORT if any(codes) else ExitCode.DONE
