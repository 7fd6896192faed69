"""Placeholders of a command: ``{prompt}``, ``{prompt_file}``, ``{worktree}``, ``{session_id}``, ``{settings}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PLACEHOLDER = re.compile(r"\{(prompt|prompt_file|worktree|session_id|settings)\}")


def fill(part: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of one argument, once: placeholders in a value stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], part)


def has_prompt(template: Iterable[str]) -> bool:
    """Return True when the prompt, or the file that holds it, is an argument of the command."""
    return any("{prompt}" in part or "{prompt_file}" in part for part in template)
