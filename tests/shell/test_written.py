"""What the scripts look like: checked by the tools of the trade, never stale, and of their word about exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.load import load_blueprint
from orchestra.errors import UsageError
from orchestra.gates import environment
from orchestra.shell.inputs import collect_inputs
from orchestra.shell.quoting import here_document, quote, words
from orchestra.shell.script import MERGE_HELPER, ORCHESTRATE, is_generated, scripts
from tests.conftest import Checkout
from tests.shell.conftest import Written, write_scripts
from tests.shell.shells import SHELLS, run

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SHIPPED = [path.stem for path in sorted((ROOT / "blueprints").glob("*.yaml"))]


def test_the_scripts_that_are_checked_in_are_those_of_mvp5() -> None:
    made = scripts(collect_inputs(load_blueprint(ROOT / "blueprints/mvp5.yaml"), "mvp5"))
    for name, text in made.items():
        assert (ROOT / "scripts" / name).read_text("utf-8") == text, "stale: run  inv scripts --blueprint=mvp5"


def _complaints(argv: list[str], file: Path) -> str:
    done = subprocess.run([*argv, str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode or done.stdout else ""


@pytest.mark.parametrize("name", [ORCHESTRATE, MERGE_HELPER])
def test_shellcheck_has_nothing_to_say(name: str) -> None:
    """What differs between blueprints is data; one of them stands for all."""
    assert _complaints([str(BIN / "shellcheck"), "-s", "sh"], ROOT / "scripts" / name) == ""


@pytest.mark.parametrize("name", SHIPPED)
def test_scripts_of_every_shipped_blueprint_are_well_formed(name: str, tmp_path: Path) -> None:
    for file, text in scripts(collect_inputs(load_blueprint(ROOT / "blueprints" / f"{name}.yaml"), name)).items():
        (tmp_path / file).write_text(text, "utf-8")
        assert is_generated(text)
        assert _complaints([str(BIN / "shfmt"), "-ln", "posix", "-d"], tmp_path / file) == ""
        assert _complaints(["sh", "-n"], tmp_path / file) == ""


def test_the_same_blueprint_gives_the_same_bytes() -> None:
    blueprint = load_blueprint(ROOT / "blueprints/mvp5.yaml")
    assert scripts(collect_inputs(blueprint, "mvp5")) == scripts(collect_inputs(blueprint, "mvp5"))


# -- quoting -----------------------------------------------------------------------------------------------------

ANY = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
NASTY = ["", "'", "''", "=ls", "~", "-n", "$HOME`id`", "a\nb\n", "\r\n", "\\", "*?[a]", "\u202e", "END_OF_TEXT", "!!"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_words_back(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "words"
    script.write_text(f"for word in {words(*NASTY)}; do printf '%s\\037' \"$word\"; done\n", "utf-8", newline="")
    assert run(shell, script, cwd=tmp_path).out.split("\x1f")[:-1] == NASTY


@given(ANY)
def test_sh_reads_any_word_and_any_text_back(value: str) -> None:
    text = f"{value}\n"
    source = f"printf '%s\\037' {quote(value)}\ncat {here_document(text)}\n"
    done = subprocess.run(["sh"], input=source.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}\x1f{text}"


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_shell_can_hold_is_refused(value: str) -> None:
    with pytest.raises(UsageError):
        quote(value)


# -- words and codes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [ORCHESTRATE, MERGE_HELPER])
def test_help_and_wrong_words(script: str, small: Written, tmp_path: Path) -> None:
    place = small.orchestrate.with_name(script)
    assert run("sh", place, "--help", cwd=tmp_path).out.startswith(f"Usage: {script}")
    wrong = run("sh", place, "frobnicate", cwd=tmp_path, ok=False)
    assert (wrong.code, wrong.out) == (2, "")
    assert f"error: {script} has no verb 'frobnicate'" in wrong.err
    outside = run("sh", place, cwd=tmp_path, ok=False)
    assert outside.code == 3
    assert "not inside a git repository" in outside.err


def test_a_dry_run_changes_nothing(repository: Checkout, small: Written) -> None:
    before = sorted(str(path) for path in repository.path.parent.rglob("*"))
    done = run("sh", small.orchestrate, cwd=repository.path, env={"ORCHESTRA_DRY_RUN": "1"})
    assert all(line.startswith("would ") for line in done.lines)
    run("sh", small.merge_helper, cwd=repository.path, env={"ORCHESTRA_DRY_RUN": "1"})
    assert sorted(str(path) for path in repository.path.parent.rglob("*")) == before


def test_every_problem_is_reported_before_anything_is_made(repository: Checkout, small: Written) -> None:
    repository.git("branch", "agent/small/one")
    (repository.path.parent / "worktrees/agent-2").mkdir(parents=True)
    repository.commit("ours", {"TASK.md": "a task of the team's\n"})
    done = run("sh", small.orchestrate, cwd=repository.path, ok=False)
    assert done.code == 3
    for word in ("TASK.md", "branch agent/small/one of agent one already exists", "agent-2, the worktree of"):
        assert word in done.err
    assert repository.git("for-each-ref", "refs/orchestra") == ""


def test_the_allow_list_of_gates_is_the_tools() -> None:
    part = (ROOT / "orchestra/shell/parts/gates.sh").read_text()
    listed = part[part.index("for o_name in ") : part.index("; do\n\t\teval")].replace("\\\n", " ").split()[3:]
    given_names = dict.fromkeys([*listed, "SECRET", "SSH_AUTH_SOCK", "GIT_DIR", "AWS_SECRET_ACCESS_KEY"], "x")
    fixed = {"CI", "TERM", "GIT_TERMINAL_PROMPT"}
    assert set(environment.gate_environment(given_names)) - fixed == set(listed)
    assert {name for name in environment._ALLOWED if name not in listed} == set()


def test_a_failed_set_up_is_reported_and_tried_again(repository: Checkout, tmp_path: Path) -> None:
    """One that fails, one that is too slow: exit 1, the others are ready, and the next spawn tries again."""
    from tests.shell.conftest import SMALL

    command = "case $ORCHESTRA_AGENT in one) test -e ok;; two) test -e ok || sleep 9;; esac"
    setup = f"worktrees: {{setup: {{timeout: 1s, run: ['{command}']}}}}\n"
    written = write_scripts(tmp_path / "failing", SMALL + setup)
    done = run("sh", written.orchestrate, cwd=repository.path, ok=False)
    assert done.code == 1
    assert "one: not ready: `case" in done.err
    assert "did not end within 1 s" in done.err
    for agent in ("one", "two"):
        (repository.path.parent / f"worktrees/agent-{agent.replace('one', '1').replace('two', '2')}/ok").touch()
    assert run("sh", written.orchestrate, cwd=repository.path).code == 0


def test_start_hands_the_terminal_to_the_program(repository: Checkout, tmp_path: Path) -> None:
    from tests.shell.conftest import SMALL

    program = 'printf "%s|" "$PWD" "$ORCHESTRA_AGENT" "$@"'
    argv = f"[sh, -c, '{program}', x, '{{worktree}}/w', '{{{{ agent.name }}}}']"
    runner = f"runner: {{kind: command, command: {argv}}}\n"
    written = write_scripts(tmp_path / "run", SMALL + runner)
    run("sh", written.orchestrate, cwd=repository.path)
    done = run("sh", written.orchestrate, "start", "2", cwd=repository.path)
    there = repository.path.parent / "worktrees/agent-2"
    assert done.out == f"{there}|two|{there}/w|two|"
