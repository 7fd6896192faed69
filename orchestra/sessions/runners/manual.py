"""Kind ``none``: a person starts the agent's program; orchestra says what to type."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestra.sessions.prompts import FIRST


def what_to_type(worktree: Path) -> tuple[str, ...]:
    """Shell lines that put a person to work in the agent's worktree."""
    return (f"cd {shlex.quote(str(worktree))}", f"claude {shlex.quote(FIRST)}   # or any other program, or yourself")
