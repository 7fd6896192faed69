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
from orchestra.errors import ExitCode, GroundError
from orchestra.sessions.store import AgentFolder

_COMMAND = "import sys; sys.argv[0] = 'orchestra'; from orchestra.cli.program import main; sys.exit(main())"
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 100_000  # bytes of one argument (MAX_ARG_STRLEN is 131,072 on Linux); the rest is cut
_FINAL = (ExitCode.SHORT, ExitCode.WRONG_INPUT)


def has_request(agent: AgentFolder) -> bool:
    """Whether somebody left one, or one was taken and not handed over yet."""
    return _left(agent).is_file() or _taken(agent).is_file()


def run_request_changes(agent: AgentFolder, home: str, blueprint: str, *, last: bool = False) -> str:
    """Run ``orchestra request-changes`` with what was left; what it said, for the log.

    A message that it refuses is kept beside, as ``request-changes.refused.md``. GroundError, and the message stays,
    when it could not be judged now, as when somebody holds the lock; with ``last`` that counts as refused.
    """
    left, taken = _left(agent), _taken(agent)
    if left.is_file() and not taken.is_file():
        left.replace(taken)
    message = _argument(taken)
    argv = (sys.executable, "-c", _COMMAND, "request-changes", agent.name, "--message", message)
    where = ("--repo", home, "--blueprint", blueprint)
    done = process.capture((*argv, *where), cwd=_ROOT, env=os.environ, timeout_s=60.0)
    said = (done.stdout + done.stderr).strip()
    if done.code == 0:
        taken.unlink()
    elif last or done.code in _FINAL:
        taken.replace(agent.path / "request-changes.refused.md")
    else:
        raise GroundError(f"request-changes: {said or 'it took too long'}")
    return said


def _argument(file: Path) -> str:
    """What it says, as far as an argument can hold it."""
    with file.open("rb") as handle:
        return handle.read(_LONGEST).replace(b"\0", b"").decode("utf-8", "ignore").strip()


def _left(agent: AgentFolder) -> Path:
    return agent.path / "request-changes.md"


def _taken(agent: AgentFolder) -> Path:
    return agent.path / "request-changes.taken.md"
