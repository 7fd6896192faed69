"""What the programs are given to confine their sessions, without running them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.errors import GroundError
from orchestra.sessions.runners.agent_program import ProgramSession, one_character_wildcards
from orchestra.sessions.runners.opencode import OpenCode
from orchestra.sessions.runners.qwen import Qwen
from orchestra.sessions.store import AgentFolder, SessionRequest

POLICY = {
    "worktree": "/wt/agent-1",
    "checkouts": ["/repo"],
    "closed": ["app/[id]"],
    "instructions": ["CLAUDE.local.md", "TASK.md"],
}


def session(folder: Path, **env: str) -> ProgramSession:
    """A session of an agent whose environment has these variables."""
    fixed: dict[str, Any] = {"mode": RunnerMode.HEADLESS, "home": "/repo", "base": "", "prompt": "p", "session_id": ""}
    request = SessionRequest("1", 0.0, AgentName("one"), 1, RunnerKind.QWEN, worktree="/wt/agent-1", env=env, **fixed)
    return ProgramSession(request, AgentFolder(folder), POLICY, "rules")


def test_opencode_adds_its_permissions_to_the_users_configuration(tmp_path: Path) -> None:
    before = json.dumps({"model": "x/y", "instructions": ["mine.md"], "permission": {"edit": "allow"}})
    env = OpenCode().environment(session(tmp_path, OPENCODE_CONFIG_CONTENT=before))
    config = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    assert config["model"] == "x/y"
    assert config["instructions"] == ["mine.md", "/wt/agent-1/CLAUDE.local.md"]
    edit = config["permission"]["edit"]
    assert list(edit.items())[:2] == [("*", "allow"), ("../*", "deny")]  # the last rule that matches holds
    assert edit["app/?id?"] == edit["app/?id?/*"] == edit["TASK.md"] == "deny"
    assert config["permission"]["external_directory"] == {"*": "allow", "/repo/*": "deny"}
    assert env["OPENCODE_DB"] == str(tmp_path / "opencode.db")


def test_qwen_adds_its_rules_to_the_machines_defaults(tmp_path: Path) -> None:
    defaults = tmp_path / "defaults.json"
    defaults.write_text('{"permissions": {"deny": ["WebFetch"]}, "general": {"enableAutoUpdate": true}}', "utf-8")
    env = Qwen().environment(session(tmp_path, QWEN_CODE_SYSTEM_DEFAULTS_PATH=str(defaults)))
    settings = json.loads(Path(env["QWEN_CODE_SYSTEM_DEFAULTS_PATH"]).read_text("utf-8"))
    deny = settings["permissions"]["deny"]
    assert {"WebFetch", "edit(/app/?id?)", "edit(/app/?id?/**)", "run_shell_command(git push *)"} <= set(deny)
    assert settings["general"] == {"enableAutoUpdate": True}


def test_settings_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroundError, match="OPENCODE_CONFIG_CONTENT is not JSON"):
        OpenCode().environment(session(tmp_path, OPENCODE_CONFIG_CONTENT="{ // a comment"))


def test_special_characters_become_wildcards_of_one_character() -> None:
    assert one_character_wildcards("app/(x)/[id]/{a,b}*.ts") == "app/?x?/?id?/?a,b??.ts"
