"""When the client itself is asked what its sessions do: an answer costs a second of a core."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from orchestra.blueprint.model import RunnerKind, RunnerMode
from orchestra.engine.process_tree import ProcessId
from orchestra.sessions.monitor import ClientPoll, MonitoredSession
from orchestra.sessions.store import FleetFolder, Run, RunFolder, SessionRequest


@pytest.mark.parametrize(
    ("event", "detail", "asked"),
    [
        ("PreToolUse", "Bash sleep 600", True),  # Esc may have ended it: no hook fires
        ("PermissionRequest", "Bash rm x", True),  # it may have been refused: no hook fires
        ("Notification", "permission_prompt", True),
        ("Stop", "", False),
        ("Notification", "idle_prompt", False),  # a minute after Stop
        ("StopFailure", "rate_limit", False),
        ("SessionEnd", "prompt_input_exit", False),
    ],
)
def test_the_client_is_polled_only_where_the_state_may_change_without_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str, detail: str, asked: bool
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "claude").write_text("#!/bin/sh\necho '[]'\n", "utf-8")
    (tools / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    fleet = FleetFolder(tmp_path / "fleet")
    agent = fleet.agent("a")
    agent.path.mkdir(parents=True)
    line = {"at": time.time() - 60, "event": event, "detail": detail, "session": "s"}
    agent.events.write_text(json.dumps(line) + "\n", "utf-8")
    here = str(tmp_path)
    request = SessionRequest(
        "r", 0.0, agent.name, 1, RunnerKind.CLAUDE, RunnerMode.TMUX, here, here, "", "prompt", session_id="s"
    )
    run = Run(1, time.time() - 120, ProcessId(1, "1", "no machine"), "mark")
    ClientPoll(fleet).poll([MonitoredSession(agent, RunFolder(agent.path / "runs/1"), request, run)])
    assert (fleet.read("clients") is not None) is asked
