"""The prompts that sessions start with. No client reads TASK.md by itself, so the prompt says so."""

from __future__ import annotations

import shlex
from pathlib import Path

FIRST = (
    "Read TASK.md in this folder and do what it says, within the rules of the project instructions. Commit your work "
    "on the current branch as you go, fill in AGENT_NOTES.md, and stop when everything in TASK.md is done."
)
RESUME = (
    "Your session was interrupted. Run git status and git log to see what is done, then continue with TASK.md. "
    "Commit your work and fill in AGENT_NOTES.md."
)
AGAIN = (
    "Work in this folder ended before everything in TASK.md was done. Read TASK.md, run git status and git log to see "
    "what is done, and continue. Before you stop:"
)


def changes_requested(message: str) -> str:
    """Return the prompt for a session whose reviewer requests changes."""
    return (
        "Your work was reviewed and changes are requested. The request is also at the end of TASK.md:\n\n"
        f"{message.strip()}\n\n"
        "Make these changes on the current branch, commit them, update AGENT_NOTES.md, and stop."
    )


def manual_commands(worktree: Path) -> tuple[str, ...]:
    """Return the shell lines with which a person starts an agent whose runner is ``none``."""
    return (
        f"cd {shlex.quote(str(worktree))}",
        f"claude {shlex.quote(FIRST)}   # or any other program, or edit by hand",
    )
