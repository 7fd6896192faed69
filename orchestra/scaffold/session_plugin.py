"""The plugin for a person's own Claude Code session: /orchestra:plan, :status, :review and :triage.

It is a folder of instructions (plugin/), which is its own marketplace. The client installs it for one repository, in
``.claude/settings.local.json``, which is not in the agents' worktrees.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from orchestra.blueprint.load import shipped_data_folder
from orchestra.engine.process import capture
from orchestra.errors import GroundError
from orchestra.text import first_error_line

PLUGIN: Final = "orchestra@agent-orchestra"
_TIMEOUT_S: Final = 120.0


def plugin_commands() -> list[list[str]]:
    """Return the client's commands that install the plugin, in order."""
    return [
        ["claude", "plugin", "marketplace", "add", str(shipped_data_folder() / "plugin")],
        ["claude", "plugin", "install", PLUGIN, "--scope", "local"],
    ]


def session_commands() -> list[str]:
    """Return what can be typed in a session that has the plugin."""
    return [f"/orchestra:{file.stem}" for file in sorted((shipped_data_folder() / "plugin" / "commands").glob("*.md"))]


def install_plugin(repository: Path) -> None:
    """Run the commands in ``repository``; a plugin that is installed stays. Raises GroundError where one fails."""
    for command in plugin_commands():
        program = shutil.which(command[0]) or command[0]
        done = capture([program, *command[1:]], cwd=repository, timeout_s=_TIMEOUT_S)
        if done.code != 0:
            reason = first_error_line(f"{done.stderr}\n{done.stdout}") or "no message"
            raise GroundError(
                f"{shlex.join(command)} failed: {reason}", hint="run it yourself to see all of its output"
            )
