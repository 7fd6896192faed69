"""Placeholders of a command: ``{prompt}``, ``{prompt_file}``, ``{worktree}``, ``{session_id}``, ``{settings}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{(prompt|prompt_file|worktree|session_id|settings)\}")


def fill(part: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of one argument, once: placeholders in a value stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], part)
