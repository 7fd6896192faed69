"""Run gh or glab: never a prompt, a pager or a colour, always a time limit, and an answer that is checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.engine.process import capture
from orchestra.errors import GroundError
from orchestra.forge.remote_address import ForgeAddress
from orchestra.ledger import Json
from orchestra.text import first_error_line, one_line

ASK_S = 60.0  # for merge, which would lose work of minutes; status asks for less
_QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_SPINNER_DISABLED": "1",
    "GH_PAGER": "cat",
    "GLAB_CHECK_UPDATE": "false",
    "NO_PROMPT": "true",
    "NO_COLOR": "1",
    "CLICOLOR": "0",
}
_INSTALL = {"gh": "https://cli.github.com", "glab": "https://gitlab.com/gitlab-org/cli"}
_LONGEST_ANSWER = 200  # characters of one that makes no sense


def call_program(argv: Sequence[str], *, stdin: str = "", timeout_s: float) -> str:
    """Return what the program printed. Raises GroundError when it is missing, fails or takes too long.

    It runs outside the repository, whose configuration agents can write.
    """
    program, shown = argv[0], " ".join(argv[: 2 if argv[1] == "api" else 3])
    try:
        output = capture(argv, cwd=Path("/"), env={**os.environ, **_QUIET}, stdin=stdin, timeout_s=timeout_s)
    except (FileNotFoundError, PermissionError) as error:
        raise GroundError(f"{program} is not on PATH", hint=f"install it: {_INSTALL[program]}") from error
    if output.code is None:
        raise GroundError(
            f"`{shown}` did not answer within {timeout_s:g} s",
            hint=f"{program} auth status shows whether the server answers",
        )
    if output.code:
        reason = _refusal(output.stdout) or first_error_line(output.stderr) or f"exit code {output.code}"
        raise GroundError(f"`{shown}` failed: {reason}", hint=f"{program} auth status shows its login")
    return output.stdout


def require_login(address: ForgeAddress, *, timeout_s: float = ASK_S) -> None:
    """Raise GroundError where the program has no login for the server. One probe; it prints no token."""
    try:
        call_program((address.program, "auth", "status", "--hostname", address.host), timeout_s=timeout_s)
    except GroundError as error:
        if "failed:" not in error.message:
            raise
        hint = f"{address.program} auth login --hostname {address.host}"
        raise GroundError(f"{address.program} is not logged in to {address.host}", hint=hint) from error


def read_rows(text: str, asked: str) -> list[Mapping[str, Json]]:
    """Return the answer as a list of maps. Raises GroundError for anything else."""
    rows = read_json(text, asked)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unexpected(text, asked)
    return [row for row in rows if isinstance(row, dict)]


def read_row(text: str, asked: str) -> Mapping[str, Json]:
    """Return the answer as a map. Raises GroundError for anything else."""
    row = read_json(text, asked)
    if not isinstance(row, dict):
        raise unexpected(text, asked)
    return row


def read_json(text: str, asked: str) -> Json:
    """Return the answer parsed. Raises GroundError where it is no JSON."""
    try:
        document: Json = json.loads(text)
    except (ValueError, RecursionError):
        raise unexpected(text, asked) from None
    return document


def unexpected(text: str, asked: str) -> GroundError:
    """Return the error of an answer that has not the documented form."""
    shown = one_line(text, _LONGEST_ANSWER) or "nothing"
    return GroundError(f"`{asked}` printed something unexpected: {shown}", hint=f"try it by hand: {asked}")


def _refusal(stdout: str) -> str | None:
    """Return the reason in the JSON that ``gh api`` and ``glab api`` print for a refused request."""
    try:
        answer = json.loads(stdout)
        message = answer["message"]
        details = answer.get("errors") or []
        parts = [part["message"] if isinstance(part, dict) else str(part) for part in details]
        return one_line(": ".join([str(message), *parts]), 400)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
