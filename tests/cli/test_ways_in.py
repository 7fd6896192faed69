"""Three ways in, one behaviour: ``orchestra``, a clone's ``./inv`` and plain ``inv`` (CONTRACT.md, "Ways in")."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TASKS = '''
import errno, os, sys
from invoke.context import Context
from orchestra.errors import *
from orchestra.cli import ns
from orchestra.cli.program import main, task

@task(positional=["agent"], help={"count": "How many."})
def show(c, agent, count: int = 1, repo: str | None = None, json: bool = False):
    """Show an agent."""
    print(f"{agent} {count} {repo} {json}")

@task()
def fail(c, how: str = ""):
    """End badly."""
    from pathlib import Path
    endings = {
        "short": Shortfall("two agents were evicted", hint="see above"),
        "blueprint": BlueprintError([Problem(Path("b.yaml"), 2, 1, "two"), Problem(Path("b.yaml"), 1, 1, "one", "h")]),
        "ground": GroundError("no repository here"),
        "bug": ZeroDivisionError("boom"),
        "interrupt": KeyboardInterrupt(),
        "disk": OSError(errno.ENOSPC, "No space left on device", "/some/file"),
        "child-pipe": BrokenPipeError("to a child of ours"),
    }
    raise endings[how]

@task()
def code(c):
    """Return an exit code."""
    return ExitCode.SHORT

@task(name="many-lines")
def many(c):
    """Print more than a pipe holds."""
    for number in range(100_000):
        print(number)

for each in (show, fail, code, many):
    ns.add_task(each)
if __name__ == "__main__":
    main(ns, binary="inv")
'''


@dataclass(frozen=True)
class WayIn:
    """How a person starts a task; ``argv`` goes before it."""

    argv: tuple[str, ...]
    folder: Path

    def run(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.argv, *words], cwd=self.folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )


@pytest.fixture(params=["plain inv", "./inv"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> WayIn:
    (tmp_path / "tasks.py").write_text(TASKS)
    argv = ("-m", "invoke") if request.param == "plain inv" else ("tasks.py",)
    return WayIn((sys.executable, *argv), tmp_path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("shwo schema", "error: no task 'shwo'; did you mean 'show'?"),
        ("--lits", "error: no option '--lits'; did you mean '--list'?"),
        ("show schema --jsno", "error: show has no option '--jsno'; did you mean '--json'?"),
        ("show schema --jsno=1", "error: show has no option '--jsno'; did you mean '--json'?"),
        ("show schema --json=yes", "error: --json takes no value"),
        ("show schema --count seven", "error: --count takes a whole number, not 'seven'"),
        ("show schema --repo", "error: --repo needs a value"),
        ("show schema --repo=", "error: --repo needs a value"),
        ("show", "error: show needs AGENT"),
        ("show --json", "error: show needs AGENT"),
        ("show --jsno", "error: show has no option '--jsno'; did you mean '--json'?"),
        ("show -x=1", "error: show has no option '-x'"),
        ("show --repo", "error: --repo needs a value"),
        ("show schema api", "error: show takes 1 plain argument, not 'api'"),
        ("show schema -j", "error: show has no option '-j'"),
        ("code more", "error: code takes no plain arguments, not 'more'"),
        ("--help shwo", "error: no task 'shwo'; did you mean 'show'?"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_a_mend(way: WayIn, line: str, complaint: str) -> None:
    done = way.run(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)
    assert done.stderr.splitlines()[1] == "usage: inv TASK [--option=VALUE ...]   (inv --list; inv TASK --help)"
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("short", 1, "error: two agents were evicted\nhint: see above\n"),
        ("blueprint", 2, "b.yaml:1:1: one\n    hint: h\nb.yaml:2:1: two\n"),
        ("ground", 3, "error: no repository here\n"),
        ("interrupt", 130, "Interrupted. Run the same command again to continue.\n"),
        ("disk", 3, "error: no space left on the device that holds /some/file\nhint: Free some space and run"),
        ("bug", 3, "error: something unexpected happened: ZeroDivisionError: boom\nhint: the traceback is in /"),
        ("child-pipe", 3, "error: something unexpected happened: BrokenPipeError"),
    ],
)
def test_each_ending_has_its_code_and_words(way: WayIn, how: str, code: int, said: str) -> None:
    done = way.run("fail", f"--how={how}")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_the_log_of_an_unexpected_end_holds_what_a_report_needs(way: WayIn) -> None:
    said = way.run("fail", "--how=bug").stderr
    log = Path(said.partition("the traceback is in ")[2].partition(";")[0])
    text = log.read_text()
    assert log.is_relative_to(Path(os.environ["HOME"]) / ".cache" / "orchestra" / "logs")
    assert log.stat().st_mode & 0o077 == 0
    assert text.startswith("orchestra ")
    assert "--how=bug" in text
    assert "ZeroDivisionError: boom" in text.splitlines()[-1]


def test_a_log_that_cannot_be_kept_is_shown(way: WayIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "file"))
    monkeypatch.setenv("TEMP", str(tmp_path / "file"))
    said = way.run("fail", "--how=bug").stderr
    assert "the traceback is in" in said or "ZeroDivisionError: boom" in said.splitlines()[-1]


def test_arguments_arrive(way: WayIn) -> None:
    done = way.run("show", "schema", "--count=3", "--repo", "a=b", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "schema 3 a=b True\n", "")


def test_a_returned_code_is_the_exit_code_and_ends_the_line_of_tasks(way: WayIn) -> None:
    done = way.run("code", "show", "schema")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_reader_that_leaves_is_no_error(way: WayIn) -> None:
    with subprocess.Popen([*way.argv, "many-lines"], cwd=way.folder, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (141, "")


def test_full_standard_output_is_a_clear_error(way: WayIn) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*way.argv, "code"], cwd=way.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 1
        done = subprocess.run(
            [*way.argv, "show", "x"], cwd=way.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (3, "error: no space left on the device\n")


def test_both_ways_list_and_explain_the_same(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    plain = WayIn((sys.executable, "-m", "invoke"), tmp_path)
    clone = WayIn((sys.executable, "tasks.py"), tmp_path)
    assert clone.run("--list").stdout == plain.run("--list").stdout
    explained = clone.run("show", "--help").stdout
    assert clone.run("code", "show", "-h").stdout == clone.run("--help", "show").stdout == explained
    assert explained == plain.run("show", "--help").stdout.replace("inv[oke]", "inv")
    assert "The repository, or any folder in it." in explained


def test_invokes_own_dry_run_is_not_mistaken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    plain = WayIn((sys.executable, "-m", "invoke"), tmp_path).run("--dry", "show", "x")
    clone = WayIn((sys.executable, "tasks.py"), tmp_path).run("--dry", "show", "x")
    assert (plain.returncode, clone.returncode, plain.stdout, clone.stdout) == (2, 2, "", "")


def test_the_installed_command_is_the_same_program(tmp_path: Path) -> None:
    command = WayIn((str(Path(sys.executable).parent / "orchestra"),), tmp_path)
    assert command.run("--version").stdout.startswith("orchestra ")
    done = command.run("nosuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no task 'nosuch'")


def test_a_broken_invoke_configuration_at_home_does_not_matter(tmp_path: Path, hermetic_environment: Path) -> None:
    broken = hermetic_environment / ".invoke.yaml"
    broken.write_text("{[")
    try:
        assert WayIn((str(Path(sys.executable).parent / "orchestra"),), tmp_path).run("--version").returncode == 0
    finally:
        broken.unlink()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_command(shell: str, tmp_path: Path) -> None:
    done = WayIn((str(Path(sys.executable).parent / "orchestra"),), tmp_path).run("--print-completion-script", shell)
    assert done.returncode == 0
    assert "_complete_orchestra" in done.stdout or "orchestra --complete" in done.stdout
