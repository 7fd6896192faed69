"""Find the runner of a kind, and sum up a finished session with it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from orchestra.blueprint.model import RunnerKind
from orchestra.sessions.runners.claude import ClaudeRunner
from orchestra.sessions.runners.command import CommandRunner
from orchestra.sessions.runners.protocol import Runner
from orchestra.sessions.state import SessionResult
from orchestra.sessions.store import RunFolder, SessionRequest


def runner_of(kind: RunnerKind) -> Runner:
    """Return the runner of a kind; kind ``none`` has no sessions."""
    return ClaudeRunner() if kind is RunnerKind.CLAUDE else CommandRunner()


def read_result(request: SessionRequest, run: RunFolder) -> SessionResult:
    """Read the whole output of a finished session."""
    reader = runner_of(request.kind).reader(request)
    with suppress(OSError), run.out.open("rb") as lines:
        for line in lines:
            reader.feed(line.rstrip(b"\r\n"))
    result = reader.result()
    without_cost = int(result.usage.cost_usd is None)
    return replace(result, usage=replace(result.usage, sessions_without_cost=without_cost))
