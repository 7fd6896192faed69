"""The tasks of the clone run the right tools and end with their exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.cli.developer_commands import FAST_TESTS

ROOT = Path(__file__).parents[2]


def inv(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tasks.py"), *words], cwd="/", capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a folder of tests: one passes, one fails, one is skipped."""
    (tmp_path / "test_room.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad_one(): assert 0\n"
        "@pytest.mark.skipif(True, reason='no tmux here')\n"
        "def test_skipped(): pass\n"
    )
    return tmp_path


def test_words_after_the_dashes_reach_pytest_unchanged(folder: Path) -> None:
    result = inv("test", f"--paths={folder}", "--jobs=0", "--", "-k", "good or skipped")
    assert (result.returncode, result.stderr) == (0, "")
    assert "SKIPPED [1]" in result.stdout
    assert "no tmux here" in result.stdout
    assert "1 passed, 1 skipped, 1 deselected" in result.stdout.splitlines()[-1]


def test_a_failing_test_ends_with_1_and_a_wrong_path_with_2(folder: Path) -> None:
    assert inv("test", f"--paths={folder}", "--jobs=0").returncode == 1
    assert inv("test", f"--paths={folder / 'nowhere'}", "--jobs=0").returncode == 2


def test_the_fast_part_names_folders_and_files_that_exist() -> None:
    assert not [path for path in FAST_TESTS if not (ROOT / path).exists()]


def test_bench_lists_its_benchmarks_when_a_name_is_unknown() -> None:
    result = inv("bench", "--only=nosuch")
    assert result.returncode == 2
    assert result.stderr.startswith("no benchmark nosuch; there are: ")
    assert {"spawn", "start"} <= set(result.stderr.rpartition(": ")[2].strip().split(", "))


def test_paths_are_plain_words_and_a_missing_one_is_named() -> None:
    result = inv("test", "tests/train/test_eta.py,tests/cli/nowhere.py", "tests/nowhere")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no test file or folder tests/cli/nowhere.py, tests/nowhere\n")
    passed = inv("test", "tests/train/test_eta.py,tests/packaging/__init__.py", "--jobs=0")
    assert passed.returncode == 0, passed.stdout


def test_a_run_without_a_test_is_an_error_that_says_so(folder: Path) -> None:
    result = inv("test", f"--paths={folder}", "--jobs=0", "--", "-k", "nothing_of_this_name")
    assert result.returncode == 1
    assert "error: no test was run: what was named or selected holds none" in result.stderr
