"""The tasks that build orchestra itself. A clone's ``tasks.py`` adds them; an installed orchestra has none of them.

Invariant: each runs the tools of the interpreter that runs it, in the clone's root, on the developer's own
terminal, and ends with 0 or 1. Refuses: to fix anything unasked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

import orchestra
from orchestra.cli.console import Tone, tell
from orchestra.cli.program import task
from orchestra.errors import ExitCode

ROOT = Path(orchestra.__file__).parents[1]
_PYTHON = ("orchestra", "tests", "benchmarks", "tasks.py")
_PYTEST_USAGE = 4  # docs.pytest.org/en/stable/reference/exit-codes.html
_SHELL = ("inv", ".ci/run")  # and every scripts/*.sh


def add_to(collection: Collection) -> None:
    """Add the tasks of this module to a clone's collection."""
    for each in (test, lint, bench):
        collection.add_task(each)


@task(
    help={
        "paths": "Test folders or files, separated by commas. Default: all.",
        "jobs": "Test processes at once; 0 runs everything in one, as a debugger needs it.",
    }
)
def test(c: Context, paths: str = "", jobs: int = 2) -> ExitCode:
    """Run the tests of orchestra; needs only Python and git.

    What the machine lacks (tmux, other shells, the Claude Code client) is skipped; the end of the output lists
    each skipped test with the reason. Words after a lone `--` go to pytest: `./inv test -- -k approve -x`.
    """
    chosen = [path for path in paths.split(",") if path]
    workers = ["-n", str(jobs)] if jobs else ["-p", "no:xdist"]
    code = _run([sys.executable, "-m", "pytest", "-ra", *workers, *_after_dashes(), *chosen])
    return ExitCode.WRONG_INPUT if code == _PYTEST_USAGE else _worst([code])


@task()
def lint(c: Context) -> ExitCode:
    """Check style, types and shell: ruff, mypy --strict, shellcheck, shfmt. Changes nothing.

    `ruff check --fix`, `ruff format` and `shfmt -w` mend most of what it finds.
    """
    shell = [*_SHELL, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.sh"))]
    checks = (
        [_tool("ruff"), "check", "."],
        [_tool("ruff"), "format", "--check", "."],
        [sys.executable, "-m", "mypy", *(path for path in _PYTHON if (ROOT / path).exists())],
        [_tool("shellcheck"), "--shell=sh", *shell],
        [_tool("shfmt"), "-ln=posix", "-d", *shell],
    )
    return _worst([_named_run(check) for check in checks])


@task(
    help={
        "only": "Names of benchmarks, separated by commas. Default: all.",
        "repeat": "How often each thing is measured; 0 leaves it to the benchmark.",
    }
)
def bench(c: Context, only: str = "", repeat: int = 0, json: bool = False) -> ExitCode:
    """Measure: how fast tasks start, worktrees appear, fleets land, each against plain git in the same run.

    A table, or one JSON document with every single time. The figures of the README come from here.
    """
    options = [f"--only={only}"] * bool(only) + [f"--repeat={repeat}"] * bool(repeat) + ["--json"] * json
    code = _run([sys.executable, str(ROOT / "benchmarks" / "run.py"), *options])
    return ExitCode.WRONG_INPUT if code == ExitCode.WRONG_INPUT else _worst([code])


def _after_dashes() -> Sequence[str]:
    """The words after a lone ``--``, each as it was given (invoke's remainder has lost where they end)."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def _tool(name: str) -> str:
    """A program installed beside the running Python."""
    return str(Path(sys.executable).parent / name)


def _run(argv: Sequence[str]) -> int:
    """Run in the clone's root on this terminal; the exit code."""
    from orchestra.engine import process

    sys.stdout.flush()
    return process.foreground(argv, cwd=ROOT)


def _named_run(argv: Sequence[str]) -> int:
    tell(f"== {' '.join([Path(argv[0]).name, *argv[1:]])}", Tone.QUIET)
    return _run(argv)


def _worst(codes: Sequence[int]) -> ExitCode:
    return ExitCode.SHORT if any(codes) else ExitCode.DONE
