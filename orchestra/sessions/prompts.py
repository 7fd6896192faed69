"""What orchestra says to an agent's program. None reads TASK.md by itself (client facts, 2), so the prompt says so."""

from __future__ import annotations

FIRST = (
    "Read TASK.md in this folder and do what it says, within the rules of the project instructions. Commit your work "
    "on the current branch as you go, fill in AGENT_NOTES.md, and stop when everything in TASK.md is done."
)
GO_ON = (
    "Your session was interrupted. Look at git status and git log to see how far you came, then go on with TASK.md "
    "where you left off. Commit your work and fill in AGENT_NOTES.md."
)


def sent_back(message: str) -> str:
    """The prompt for a session that a reviewer sends back."""
    return (
        "Your work was reviewed and changes are requested. The request is also at the end of TASK.md:\n\n"
        f"{message.strip()}\n\n"
        "Make these changes on the current branch, commit them, bring AGENT_NOTES.md up to date, and stop."
    )
