"""Find the runner of a kind, and sum up a finished session with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import RunnerKind
from orchestra.errors import OrchestraError
from orchestra.git.git_process import Git
from orchestra.sessions.runners.agent_program import AgentProgram, ProgramRunner
from orchestra.sessions.runners.claude import ClaudeRunner
from orchestra.sessions.runners.codex import Codex
from orchestra.sessions.runners.command import CommandRunner
from orchestra.sessions.runners.gemini import Gemini
from orchestra.sessions.runners.opencode import OpenCode
from orchestra.sessions.runners.protocol import Runner
from orchestra.sessions.runners.qwen import Qwen
from orchestra.sessions.state import SessionResult
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest, read_json
from orchestra.sessions.tail import Tail
from orchestra.sessions.window_line import window_cost

PROGRAM_OF: Mapping[RunnerKind, AgentProgram] = {
    RunnerKind.CODEX: Codex(),
    RunnerKind.GEMINI: Gemini(),
    RunnerKind.OPENCODE: OpenCode(),
    RunnerKind.QWEN: Qwen(),
}


def runner_of(kind: RunnerKind) -> Runner:
    """Return the runner of a kind; kind ``none`` has no sessions."""
    if kind in PROGRAM_OF:
        return ProgramRunner(PROGRAM_OF[kind])
    return ClaudeRunner() if kind is RunnerKind.CLAUDE else CommandRunner()


def read_result(request: SessionRequest, run: RunFolder) -> SessionResult:
    """Read the whole output of a finished session, and the tip of its branch."""
    reader = runner_of(request.kind).reader(request)
    tail = Tail(run.out)
    for line in tail.lines():
        reader.feed(line)
    if tail.last_part():
        reader.feed(tail.last_part())
    result = reader.result()
    cost = window_cost(run.path) if result.usage.cost_usd is None else result.usage.cost_usd
    # A commit after this one was made by a person.
    branch, head = (read_json(AgentFolder(run.path.parents[1]).policy) or {}).get("branch"), ""
    if isinstance(branch, str):
        with suppress(OrchestraError):  # its worktree may be gone or broken
            head = Git(Path(request.worktree)).text(
                "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"
            )
    usage = replace(result.usage, cost_usd=cost, sessions_without_cost=int(cost is None))
    return replace(result, usage=usage, head=head)
