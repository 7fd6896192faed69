"""Set-up commands that cannot work on the target, and words that sh lacks."""

from __future__ import annotations

import json

import pytest

from orchestra.plan.finding import Code, Finding, Severity
from orchestra.plan.setup_commands import reuse_findings, setup_findings, shell_findings
from tests.plan.conftest import Written


def findings(written: Written, *runs: str, tracked: str = "", missing: str = "", setup: str = "") -> list[Finding]:
    blueprint = written("- {name: a}", f"worktrees: {{setup: {{run: {json.dumps(runs)}{setup}}}}}")
    return list(setup_findings(blueprint, tracked.split(), missing.split()))


@pytest.mark.parametrize(
    ("run", "file"),
    [
        ("npm ci --prefer-offline", "package-lock.json or npm-shrinkwrap.json"),
        ("CI=1 npm ci", "package-lock.json or npm-shrinkwrap.json"),
        ("set -e; npm ci && npm run build", "package-lock.json or npm-shrinkwrap.json"),
        ("pnpm install --frozen-lockfile", "pnpm-lock.yaml"),
        ("yarn install --immutable", "yarn.lock"),
        ("uv sync --locked --all-extras", "uv.lock"),
        ("uv sync", "pyproject.toml"),
        ("pip install -r requirements/dev.txt", "requirements/dev.txt"),
        (".venv/bin/pip install --requirement=./dev.txt", "dev.txt"),
        ("python3 -m pip install -q -r dev.txt", "dev.txt"),
        ("go mod download", "go.mod or go.work"),
        ("cargo fetch --locked", "Cargo.lock"),
        ("make deps", "Makefile, makefile or GNUmakefile"),
    ],
)
def test_a_command_without_the_file_that_it_reads_is_an_error(written: Written, run: str, file: str) -> None:
    (finding,) = findings(written, run, tracked="README.md")
    assert (finding.severity, finding.code, finding.origin.line) == (Severity.ERROR, Code.SETUP_CANNOT_RUN, 6)
    assert finding.message == f"set-up `{run}` cannot work: the target has no {file}"
    assert finding.advice.startswith(f"commit {file} to the target")
    assert not findings(written, run, tracked=finding.paths[0])


@pytest.mark.parametrize(
    "run",
    [
        "cd web && npm ci",
        "npm --prefix web ci",
        "npm ci || npm install",
        "[ -f package-lock.json ] && npm ci",
        "if true; then npm ci; fi",
        "npm install --package-lock-only && npm ci",
        "uv lock && uv sync --locked",
        "./make-lock && npm ci",
        "npm install -g pnpm",
        "pip install -r https://example.com/r.txt",
        "pip install -r ../shared.txt",
        "make -C web",
        "echo 'npm ci'",
    ],
)
def test_what_is_not_certain_is_not_reported(written: Written, run: str) -> None:
    assert not findings(written, run)


def test_files_that_set_up_brings_or_creates_count_as_present(written: Written) -> None:
    assert not findings(written, "npm ci", setup=", copy: [package-lock.json]")
    assert not findings(written, "npm ci", tracked=".worktreeinclude")
    assert not findings(written, "./prepare", "npm ci")
    required = written("- {name: a}", "requires: [package-lock.json]\nworktrees: {setup: {run: [npm ci]}}")
    assert not list(setup_findings(required, [], [])), "requires reports it"
    assert [len(found.paths) for found in findings(written, "npm ci", "uv sync --locked")] == [2, 1]
    assert [found.paths for found in findings(written, "pip install -r a.txt -r b.txt", tracked="a.txt")] == [
        ("b.txt",)
    ]


def test_a_missing_program_is_an_error_of_the_machine(written: Written) -> None:
    (finding,) = findings(written, "uv sync", tracked="pyproject.toml", missing="uv")
    assert (finding.code, finding.message) == (
        Code.SETUP_PROGRAM_MISSING,
        "set-up `uv sync` cannot run: uv is not on PATH",
    )


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("[[ -f a ]] && echo b", ["[["]),
        ("if [[ -n $X ]]; then source venv/bin/activate; fi", ["[[", "source"]),
        ("true || pushd web", ["pushd"]),
        ("bash -c '[[ -f a ]]'", []),
        (". venv/bin/activate && [ -f a ]", []),
        ("grep source a", []),
        ("echo 'unclosed", []),
    ],
)
def test_words_that_sh_lacks_are_found(written: Written, run: str, words: list[str]) -> None:
    in_gate = written("- {name: a}", f"gates: {{t: {{run: {json.dumps(run)}}}}}")
    reported = list(shell_findings(in_gate, "dash"))
    assert [finding.message.split("`")[1] for finding in reported] == words
    assert {finding.severity for finding in reported} <= {Severity.WARNING}
    in_setup = written("- {name: a}", f"worktrees: {{setup: {{run: [{json.dumps(run)}]}}}}")
    assert {finding.severity for finding in shell_findings(in_setup, "dash")} <= {Severity.ERROR}
    assert {finding.severity for finding in shell_findings(in_setup, "bash")} <= {Severity.WARNING}


def test_what_gates_reuse_from_each_other_is_said(written: Written) -> None:
    (finding,) = reuse_findings(written("- {name: a}", "slots: {keep: [node_modules/.cache/**, target]}"))
    assert (finding.severity, finding.code) == (Severity.NOTE, Code.SLOT_REUSE)
    assert finding.message == (
        "files that match node_modules/.cache/** and target stay in a gate slot from one candidate to the next"
    )
    assert list(reuse_findings(written("- {name: a}"))) == []
