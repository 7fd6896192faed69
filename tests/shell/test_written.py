"""What the scripts look like: checked by the tools of the trade, never stale, and of their word about exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.load import load_blueprint
from orchestra.engine import process_tree
from orchestra.engine.process import wait_gone
from orchestra.errors import UsageError
from orchestra.gates import environment
from orchestra.shell.data_sections import GATE_VARIABLES
from orchestra.shell.inputs import collect_inputs
from orchestra.shell.quoting import here_document, quote, words
from orchestra.shell.script import DATA_TITLE, MERGE_HELPER, ORCHESTRATE, is_generated, scripts
from tests.conftest import Checkout
from tests.shell.conftest import SMALL_BLUEPRINT, ScriptPair, write_scripts
from tests.shell.shells import SHELLS, run

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SHIPPED = [path.stem for path in sorted((ROOT / "blueprints").glob("*.yaml"))]


def test_the_checked_in_scripts_are_generated_from_mvp5() -> None:
    made = scripts(collect_inputs(load_blueprint(ROOT / "blueprints/mvp5.yaml"), "mvp5"))
    for name, text in made.items():
        assert (ROOT / "scripts" / name).read_text("utf-8") == text, "stale: run  orchestra scripts mvp5"


@pytest.mark.parametrize("name", [ORCHESTRATE, MERGE_HELPER])
def test_the_code_of_a_script_has_at_most_550_lines(name: str) -> None:
    code, data, _ = (ROOT / "scripts" / name).read_text("utf-8").partition(DATA_TITLE)
    lines = [line.strip() for line in code.splitlines()]
    assert data
    assert len([line for line in lines if line and not line.startswith("#")]) <= 550


def test_a_target_without_a_required_file_stops_spawn(repository: Checkout, tmp_path: Path) -> None:
    pair = write_scripts(tmp_path / "requires", f"{SMALL_BLUEPRINT}requires: [go.mod, 'lib/**/*.go']\n")
    refused = run("sh", pair.orchestrate, "spawn", cwd=repository.path, ok=False)
    assert refused.code == 3
    assert [line.partition(", which")[0] for line in refused.err.splitlines()] == [
        "error: main has no go.mod",
        "error: main has no lib/**/*.go",
    ]
    assert not repository.git("for-each-ref", "refs/orchestra")
    repository.commit("needs", {"go.mod": "module x", "lib/a/b.go": "package a"})
    run("sh", pair.orchestrate, "spawn", cwd=repository.path)


REFUSED = {
    "worktrees: {setup: {copy: [.env]}}": (("spawn", "setup.copy"), ("merge", "setup.copy")),
    "worktrees: {setup: {share: [node_modules]}}": (("spawn", "setup.share"), ("merge", "setup.share")),
    "worktrees: {setup: {teardown: ['true']}}": (("clean", "setup.teardown"),),
    "merge: {strategy: squash}": (("merge", "merge.strategy: squash"),),
    "merge: {review: none}": (("merge", "merge.review: none"),),
}


@pytest.mark.parametrize("declared", REFUSED)
def test_what_only_the_tool_supports_is_refused_before_anything_changes(
    declared: str, repository: Checkout, tmp_path: Path
) -> None:
    pair = write_scripts(tmp_path / "refused", f"{SMALL_BLUEPRINT}{declared}\n")
    before = repository.git("for-each-ref")
    for verb, setting in REFUSED[declared]:
        done = run(
            "sh", pair.merge_helper if verb == "merge" else pair.orchestrate, verb, cwd=repository.path, ok=False
        )
        assert done.code == 2
        assert f"declares {setting}, which the script does not support\nhint: use orchestra {verb}" in done.err
    assert repository.git("for-each-ref") == before


def test_a_repository_with_worktreeinclude_is_left_to_the_tool(repository: Checkout, small_scripts: ScriptPair) -> None:
    repository.write({".worktreeinclude": ".env\n"})
    done = run("sh", small_scripts.orchestrate, cwd=repository.path, ok=False)
    assert done.code == 2
    assert "use orchestra spawn" in done.err


@pytest.mark.parametrize("shell", SHELLS)
def test_a_coding_session_gives_no_verdict(
    shell: str, repository: Checkout, small_scripts: ScriptPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("sh", small_scripts.orchestrate, "spawn", cwd=repository.path)
    before = repository.git("for-each-ref")
    monkeypatch.setenv("GEMINI_CLI", "1")
    for line in ("approve one", "discard one unwanted", "merge", ""):
        done = run(shell, small_scripts.merge_helper, *line.split(), cwd=repository.path, ok=False)
        verb = (line or "merge").partition(" ")[0]
        assert done.code == 3
        assert f"error: {verb} is for a person to type, and this is a coding session (GEMINI_CLI is set)" in done.err
    assert repository.git("for-each-ref") == before
    allowed = write_scripts(tmp_path / "allowed", f"{SMALL_BLUEPRINT}verdicts: {{by-agents: allow}}\n")
    done = run(shell, allowed.merge_helper, "merge", cwd=repository.path, ok=False)
    assert "one: waiting: no verdict" in done.out + done.err


def _complaints(argv: list[str], file: Path) -> str:
    done = subprocess.run([*argv, str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode or done.stdout else ""


@pytest.mark.parametrize("name", [ORCHESTRATE, MERGE_HELPER])
def test_shellcheck_finds_no_problem(name: str) -> None:
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
def test_a_text_that_no_shell_can_hold_is_refused(value: str) -> None:
    with pytest.raises(UsageError):
        quote(value)


# -- words and codes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [ORCHESTRATE, MERGE_HELPER])
def test_help_and_unknown_verbs(script: str, small_scripts: ScriptPair, tmp_path: Path) -> None:
    place = small_scripts.orchestrate.with_name(script)
    assert run("sh", place, "--help", cwd=tmp_path).out.startswith(f"Usage: {script}")
    wrong = run("sh", place, "frobnicate", cwd=tmp_path, ok=False)
    assert (wrong.code, wrong.out) == (2, "")
    assert f"error: {script} has no verb 'frobnicate'" in wrong.err
    outside = run("sh", place, cwd=tmp_path, ok=False)
    assert outside.code == 3
    assert "not inside a git repository" in outside.err


def test_a_dry_run_changes_nothing(repository: Checkout, small_scripts: ScriptPair) -> None:
    before = sorted(str(path) for path in repository.path.parent.rglob("*"))
    done = run("sh", small_scripts.orchestrate, cwd=repository.path, env={"ORCHESTRA_DRY_RUN": "1"})
    assert all(line.startswith("would ") for line in done.lines)
    refused = run("sh", small_scripts.merge_helper, cwd=repository.path, env={"ORCHESTRA_DRY_RUN": "1"}, ok=False)
    assert (refused.code, refused.out) == (2, "")
    assert sorted(str(path) for path in repository.path.parent.rglob("*")) == before


def test_every_problem_is_reported_before_anything_is_made(repository: Checkout, small_scripts: ScriptPair) -> None:
    repository.git("branch", "agent/small/one")
    (repository.path.parent / "worktrees/repo/small/agent-2").mkdir(parents=True)
    repository.commit("ours", {"TASK.md": "a task of the team's\n"})
    done = run("sh", small_scripts.orchestrate, cwd=repository.path, ok=False)
    assert done.code == 3
    for word in ("TASK.md", "branch agent/small/one of agent one already exists", "agent-2, the worktree of"):
        assert word in done.err
    assert repository.git("for-each-ref", "refs/orchestra") == ""


def test_gates_see_the_same_variables_as_in_the_tool() -> None:
    given_names = dict.fromkeys([*GATE_VARIABLES, "SECRET", "SSH_AUTH_SOCK", "GIT_DIR", "AWS_SECRET_ACCESS_KEY"], "x")
    fixed = {"CI", "TERM", "GIT_TERMINAL_PROMPT"}
    assert set(environment.gate_environment(given_names)) - fixed == set(GATE_VARIABLES)
    assert {name for name in environment._ALLOWED if name not in GATE_VARIABLES} == set()


def test_a_failed_set_up_is_reported_and_tried_again(repository: Checkout, tmp_path: Path) -> None:
    """One that fails, one that is too slow: exit 1, the others are ready, and the next spawn tries again."""
    command = "case $ORCHESTRA_AGENT in one) test -e ok;; two) test -e ok || sleep 9;; esac"
    setup = f"worktrees: {{setup: {{timeout: 3s, run: ['{command}']}}}}\n"
    written = write_scripts(tmp_path / "failing", SMALL_BLUEPRINT + setup)
    done = run("sh", written.orchestrate, cwd=repository.path, ok=False)
    assert done.code == 1
    assert "one: not ready: `case" in done.err
    assert "timed-out (exit code 124, time limit 3 s)" in done.err
    for agent in ("one", "two"):
        (
            repository.path.parent / f"worktrees/repo/small/agent-{agent.replace('one', '1').replace('two', '2')}/ok"
        ).touch()
    assert run("sh", written.orchestrate, cwd=repository.path).code == 0


@pytest.mark.skipif(shutil.which("busybox") is None, reason="no busybox here")
def test_a_time_limit_holds_with_the_timeout_of_busybox(repository: Checkout, tmp_path: Path) -> None:
    """It makes no process group and exits with 143."""
    programs, pids = tmp_path / "programs", tmp_path / "pids"
    programs.mkdir()
    (programs / "timeout").symlink_to(shutil.which("busybox") or "")
    setup = f"worktrees: {{setup: {{timeout: 3s, run: ['sleep 600 & echo $! >>{pids}; sleep 600']}}}}\n"
    written = write_scripts(tmp_path / "slow", SMALL_BLUEPRINT + setup)
    env = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = run("sh", written.orchestrate, cwd=repository.path, env=env, ok=False)
    assert "timed-out (exit code 143, time limit 3 s)" in done.err
    started = [process_tree.identity(int(pid)) for pid in pids.read_text("utf-8").split()]
    assert all(process is None or wait_gone(process, 10) for process in started)


def test_start_runs_the_program_in_the_worktree(repository: Checkout, tmp_path: Path) -> None:
    program = 'printf "%s|" "$PWD" "$ORCHESTRA_AGENT" "$@"'
    argv = f"[sh, -c, '{program}', x, '{{worktree}}/w', '{{{{ agent.name }}}}']"
    runner = f"runner: {{kind: command, command: {argv}}}\n"
    written = write_scripts(tmp_path / "run", SMALL_BLUEPRINT + runner)
    run("sh", written.orchestrate, cwd=repository.path)
    done = run("sh", written.orchestrate, "start", "2", cwd=repository.path)
    there = repository.path.parent / "worktrees/repo/small/agent-2"
    assert done.out == f"{there}|two|{there}/w|two|"
