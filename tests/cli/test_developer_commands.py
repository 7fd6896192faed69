"""The tasks of the clone: they run the right tools, and end as those do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def inv(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tasks.py"), *words], cwd="/", capture_output=True, text=True, check=False
    )


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder of tests: one passes, one fails, one is skipped."""
    (tmp_path / "test_room.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad_one(): assert 0\n"
        "@pytest.mark.skipif(True, reason='no tmux here')\n"
        "def test_skipped(): pass\n"
    )
    return tmp_path


def test_words_after_the_dashes_reach_pytest_as_they_were(room: Path) -> None:
    done = inv("test", f"--paths={room}", "--jobs=0", "--", "-k", "good or skipped")
    assert (done.returncode, done.stderr) == (0, "")
    assert "SKIPPED [1]" in done.stdout
    assert "no tmux here" in done.stdout
    assert "1 passed, 1 skipped, 1 deselected" in done.stdout.splitlines()[-1]


def test_a_failing_test_ends_with_1_and_a_wrong_path_with_2(room: Path) -> None:
    assert inv("test", f"--paths={room}", "--jobs=0").returncode == 1
    assert inv("test", f"--paths={room / 'nowhere'}", "--jobs=0").returncode == 2


def test_bench_knows_its_names() -> None:
    done = inv("bench", "--only=nosuch")
    assert done.returncode == 2
    assert done.stderr.startswith("no benchmark nosuch; there are: ")
    assert {"spawn", "start"} <= set(done.stderr.rpartition(": ")[2].strip().split(", "))
