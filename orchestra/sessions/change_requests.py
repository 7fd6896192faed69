"""A request for changes as a file, ``request-changes.md`` in an agent's folder.

A CI job or review bot that cannot run orchestra writes the message there (under another name, then renames it, so that
it is whole). The supervisor runs ``orchestra request-changes`` with it, the same command that a person would type: the
verdict is recorded, TASK.md is updated, the session resumes.

Invariant: a file is taken by one rename and handed over at least once, whatever is killed. Other verdicts cannot be
left as files: only those who can run orchestra may approve.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from orchestra.engine import process
from orchestra.errors import ExitCode, GroundError
from orchestra.files import read_regular
from orchestra.sessions.store import AgentFolder

_COMMAND = "import sys; sys.argv[0] = 'orchestra'; from orchestra.cli.program import main; sys.exit(main())"
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 100_000  # bytes of one argument (MAX_ARG_STRLEN is 131,072 on Linux); the remainder is cut off
_FINAL = (ExitCode.SHORT, ExitCode.WRONG_INPUT)


def has_request(agent: AgentFolder) -> bool:
    """Return True when a request was left, or was taken and not handed over yet."""
    return _is_regular(agent.path / "request-changes.md") or _is_regular(agent.path / "request-changes.taken.md")


def run_request_changes(agent: AgentFolder, home: str, blueprint: str, *, last: bool = False) -> str:
    """Run ``orchestra request-changes`` with the request; return its output, for the log.

    A request that it refuses is kept as ``request-changes.refused.md``. Raises GroundError, and keeps the request, when
    it could not be judged now, as while another command holds the lock; with ``last`` that counts as refused.
    """
    unclaimed, taken = agent.path / "request-changes.md", agent.path / "request-changes.taken.md"
    if _is_regular(unclaimed) and not _is_regular(taken):
        unclaimed.replace(taken)
    message = (read_regular(taken, most=_LONGEST) or b"").replace(b"\0", b"").decode("utf-8", "ignore").strip()
    command = (sys.executable, "-c", _COMMAND, "request-changes", agent.name, "--message", message)
    where = ("--repo", home, "--blueprint", blueprint)
    result = process.capture((*command, *where), cwd=_ROOT, env=os.environ, timeout_s=60.0)
    output = (result.stdout + result.stderr).strip()
    if result.code == 0:
        taken.unlink()
    elif last or result.code in _FINAL:
        taken.replace(agent.path / "request-changes.refused.md")
    else:
        raise GroundError(f"request-changes: {output or 'it took longer than 60 s'}")
    return output


def _is_regular(path: Path) -> bool:
    """Return True for a regular file, which a link, a pipe or a device is not."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
