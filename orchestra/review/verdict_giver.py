"""Who gives a verdict: a person, or a coding session that runs the command for itself.

Coding programs name themselves in the environment of the commands that they run. That is how an honest session is
recognised; a hostile one can clear its environment, and only a sandbox keeps it from the repository's refs
(docs/safety.md).
"""

from __future__ import annotations

import os
from typing import Final

from orchestra.blueprint.model import ByAgents
from orchestra.errors import GroundError
from orchestra.fleet import Fleet

# Set by the program for each command that it runs; looked up in Claude Code 2.1.330, Codex 0.171.0, Gemini CLI 0.61.0,
# Qwen Code 0.15.10 and OpenCode 1.18.33.
SESSION_VARIABLES: Final = {
    "CLAUDECODE": "Claude Code",
    "CODEX_THREAD_ID": "Codex",
    "GEMINI_CLI": "Gemini CLI",
    "QWEN_CODE": "Qwen Code",
    "OPENCODE": "OpenCode",
    "ORCHESTRA_AGENT": "an agent of a fleet",  # set by orchestra, whichever program the agent is
}


def coding_session() -> str | None:
    """Return the program in whose session this command runs, with the variable that says so; None: a person's shell."""
    for variable, program in SESSION_VARIABLES.items():
        if os.environ.get(variable):
            return f"{program} ({variable} is set)"
    return None


def given_by() -> dict[str, str]:
    """Return what the history records of a verdict's giver: ``by`` where it is a coding session."""
    session = coding_session()
    return {"by": session} if session else {}


def require_person(fleet: Fleet, command_line: str) -> None:
    """Refuse a command in a coding session, unless the blueprint lets agents decide. Raises GroundError."""
    session = coding_session()
    if session and fleet.blueprint.verdicts.by_agents is ByAgents.REFUSE:
        verb = command_line.partition(" ")[0]
        raise GroundError(
            f"{verb} is for a person to type, and this is a session of {session}",
            hint=f"ask the person to type, in a terminal of their own: orchestra {command_line}; "
            "to let sessions decide, the blueprint says: verdicts: {by-agents: allow}",
        )
