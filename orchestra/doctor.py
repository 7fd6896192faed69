"""Check this machine and repository for what is missing or dangerous; each finding names its fix.

Invariant: reads only, and never a secret: of a key or a login only its existence, by the name of a variable or file.
What cannot be checked is reported as such.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from orchestra.blueprint.model import Proposer, RunnerKind, RunnerMode, Via
from orchestra.engine import process
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet
from orchestra.forge.selection import open_forge
from orchestra.git import worktree_admin
from orchestra.git.git_process import Git
from orchestra.plan.client_settings import read_client_settings
from orchestra.plan.disk_space import count_missing_worktrees, estimate_disk
from orchestra.sessions.runners.agent_program import require_installed
from orchestra.sessions.runners.claude import PROGRAM, config_file, install_client, require_no_dialog
from orchestra.sessions.runners.command import require_program
from orchestra.sessions.runners.registry import PROGRAM_OF
from orchestra.sessions.sandbox import SANDBOX_FIX, sandbox_available, sandbox_error
from orchestra.sessions.tmux import require_tmux
from orchestra.train.slots import SLOT_REASON

OLDEST_GIT, OLDEST_CLIENT, NEWEST_CLIENT, OLDEST_TMUX = (2, 38), (2, 1, 197), (2, 1, 330), (3, 0)
_SESSION_MB = 200  # resident memory of one client
_ANSWER_S = 10.0  # for gh or glab to say whether it is logged in
_SESSION_PROCESSES, _SESSION_FILES = 30, 64
_KEYS = (
    "ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX"
).split()
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs")


class Level(StrEnum):
    OK = "ok"  # as it should be
    NOTE = "note"  # worth knowing, nothing to do
    WARN = "warn"  # works, with a risk or without something useful
    FAIL = "fail"  # what was declared will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject``: what was checked, one or two words; ``fix``: the command or step that helps, "" for none."""

    level: Level
    subject: str
    message: str
    fix: str = ""


def examine(fleet: Fleet | None) -> list[Finding]:
    """Run every check; with a fleet, also those of what its blueprint needs."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _git,
        _tmux,
        partial(_client, fleet),
        partial(_sandbox, fleet),
        _logout,
    ]
    if fleet is not None:
        of_fleet = (
            _writable,
            _killed_worktrees,
            _programs,
            _forge,
            _agent_programs,
            _client_settings,
            _proposals,
            _dialogs,
            _limits,
            _memory,
            _disk,
            _file_system,
        )
        checks += [partial(check, fleet) for check in of_fleet]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except (OrchestraError, OSError) as error:  # a check that fails is a finding, and the others still run
            findings.append(Finding(Level.WARN, "doctor", f"a check failed: {error}"))
    return findings


def _git() -> Iterator[Finding]:
    version = _numbers(Git(Path("/")).text("version"))
    if version < OLDEST_GIT:
        yield Finding(Level.FAIL, "git", f"git {_dotted(version)} is too old", "install git 2.38 or newer")
    else:
        yield Finding(Level.OK, "git", f"git {_dotted(version)}")


def _tmux() -> Iterator[Finding]:
    if shutil.which("tmux") is None:
        yield Finding(Level.NOTE, "tmux", "tmux, which `mode: tmux` needs, is not installed", _install("tmux"))
        return
    version = _numbers(process.capture(("tmux", "-V")).stdout)
    if version < OLDEST_TMUX:
        yield Finding(Level.WARN, "tmux", f"tmux {_dotted(version)} is too old for `mode: tmux`", _install("tmux"))
    else:
        yield Finding(Level.OK, "tmux", f"tmux {_dotted(version)}")


def _client(fleet: Fleet | None) -> Iterator[Finding]:
    if not _uses_client(fleet):
        return
    if shutil.which(PROGRAM) is None:
        level = Level.NOTE if fleet is None else Level.FAIL
        yield Finding(level, "client", "the Claude Code client is not on PATH", install_client())
        return
    version = _numbers(process.capture((PROGRAM, "--version"), timeout_s=30.0).stdout)
    yield _judge_client(version)
    yield _login()


def _judge_client(version: tuple[int, ...]) -> Finding:
    if not version:
        return Finding(Level.FAIL, "client", "the client does not report its version", f"run {PROGRAM} --version")
    if version < OLDEST_CLIENT:
        oldest = _dotted(OLDEST_CLIENT)
        fix = "npm install -g @anthropic-ai/claude-code"
        return Finding(
            Level.WARN, "client", f"client {_dotted(version)} is older than {oldest}, the oldest tested", fix
        )
    if version > NEWEST_CLIENT:
        newest = _dotted(NEWEST_CLIENT)
        return Finding(Level.NOTE, "client", f"client {_dotted(version)} is newer than {newest}, the newest tested")
    return Finding(Level.OK, "client", f"client {_dotted(version)}")


def _login() -> Finding:
    named = [name for name in _KEYS if os.environ.get(name)]
    if named:
        return Finding(Level.OK, "login", f"{named[0]} is set")
    folder = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    if (folder / ".credentials.json").exists():
        return Finding(Level.OK, "login", f"a login exists in {folder}")
    if sys.platform == "darwin":
        return Finding(Level.NOTE, "login", "a login may be in the keychain, which is not read")
    return Finding(Level.WARN, "login", "no key and no login found", f"run {PROGRAM} once and log in")


def _uses_client(fleet: Fleet | None) -> bool:
    return fleet is None or any(agent.runner.kind is RunnerKind.CLAUDE for agent in fleet.blueprint.agents)


def _sandbox(fleet: Fleet | None) -> Iterator[Finding]:
    if not _uses_client(fleet):
        return
    if not sandbox_available():
        problem = "without bubblewrap and socat agents run unsandboxed: their shell can write wherever you can"
        yield Finding(Level.WARN, "sandbox", problem, _install("bubblewrap socat"))
    elif error := sandbox_error():
        yield Finding(Level.FAIL, "sandbox", error, SANDBOX_FIX)
    else:
        yield Finding(Level.OK, "sandbox", "agents run in the client's sandbox")


def _logout() -> Iterator[Finding]:
    """Check that logind does not end the sessions when the user logs out."""
    for file in (Path("/etc/systemd/logind.conf"), *sorted(Path("/etc/systemd/logind.conf.d").glob("*.conf"))):
        if file.exists() and re.search(r"^\s*KillUserProcesses\s*=\s*(yes|true|1|on)", file.read_text("utf-8"), re.M):
            problem = f"{file} sets KillUserProcesses=yes: sessions end when you log out"
            yield Finding(
                Level.WARN, "logout", problem, "loginctl enable-linger; systemd-run --user --scope orchestra start"
            )


def _programs(fleet: Fleet) -> Iterator[Finding]:
    commands = {a.runner.command[0] for a in fleet.blueprint.agents if a.runner.kind is RunnerKind.COMMAND}
    for name in sorted(commands):
        if "{" in name or os.sep in name:
            continue  # a template, or a file of the worktree
        try:
            require_program(name, Path("/"), os.environ)
        except OrchestraError as error:
            yield Finding(Level.FAIL, "program", error.message, error.hint or "")
        else:
            yield Finding(Level.OK, "program", f"{name} is on PATH")


def _forge(fleet: Fleet) -> Iterator[Finding]:
    """Check that merge can open pull requests, where the blueprint says so."""
    if fleet.blueprint.merge.via is not Via.PULL_REQUEST:
        return
    try:
        forge = open_forge(fleet, timeout_s=_ANSWER_S)
        forge.require_login()
    except OrchestraError as error:
        yield Finding(Level.FAIL, "forge", error.message, error.hint or "")
    else:
        address = forge.address
        yield Finding(Level.OK, "forge", f"{address.program} is logged in to {address.host} for {address.path}")


def _agent_programs(fleet: Fleet) -> Iterator[Finding]:
    """Check the version, the sandbox and the login of the programs that orchestra drives, other than the client."""
    env = dict(os.environ)
    for kind in sorted({agent.runner.kind for agent in fleet.blueprint.agents} & PROGRAM_OF.keys()):
        program = PROGRAM_OF[kind]
        try:
            require_installed(program, env)
        except OrchestraError as error:
            yield Finding(Level.FAIL, program.name, error.message, error.hint or "")
            continue
        version = _numbers(process.capture((program.name, "--version"), timeout_s=30.0).stdout)
        tested = f"{_dotted(program.oldest)}, the oldest tested", f"{_dotted(program.newest)}, the newest tested"
        text = f"{program.name} {_dotted(version)}"
        if version < program.oldest:
            yield Finding(Level.WARN, program.name, f"{text} is older than {tested[0]}", program.package)
        elif version > program.newest:
            yield Finding(Level.NOTE, program.name, f"{text} is newer than {tested[1]}")
        else:
            yield Finding(Level.OK, program.name, text)
        login = program.login(env)
        if login:
            yield Finding(Level.OK, "login", f"{program.name}: {login}")
        else:
            fix = f"log in with {program.name}, unless its configuration names another provider"
            yield Finding(Level.WARN, "login", f"no login of {program.name} found", fix)


def _client_settings(fleet: Fleet) -> Iterator[Finding]:
    """Report settings of the Claude client that reach every agent; `plan` compares denied files with the scopes."""
    if not _uses_client(fleet):
        return
    for file in read_client_settings(fleet.repository, fleet.target_tip()):
        for rule in file.denied_tools():
            problem = f"{file.name} denies {rule}, so no agent of the Claude client can do its work"
            yield Finding(Level.WARN, "client", problem, f"remove the rule from {file.name}")
        for fact in file.facts():
            yield Finding(Level.NOTE, "client", fact)


def _proposals(fleet: Fleet) -> Iterator[Finding]:
    """Check that what ``merge.proposals`` names is installed and has something to propose."""
    proposers = fleet.blueprint.merge.proposals
    if Proposer.MERGIRAF in proposers and shutil.which(Proposer.MERGIRAF) is None:
        problem = "merge.proposals names mergiraf, which is not on PATH, so it proposes nothing"
        yield Finding(Level.WARN, "mergiraf", problem, "cargo install --locked mergiraf")
    elif Proposer.MERGIRAF in proposers:
        yield Finding(Level.OK, "mergiraf", "mergiraf is on PATH")
    if Proposer.RERERE in proposers and not (fleet.repository.common_dir / "rr-cache").is_dir():
        problem = "merge.proposals names rerere, but git has recorded no resolution in this repository yet"
        yield Finding(Level.WARN, "rerere", problem, "git config rerere.enabled true")


def _dialogs(fleet: Fleet) -> Iterator[Finding]:
    runners = [agent.runner for agent in fleet.blueprint.agents]
    if RunnerMode.TMUX not in {runner.mode for runner in runners if runner.kind is not RunnerKind.NONE}:
        return
    try:
        require_tmux()
    except OrchestraError as error:
        yield Finding(Level.FAIL, "tmux", f"the blueprint sets `mode: tmux`, but {error.message}", error.hint or "")
    if not any(r.kind is RunnerKind.CLAUDE and r.mode is RunnerMode.TMUX for r in runners):
        return
    try:
        require_no_dialog(fleet.repository.home, dict(os.environ))
    except OrchestraError as error:
        yield Finding(Level.FAIL, "trust", error.message, error.hint or "")
    else:
        yield Finding(Level.OK, "trust", f"the client trusts {fleet.repository.home} ({config_file(dict(os.environ))})")


def _limits(fleet: Fleet) -> Iterator[Finding]:
    import resource

    at_once = min(fleet.blueprint.limits.agents, len(fleet.blueprint.agents))
    limits = {
        "open files": (resource.RLIMIT_NOFILE, 256 + _SESSION_FILES * at_once, "-n"),
        "processes": (resource.RLIMIT_NPROC, 128 + _SESSION_PROCESSES * at_once, "-u"),
    }
    for name, (resource_id, least, flag) in limits.items():
        soft, _ = resource.getrlimit(resource_id)
        if soft != resource.RLIM_INFINITY and soft < least:
            problem = f"the limit of {name} is {soft}; {at_once} sessions at once need about {least}"
            yield Finding(
                Level.WARN, "limits", problem, f"ulimit {flag} {least}, in the shell that runs orchestra start"
            )


def _memory(fleet: Fleet) -> Iterator[Finding]:
    claude = [agent for agent in fleet.blueprint.agents if agent.runner.kind is RunnerKind.CLAUDE]
    at_once = min(fleet.blueprint.limits.agents, len(claude))
    if not at_once:
        return
    import psutil

    free, need = psutil.virtual_memory().available >> 20, _SESSION_MB * at_once
    if free < need:
        problem = f"{at_once} clients at once need about {need} MB, {free} MB of memory are available"
        yield Finding(Level.WARN, "memory", problem, f"lower limits.agents to {max(1, free // _SESSION_MB)}")


def _disk(fleet: Fleet) -> Iterator[Finding]:
    tip = fleet.target_tip()
    if tip is None:
        return
    disk = estimate_disk(fleet, tip, count_missing_worktrees(fleet))
    fact = disk.format_need(fleet.worktrees_root)
    if disk.needed_bytes is None:
        yield Finding(Level.NOTE, "disk", fact)
    elif disk.is_full:
        fix = "free some space, or set worktrees.root to a folder on a larger disk"
        yield Finding(Level.FAIL, "disk", fact, fix)
    elif disk.is_tight:
        yield Finding(Level.WARN, "disk", f"{fact}; dependencies and builds need more", "free some space")
    else:
        yield Finding(Level.OK, "disk", fact)


def _writable(fleet: Fleet) -> Iterator[Finding]:
    """Check the right to write where git and orchestra store what they decide."""
    try:
        fleet.repository.require_writable()
    except OrchestraError as error:
        yield Finding(Level.FAIL, "repository", error.message, error.hint or "")


def _killed_worktrees(fleet: Fleet) -> Iterator[Finding]:
    """Report worktrees whose creation was killed: ``git gc`` refuses a repository with a HEAD of zeros."""
    for admin in worktree_admin.without_commit(fleet.repository.common_dir):
        reason = worktree_admin.lock_reason(admin) or ""
        fixes = {f"orchestra spawn {agent.name}": fleet.lock_reason(agent) for agent in fleet.blueprint.agents}
        fix = next((fix for fix, own_reason in fixes.items() if own_reason == reason), "")
        fix = fix or (
            "orchestra clean --gates" if reason.startswith(SLOT_REASON) else f"rm -r {shlex.quote(str(admin))}"
        )
        problem = f"{admin} is what a killed `git worktree add` left, and `git gc` fails until it is removed"
        yield Finding(Level.WARN, "worktrees", problem, fix)


def _file_system(fleet: Fleet) -> Iterator[Finding]:
    """Check for a network file system, on which locks and SQLite's write-ahead log are not reliable."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    state = str(fleet.repository.state_folder)
    rows = [line.split(" ")[1:3] for line in mounts.read_text("utf-8").splitlines()]
    above = [(len(point), kind) for point, kind in rows if (state + "/").startswith(point.rstrip("/") + "/")]
    kind = max(above, default=(0, ""))[1]
    if kind in _NETWORK:
        problem = f"{state} is on a network file system ({kind}): locks may not hold"
        yield Finding(Level.WARN, "file system", problem, "move the repository to a local disk")


def _install(packages: str) -> str:
    """Return the command that installs Debian's, Fedora's or Homebrew's packages of that name."""
    for tool, command in (("apt-get", "sudo apt-get install"), ("dnf", "sudo dnf install"), ("brew", "brew install")):
        if shutil.which(tool):
            return f"{command} {packages}"
    return f"install {packages}"


def _numbers(text: str) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
