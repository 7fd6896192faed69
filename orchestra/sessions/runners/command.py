"""Any program as an agent: an argv template, and its output as far as its format is known.

Placeholders, each replaced wherever it stands in an argument: ``{prompt}`` the task, ``{prompt_file}`` a file that
holds it, ``{worktree}``, ``{session_id}``, ``{settings}`` a JSON file that says what the agent may edit. Other braces
stay as they are. A command without ``{prompt}`` and ``{prompt_file}`` gets the prompt on its standard input.

A prompt of a new session ends with the fleet's rules. ``resume`` re-enters a session with a new prompt; without it the
command is run again. A headless program is sent back until its work is finished, at most three times (resume_loop.py).
The ``{session_id}`` of a resume is the id that the program itself reported, where output_parsers.py knows its format.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import RunnerMode
from orchestra.errors import GroundError
from orchestra.files import read_regular
from orchestra.sessions import prompts, tmux
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.placeholders import fill, has_prompt
from orchestra.sessions.runners.protocol import Launch, Reader
from orchestra.sessions.runners.resume_loop import LoopPlan, loop_command
from orchestra.sessions.store import AgentFolder, RunFolder, SessionRequest

_LONGEST_RULES = 64 << 10  # bytes: an argument of a program may have 128 KiB


class CommandRunner:
    """Runs ``request.argv``, or ``request.resume_argv`` to resume a session."""

    def require(self, request: SessionRequest) -> None:
        """Require the program, and tmux where the session runs in it."""
        require_program(_template(request)[0], Path(request.worktree), {**os.environ, **(request.env or {})})
        if request.mode is RunnerMode.TMUX:
            tmux.require_tmux()
        try:
            re.compile(request.waiting or "")
        except re.error as error:
            problem = f"`waiting` of the runner of {request.agent} is no regular expression: {error}"
            raise GroundError(problem, hint="correct it in the blueprint") from error

    def launch(self, request: SessionRequest, agent: AgentFolder, run: RunFolder, cap_usd: float | None) -> Launch:
        """Return the template with its placeholders filled; no shell is involved."""
        template = _template(request)
        rules = "" if request.resume and request.resume_argv else rules_text(agent)
        prompt = f"{request.prompt}{rules}"
        if prompt != request.prompt:
            run.prompt.write_text(prompt, "utf-8")
        values = {
            "prompt": prompt,
            "prompt_file": str(run.prompt),
            "worktree": request.worktree,
            "session_id": request.session_id,
            "settings": str(agent.policy),
        }
        argv = tuple(fill(part, values) for part in template)
        reads_prompt = not has_prompt(template)
        if request.mode is RunnerMode.TMUX:
            return Launch(argv, stdin=run.prompt if reads_prompt else None)
        plan = LoopPlan(list(argv), reads_prompt, list(request.resume_argv or request.argv), values)
        if not request.resume_argv:
            plan = replace(plan, opening=prompts.AGAIN, closing=rules)
        return Launch(loop_command(run, plan))

    def reader(self, request: SessionRequest) -> Reader:
        """Return the parser for the program's name."""
        return parser_of(request.argv)


def rules_text(agent: AgentFolder) -> str:
    """Return the fleet's rules as a part of a prompt: which file a program reads by itself is not known."""
    for name in ("CLAUDE.md", "CLAUDE.local.md"):
        text = read_regular(agent.path / "rendered" / name, most=_LONGEST_RULES)
        if text:
            return f"\n\nThe project instructions, from {name}:\n\n{text.decode('utf-8', 'ignore').strip()}\n"
    return ""


def _template(request: SessionRequest) -> tuple[str, ...]:
    return request.resume_argv if request.resume and request.resume_argv else request.argv


def require_program(name: str, worktree: Path, env: Mapping[str, str]) -> None:
    """Raise GroundError when the program is missing; a relative path starts at the worktree."""
    place = str(worktree / name) if os.sep in name else name
    if shutil.which(place, path=env.get("PATH")) is None:
        raise GroundError(
            f"program not found: {name}",
            hint=f"install it, correct the runner's command in the blueprint, or add it to PATH: {env.get('PATH')}",
        )
