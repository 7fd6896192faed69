"""``./inv``: called from any folder, by two calls at once, and after a kill, it sets up one environment.

The installer is a stand-in ``uv`` that makes a real environment without a network and that a test can stop in the
middle.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = """\
#!{python}
import os, pathlib, subprocess, sys
words, log = sys.argv[1:], pathlib.Path({log!r})
with log.open("a") as file:
    file.write(" ".join(words[:2]) + "\\n")
if words[0] == "venv":
    subprocess.run([words[-2], "-m", "venv", "--without-pip", words[-1]], check=True)
else:
    assert words[0] == "sync" and "--locked" in words and words[words.index("--project") + 1] == {clone!r}, words
    gate = pathlib.Path({clone!r}) / "hold"
    if gate.exists():
        gate.open("w").close()  # a fifo: the test sees that the installation began ...
        gate.open().close()  # ... and lets it go on
    if pathlib.Path({clone!r}, "broken").exists():
        sys.exit("uv: no network")
    site = next(pathlib.Path(words[words.index("--python") + 1]).parents[1].glob("lib/python*/site-packages"))
    (site / "all.pth").write_text({site!r} + "\\n")
"""


class Clone:
    """A folder that looks like a fresh clone, and a PATH that begins with the stand-in uv."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a clone"
        self.path.mkdir()
        for name in ("inv", "pyproject.toml", "uv.lock", "requirements.txt"):
            shutil.copy(ROOT / name, self.path)
        (self.path / "tasks.py").write_text("import os, sys\nprint(os.getcwd(), *sys.argv[1:])\n")
        self.log = folder / "uv.log"
        self.log.touch()
        tools = folder / "bin"
        tools.mkdir()
        site = sysconfig.get_paths()["purelib"]
        text = UV.format(python=sys.executable, log=str(self.log), clone=str(self.path), site=site)
        (tools / "uv").write_text(text)
        (tools / "uv").chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "ORCHESTRA_PYTHON": sys.executable}

    def start(self, *words: str, called: Path | None = None, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(called or self.path / "inv"), *words],
            cwd=cwd or self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, called: Path | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
        process = self.start(*words, called=called, cwd=cwd)
        out, err = process.communicate()
        return process.returncode, out, err

    @property
    def installations(self) -> int:
        return self.log.read_text().count("sync ")

    def hold(self) -> Path:
        """Stop the next installation in the middle: it opens the fifo to write, then waits to open it for reading."""
        gate = self.path / "hold"
        os.mkfifo(gate)
        return gate


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_the_first_call_sets_up_and_prints_one_line_and_the_next_prints_none(clone: Clone, tmp_path: Path) -> None:
    code, out, err = clone.run("status", "--repo", "a b", cwd=tmp_path)
    assert (code, out) == (0, f"{tmp_path} status --repo a b\n")
    assert err.startswith("inv: setting up .venv with Python 3.")
    assert len(err.splitlines()) == 1
    assert clone.run("x") == (0, f"{clone.path} x\n", "")
    assert clone.installations == 1


def test_it_finds_its_clone_behind_symbolic_links(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "one").symlink_to("../a clone/inv")
    (tmp_path / "two").symlink_to(tmp_path / "links" / "one")
    assert clone.run("x", called=tmp_path / "two", cwd=tmp_path)[:2] == (0, f"{tmp_path} x\n")
    assert (clone.path / ".venv").is_dir()


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_a_changed_project_or_lock_is_installed_again(clone: Clone, name: str) -> None:
    clone.run()
    with (clone.path / name).open("a") as file:
        file.write("# changed\n")
    clone.run()
    clone.run()
    assert clone.installations == 2


def test_a_moved_clone_is_installed_again(clone: Clone, tmp_path: Path) -> None:
    clone.run()
    stamp = clone.path / ".venv" / ".made-from"
    stamp.write_text(stamp.read_text().replace(str(clone.path), "/elsewhere"))
    clone.run()
    assert clone.installations == 2


def test_two_at_once_install_once(clone: Clone) -> None:
    gate = clone.hold()
    first = clone.start("one")
    gate.open().close()  # the first is in the middle of its installation
    second = clone.start("two")
    assert second.stderr is not None
    assert second.stderr.readline() == "inv: another call is setting up .venv; waiting for it\n"
    gate.rename(clone.path / "held")
    (clone.path / "held").open("w").close()
    assert first.communicate()[0] == f"{clone.path} one\n"
    assert second.communicate()[0] == f"{clone.path} two\n"
    assert (first.returncode, second.returncode, clone.installations) == (0, 0, 1)


def test_a_task_runs_without_the_lock(clone: Clone) -> None:
    (clone.path / "tasks.py").write_text("import os\nprint(sorted(map(int, os.listdir('/proc/self/fd'))))\n")
    assert clone.run()[1] == clone.run()[1] == "[0, 1, 2, 3]\n"


def test_after_a_kill_in_the_middle_the_next_call_makes_the_environment_again(clone: Clone) -> None:
    gate = clone.hold()
    process = clone.start("one")
    gate.open().close()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    gate.unlink()
    (clone.path / ".venv" / "half-made").touch()
    assert clone.run("two")[:2] == (0, f"{clone.path} two\n")
    assert not (clone.path / ".venv" / "half-made").exists()


def test_an_environment_made_by_the_person_is_not_removed(clone: Clone) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone.path / ".venv"], check=True)
    (clone.path / ".venv" / "mine").touch()
    assert clone.run()[0] == 0
    assert (clone.path / ".venv" / "mine").exists()


def test_a_folder_named_venv_that_is_no_environment_is_not_removed(clone: Clone) -> None:
    (clone.path / ".venv").mkdir()
    (clone.path / ".venv" / "mine").touch()
    code, _, err = clone.run()
    assert code == 3
    assert "was not made by this script" in err
    assert (clone.path / ".venv" / "mine").exists()


def test_a_failed_installation_is_reported_and_tried_again(clone: Clone) -> None:
    (clone.path / "broken").touch()
    clone.environment["PIP_NO_INDEX"] = "1"
    clone.environment["PIP_FIND_LINKS"] = str(clone.path)
    code, out, err = clone.run()
    assert (code, out) == (3, "")
    assert "uv: no network" in err
    assert err.splitlines()[-1] == "inv: the installation failed, for the reason above. The next call tries again."
    (clone.path / "broken").unlink()
    assert clone.run("x")[:2] == (0, f"{clone.path} x\n")


def test_a_clone_that_cannot_be_written_is_an_error_without_a_traceback(clone: Clone) -> None:
    (clone.path / ".venv.lock").mkdir()  # root may write anywhere, but not into a folder
    code, out, err = clone.run()
    assert (code, out) == (3, "")
    assert err.startswith("inv: cannot set up .venv: ")
    assert len(err.splitlines()) == 1


def test_an_interrupt_while_waiting_is_quiet(clone: Clone) -> None:
    gate = clone.hold()
    first = clone.start("one")
    gate.open().close()
    second = clone.start("two")
    assert second.stderr is not None
    second.stderr.readline()
    second.send_signal(signal.SIGINT)
    assert second.communicate() == ("", "")
    assert second.returncode == 130
    gate.rename(clone.path / "held")
    (clone.path / "held").open("w").close()
    assert first.communicate()[0] == f"{clone.path} one\n"


def test_without_a_python_it_prints_what_to_install(clone: Clone, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for tool in ("sh", "dirname", "readlink", "cksum"):
        (bare / tool).symlink_to(shutil.which(tool) or tool)
    clone.environment = {"PATH": str(bare)}
    code, _, err = clone.run()
    assert code == 3
    assert err.startswith("inv: no Python >= 3.11 with venv found")
    assert not (clone.path / ".venv").exists()
