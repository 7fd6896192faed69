"""Any program as an agent: an argv template, and its output as far as its format is known.

Placeholders, each replaced wherever it stands in an argument: ``{prompt}`` the task, ``{prompt_file}`` a file that
holds it, ``{worktree}``, ``{session_id}``, ``{settings}`` a JSON file that says what the agent may edit. Other braces
stay as they are. A command without ``{prompt}`` and ``{prompt_file}`` gets the prompt on its standard input.

``resume`` re-enters a session with a new prompt; where there is none, the command is run again with it. The
``{session_id}`` of a resume is the id that the program itself reported, where output_parsers.py knows its format.
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
    """Runs ``request.argv``, or ``request.resume_argv`` to resume a session."""

    def require(self, request: SessionRequest) -> None:
        """Require the program, and tmux where the session runs in it."""
        require_program(_template(request)[0], Path(request.worktree), {**os.environ, **(request.env or {})})
        if request.mode is RunnerMode.TMUX:
            tmux.require_tmux()

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Return the template with its placeholders filled; no shell is involved."""
        template = _template(request)
        values = {
            "prompt": request.prompt,
            "prompt_file": str(run.prompt),
            "worktree": request.worktree,
            "session_id": request.session_id,
            "settings": str(agent.policy),
        }
        argv = tuple(fill(part, values) for part in template)
        takes_prompt = any(_BY_ARGUMENT.search(part) for part in template)
        return Launch(argv, stdin=None if takes_prompt else run.prompt)

    def reader(self, request: SessionRequest) -> Reader:
        """Return the parser for the program's name."""
        return parser_of(request.argv)


def _template(request: SessionRequest) -> tuple[str, ...]:
    return request.resume_argv if request.resume and request.resume_argv else request.argv


def fill(part: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of one argument, once: placeholders in a value stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], part)


def require_program(name: str, worktree: Path, env: Mapping[str, str]) -> None:
    """Raise GroundError when the program is missing; a relative path starts at the worktree."""
    place = str(worktree / name) if os.sep in name else name
    if shutil.which(place, path=env.get("PATH")) is None:
        raise GroundError(
            f"program not found: {name}",
            hint=f"install it, correct the runner's command in the blueprint, or add it to PATH: {env.get('PATH')}",
        )
