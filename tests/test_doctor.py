"""The doctor's looks: real programs, stand-ins on PATH, and what must never be read."""

from __future__ import annotations

import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, Merge, Proposer, Runner, RunnerKind, RunnerMode, Worktrees
from orchestra.doctor import Finding, Level, examine
from orchestra.errors import GroundError
from orchestra.fleet import Fleet
from orchestra.sessions.start import start_fleet
from orchestra.sessions.state import AgentState, State
from tests.conftest import Checkout
from tests.fleets import make_world


def found(findings: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in findings if finding.subject == subject]


def stand_in(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    program.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with git and a shell and nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for program in ("git", "sh"):
        real = shutil.which(program)
        assert real is not None
        (folder / program).symlink_to(real)
    monkeypatch.setenv("PATH", str(folder))
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE"))]:
        monkeypatch.delenv(name)
    return folder


def make_fleet(repository: Checkout, runner: Runner, **changes: object) -> Fleet:
    fleet = make_world(repository, "a", "b").fleet
    agents = tuple(replace(agent, runner=runner) for agent in fleet.blueprint.agents)
    return replace(fleet, blueprint=replace(fleet.blueprint, agents=agents, **changes))  # type: ignore[arg-type]


def test_a_bare_machine(tools: Path) -> None:
    findings = examine(None)
    assert found(findings, "git")[0].level is Level.OK
    assert found(findings, "tmux")[0].level is Level.NOTE
    assert "npm install" in found(findings, "client")[0].fix
    assert found(findings, "sandbox")[0].level is Level.WARN
    assert not [finding for finding in findings if finding.subject == "doctor"]


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("2.1.330 (Claude Code)", Level.OK),
        ("2.1.100 (Claude Code)", Level.WARN),
        ("9.0.0", Level.NOTE),
        ("", Level.FAIL),
    ],
)
def test_the_clients_version(tools: Path, said: str, level: Level) -> None:
    stand_in(tools, "claude", f"echo '{said}'")
    assert found(examine(None), "client")[0].level is level


def test_a_declared_client_that_is_missing_is_a_failure(tools: Path, repository: Checkout) -> None:
    fleet = make_fleet(repository, Runner(kind=RunnerKind.CLAUDE))
    assert found(examine(fleet), "client")[0].level is Level.FAIL
    by_hand = make_fleet_like(fleet, Runner(kind=RunnerKind.NONE))
    assert found(examine(by_hand), "client") == []


def make_fleet_like(fleet: Fleet, runner: Runner) -> Fleet:
    agents = tuple(replace(agent, runner=runner) for agent in fleet.blueprint.agents)
    return replace(fleet, blueprint=replace(fleet.blueprint, agents=agents))


def test_a_login_is_seen_and_never_shown(tools: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tools, "claude", "echo 2.1.330")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found(examine(None), "login")[0].level is Level.WARN
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-s3cr3t")
    findings = examine(None)
    assert found(findings, "login")[0].message == "ANTHROPIC_API_KEY is set"
    assert not [finding for finding in findings if "s3cr3t" in f"{finding.message} {finding.fix}"]
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/.credentials.json").write_text("s3cr3t", "utf-8")
    (tmp_path / ".claude/.credentials.json").chmod(0)
    assert found(examine(None), "login")[0].level is Level.OK


def test_a_sandbox_that_cannot_work_is_a_failure(tools: Path) -> None:
    stand_in(tools, "socat", "exit 0")
    stand_in(tools, "bwrap", "echo 'setting up uid map: Permission denied' >&2; exit 1")
    [finding] = found(examine(None), "sandbox")
    assert (finding.level, "Permission denied" in finding.message) == (Level.FAIL, True)
    stand_in(tools, "bwrap", "exit 0")
    assert found(examine(None), "sandbox")[0].level is Level.OK


def test_start_refuses_what_doctor_fails_with_the_same_fix(tools: Path, repository: Checkout) -> None:
    fleet = make_fleet(repository, Runner(kind=RunnerKind.CLAUDE))
    states = {agent.name: AgentState(State.READY, "", "worktree") for agent in fleet.blueprint.agents}
    [client] = found(examine(fleet), "client")
    with pytest.raises(GroundError) as no_client:
        start_fleet(fleet, states)
    assert (no_client.value.message, no_client.value.hint) == (client.message, client.fix)
    for name, script in (("claude", "echo 2.1.330"), ("socat", "exit 0"), ("bwrap", "echo denied >&2; exit 1")):
        stand_in(tools, name, script)
    [sandbox] = found(examine(fleet), "sandbox")
    with pytest.raises(GroundError) as no_sandbox:
        start_fleet(fleet, states)
    assert sandbox.level is Level.FAIL
    assert (no_sandbox.value.message, no_sandbox.value.hint) == (sandbox.message, sandbox.fix)
    assert not (fleet.agent_folder(fleet.blueprint.agents[0].name) / "request.json").exists()


def test_a_program_that_orchestra_drives(tools: Path, repository: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = make_fleet(repository, Runner(kind=RunnerKind.CODEX))
    states = {agent.name: AgentState(State.READY, "", "worktree") for agent in fleet.blueprint.agents}
    assert (found(examine(fleet), "codex")[0].level, found(examine(fleet), "sandbox")) == (Level.FAIL, [])
    stand_in(tools, "codex", 'case $1 in sandbox) echo "bwrap: Permission denied" >&2; exit 1;; esac')
    [finding] = found(examine(fleet), "codex")
    with pytest.raises(GroundError) as refusal:
        start_fleet(fleet, states)
    assert finding.message == "the sandbox of codex does not work on this machine: bwrap: Permission denied"
    assert (refusal.value.message, refusal.value.hint) == (finding.message, finding.fix)
    for version, level in (("0.171.0", Level.OK), ("0.90.1", Level.WARN), ("0.172.0", Level.NOTE)):
        stand_in(tools, "codex", f"case $1 in --version) echo codex-cli {version};; login) exit 1;; esac")
        assert found(examine(fleet), "codex")[0].level is level
    assert found(examine(fleet), "login")[0].level is Level.WARN
    monkeypatch.setenv("CODEX_API_KEY", "s3cr3t")
    assert found(examine(fleet), "login")[0].message == "codex: CODEX_API_KEY is set"
    monkeypatch.delenv("CODEX_API_KEY")
    stand_in(tools, "codex", 'case $1 in login) echo "Logged in using an API key - sk-s3cr3t" >&2;; esac; echo 0.171.0')
    assert found(examine(fleet), "login")[0].message == "codex: Logged in using an API key"


@pytest.mark.parametrize("kind", [RunnerKind.OPENCODE, RunnerKind.QWEN, RunnerKind.GEMINI])
def test_the_login_of_a_program(
    kind: RunnerKind, tools: Path, repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(repository, Runner(kind=kind))
    stand_in(tools, kind, "echo 99.0.0")
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    for name in ("XDG_DATA_HOME", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert found(examine(fleet), kind)[0].level is Level.NOTE
    assert found(examine(fleet), "login")[0].level is Level.WARN
    monkeypatch.setenv("GEMINI_API_KEY", "s3cr3t")
    assert found(examine(fleet), "login")[0].message == f"{kind}: GEMINI_API_KEY is set"


def test_a_runners_program(tools: Path, repository: Checkout) -> None:
    fleet = make_fleet(repository, Runner(kind=RunnerKind.COMMAND, command=("codex", "exec", "{prompt}")))
    assert found(examine(fleet), "program")[0].level is Level.FAIL
    stand_in(tools, "codex", "exit 0")
    assert found(examine(fleet), "program")[0].level is Level.OK


def test_what_is_to_propose_resolutions(tools: Path, repository: Checkout) -> None:
    both = Merge(proposals=(Proposer.RERERE, Proposer.MERGIRAF))
    fleet = make_fleet(repository, Runner(kind=RunnerKind.NONE), merge=both)
    assert [item.level for item in found(examine(fleet), "mergiraf")] == [Level.WARN]
    assert [item.fix for item in found(examine(fleet), "rerere")] == ["git config rerere.enabled true"]
    stand_in(tools, "mergiraf", "exit 0")
    (repository.path / ".git/rr-cache").mkdir()
    assert [item.level for item in found(examine(fleet), "mergiraf")] == [Level.OK]
    assert found(examine(fleet), "rerere") == []
    plain = replace(fleet, blueprint=replace(fleet.blueprint, merge=Merge()))
    assert found(examine(plain), "mergiraf") == []


def test_dialogs_are_foreseen(
    tools: Path, repository: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    fleet = make_fleet(repository, Runner(kind=RunnerKind.CLAUDE, mode=RunnerMode.TMUX))
    findings = examine(fleet)
    assert found(findings, "trust")[0].level is Level.FAIL
    assert found(findings, "tmux")[-1].level is Level.FAIL
    trusted = (
        f'{{"hasCompletedOnboarding": true, "projects": {{"{repository.path}": {{"hasTrustDialogAccepted": true}}}}}}'
    )
    (tmp_path / ".claude.json").write_text(trusted, "utf-8")
    assert found(examine(fleet), "trust")[0].level is Level.OK


def test_the_machines_limits(tools: Path, repository: Checkout) -> None:
    small = make_fleet(repository, Runner(kind=RunnerKind.CLAUDE), limits=Limits(agents=2))
    assert found(examine(small), "memory") == []
    agents = tuple(replace(small.blueprint.agents[0]) for _ in range(2_000))
    huge = replace(small, blueprint=replace(small.blueprint, agents=agents, limits=Limits(agents=2_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    try:
        findings = examine(huge)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "lower limits.agents" in found(findings, "memory")[0].fix
    assert "ulimit" in found(findings, "limits")[0].fix


def test_disk_space(tools: Path, repository: Checkout) -> None:
    fleet = make_fleet(repository, Runner(kind=RunnerKind.NONE))
    assert found(examine(fleet), "disk")[0].message.startswith("0 worktrees")
    elsewhere = replace(fleet.blueprint, worktrees=Worktrees(root="../not/made/yet"))
    [finding] = found(examine(replace(fleet, blueprint=elsewhere)), "disk")
    # The agents' worktrees stay where git has them, whatever the blueprint names for new ones.
    assert (finding.level, finding.message.startswith("0 worktrees")) == (Level.OK, True)


@pytest.mark.parametrize(
    ("reason", "fix"),
    [("orchestra: demo/a", "orchestra spawn a"), ("orchestra: gate slot 1", "orchestra clean --gates")],
)
def test_what_a_killed_worktree_add_left_is_named_with_its_fix(repository: Checkout, reason: str, fix: str) -> None:
    fleet = make_fleet(repository, Runner(RunnerKind.NONE))
    place = repository.path.parent / "half-made"
    repository.git("worktree", "add", "--quiet", "--lock", "--reason", reason, "--detach", str(place))
    (repository.path / ".git/worktrees/half-made/HEAD").write_text("0" * 40 + "\n")
    (finding,) = found(examine(fleet), "worktrees")
    assert finding.level is Level.WARN
    assert "half-made is what a killed `git worktree add` left" in finding.message
    assert finding.fix == fix
