"""A request for changes as a file: what a script leaves in an agent's folder, ``request-changes.md``.

Whoever cannot run orchestra, such as a CI job or a review bot, writes the message there (to another name first, then
renamed, so that it is whole). The supervisor hands it to ``orchestra request-changes``, the one way to that verdict, by
running it: the verdict is recorded, TASK.md says it, the session goes on with it.

Invariant: a file is taken by one rename and handed over at least once, whoever is killed. Other verdicts cannot be
left as files: what may approve must be able to run orchestra.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestra.engine import process
from orchestra.session.folder import AgentFolder

_COMMAND = "import sys; sys.argv[0] = 'orchestra'; from orchestra.tasks.program import main; sys.exit(main())"
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 100_000  # of one argument; the rest is cut


def has_request(agent: AgentFolder) -> bool:
    """Whether somebody left one, or one was taken and not handed over yet."""
    return _left(agent).exists() or _taken(agent).exists()


def hand_over(agent: AgentFolder, home: str, blueprint: str) -> str:
    """Run ``orchestra request-changes`` with what was left; what it said, for the log.

    A message that it refuses is kept beside, as ``request-changes.refused.md``.
    """
    left, taken = _left(agent), _taken(agent)
    if left.exists() and not taken.exists():
        left.replace(taken)
    message = taken.read_text("utf-8", "replace")[:_LONGEST].strip()
    argv = (sys.executable, "-c", _COMMAND, "request-changes", agent.name, "--message", message)
    where = ("--repo", home, "--blueprint", blueprint)
    done = process.capture((*argv, *where), cwd=_ROOT, env=os.environ, timeout_s=60.0)
    if done.code == 0:
        taken.unlink()
    else:
        taken.replace(agent.path / "request-changes.refused.md")
    return (done.stdout + done.stderr).strip()


def _left(agent: AgentFolder) -> Path:
    return agent.path / "request-changes.md"


def _taken(agent: AgentFolder) -> Path:
    return agent.path / "request-changes.taken.md"
