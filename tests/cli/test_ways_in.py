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
from orchestra.errors import *
from orchestra.cli import ns
from orchestra.cli.program import main, task

@task("AGENT", help={"count": "How many."}, examples=("show api",))
def show(call, agent, count: int = 1):
    """Show an agent."""
    print(f"{agent} {count} {call.repo} {call.json}")

@task("[AGENT...]")
def each(call, agents):
    """Show agents."""
    print("each", *agents)

@task(help={"how": "How."})
def fail(call, how: str = ""):
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
def code(call):
    """Return an exit code."""
    return ExitCode.SHORT

@task(name="many-lines")
def many(call):
    """Print more than a pipe holds."""
    for number in range(100_000):
        print(number)

for task in (show, each, fail, code, many):
    ns.add_task(task)
if __name__ == "__main__":
    main(ns)
'''

SHOW = "show AGENT [--count=N] [options]"
PROGRAM = "VERB [AGENT...] [options]"


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
    ("line", "message", "usage"),
    [
        ("shwo schema", "error: no verb 'shwo'\nhint: did you mean \"show\"?", PROGRAM),
        ("show schema --jsno", 'error: show has no option --jsno\nhint: did you mean "--json"?', SHOW),
        ("show schema --jsno=1", 'error: show has no option --jsno\nhint: did you mean "--json"?', SHOW),
        ("show schema --json=yes", "error: --json takes no value", SHOW),
        ("show schema --count seven", "error: --count takes a whole number, not 'seven'", SHOW),
        ("show schema --repo", "error: --repo needs a value", SHOW),
        ("show schema --repo=", "error: --repo needs a value", SHOW),
        ("show", "error: show needs AGENT", SHOW),
        ("show --json", "error: show needs AGENT", SHOW),
        ("show --jsno", 'error: show has no option --jsno\nhint: did you mean "--json"?', SHOW),
        ("show -x=1", "error: show has no option -x", SHOW),
        ("show schema api", "error: show takes only AGENT (got 'api' as well)", SHOW),
        ("show schema -j", "error: show has no option -j", SHOW),
        ("code more", "error: code takes no plain words (got 'more')", "code [options]"),
        ("--help shwo", "error: no verb 'shwo'\nhint: did you mean \"show\"?", PROGRAM),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_the_usage_of_its_verb(
    way: WayIn, line: str, message: str, usage: str
) -> None:
    done = way.run(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{message}\nusage: inv {usage}\n"


def test_a_word_after_a_verb_is_an_agent_even_if_a_task_has_its_name(way: WayIn) -> None:
    done = way.run("each", "code", "fail", "help")
    assert (done.returncode, done.stdout, done.stderr) == (0, "each code fail help\n", "")


def test_options_may_stand_before_the_verb_and_between_its_words(way: WayIn) -> None:
    assert way.run("each", "--repo=.", "one", "-b", "f", "two").stdout == "each one two\n"
    assert way.run("show", "--", "--json").stdout == "--json 1 None False\n"
    assert way.run("each", "--agents=one,two", "--agents", "three").stdout == "each one,two three\n"


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


def test_a_returned_code_is_the_exit_code(way: WayIn) -> None:
    done = way.run("code")
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
    assert done.returncode == 3
    assert done.stderr.startswith("error: no space left on the device\nhint: Free some space and run the same command")


def test_tasks_of_a_repository_keep_invokes_own_command_line(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\nfrom orchestra.cli import ns\n"
        "@task\ndef status_page(c):\n    print('page')\n@task\ndef api(c):\n    print('api')\n"
        "ns.add_task(status_page)\nns.add_task(api)\n"
    )
    plain = WayIn((sys.executable, "-m", "invoke"), tmp_path)
    assert plain.run("status-page", "api").stdout == "page\napi\n"
    mixed = plain.run("status-page", "version")
    assert (mixed.returncode, mixed.stdout) == (2, "")
    assert mixed.stderr == "error: version needs a command line of its own\nhint: run inv version by itself\n"


def test_both_ways_list_and_explain_the_same(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    plain = WayIn((sys.executable, "-m", "invoke"), tmp_path)
    clone = WayIn((sys.executable, "tasks.py"), tmp_path)
    explained = clone.run("show", "--help").stdout
    assert clone.run("show", "-h").stdout == clone.run("--help", "show").stdout == explained
    assert explained == plain.run("show", "--help").stdout == plain.run("--help", "show").stdout
    assert explained.startswith(f"usage: inv {SHOW}\n\nShow an agent.\n")
    assert clone.run("help").stdout == plain.run("help").stdout
    assert "  show  " in plain.run("--list").stdout
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
    assert done.stderr.startswith("error: no verb 'nosuch'")


def test_a_broken_invoke_configuration_at_home_does_not_matter(tmp_path: Path, hermetic_environment: Path) -> None:
    broken = hermetic_environment / ".invoke.yaml"
    broken.write_text("{[")
    try:
        assert WayIn((str(Path(sys.executable).parent / "orchestra"),), tmp_path).run("--version").returncode == 0
    finally:
        broken.unlink()
