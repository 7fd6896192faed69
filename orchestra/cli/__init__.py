"""The commands that ``orchestra``, ``./inv`` and ``inv`` offer, one module each. ``from orchestra.cli import ns``.

Importing this reads no repository and imports nothing heavy, so that ``inv --list`` is fast.
"""

from __future__ import annotations

from orchestra.cli import (
    blueprints_command,
    demo_command,
    init_command,
    merge_command,
    plan_command,
    scripts_command,
    session_commands,
    status_command,
    verdict_commands,
    workspace_commands,
)
from orchestra.cli.program import adopt_running_program, collect

ns = collect(
    init_command,
    blueprints_command,
    plan_command,
    workspace_commands,
    session_commands,
    status_command,
    verdict_commands,
    merge_command,
    scripts_command,
    demo_command,
)

adopt_running_program()

__all__ = ["ns"]
