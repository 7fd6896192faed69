"""Any program as an agent: an argv template in, its output read as far as its kind is known.

Placeholders, each replaced wherever it stands in an argument: ``{prompt}`` the task, ``{prompt_file}`` a file that
holds it, ``{worktree}``, ``{session_id}``, ``{settings}`` a JSON file that says what the agent may edit. Other braces
are left alone. A command without ``{prompt}`` and ``{prompt_file}`` gets the prompt on its standard input.

``resume`` re-enters a session with a new prompt; where there is none, the command is run again with it. The
``{session_id}`` of a resume is the id that the program itself named, where its output is known (parsers.py).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from orchestra.blueprint.model import RunnerMode
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.protocol import Launch, Reader
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest

_PLACEHOLDER = re.compile(r"\{(prompt|prompt_file|worktree|session_id|settings)\}")
_BY_ARGUMENT = re.compile(r"\{(prompt|prompt_file)\}")


class CommandRunner:
    """Runs ``request.argv``, or ``request.resume_argv`` to go on with a session."""

    def require(self, request: SessionRequest) -> None:
        """The program must be there."""
        require_program(_template(request)[0], Path(request.worktree), {**os.environ, **(request.env or {})})
        if request.mode is RunnerMode.TMUX:
            tmux.require_tmux()

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """The template with its placeholders filled; no shell comes near it."""
        template = _template(request)
        values = {
            "prompt": request.prompt,
            "prompt_file": str(run.prompt),
            "worktree": request.worktree,
            "session_id": request.session_id,
            "settings": str(agent.policy),
        }
        argv = tuple(fill(part, values) for part in template)
        spoken = any(_BY_ARGUMENT.search(part) for part in template)
        return Launch(argv, stdin=None if spoken else run.prompt)

    def reader(self, request: SessionRequest) -> Reader:
        """By the program's name."""
        return parser_of(request.argv)


def _template(request: SessionRequest) -> tuple[str, ...]:
    return request.resume_argv if request.resume and request.resume_argv else request.argv


def fill(part: str, values: Mapping[str, str]) -> str:
    """One argument with its placeholders replaced, once: what a value holds is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], part)


def require_program(name: str, worktree: Path, env: Mapping[str, str]) -> None:
    """Raises GroundError when the program cannot be found; a relative path is looked for in the worktree."""
    place = str(worktree / name) if os.sep in name else name
    if shutil.which(place, path=env.get("PATH")) is None:
        raise GroundError(f"the program {name} is not there", hint=f"install it, or put it on PATH: {env.get('PATH')}")
