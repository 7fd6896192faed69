"""A Jinja environment in which no expression can run away: sandboxed, and bounded in time and memory.

Jinja's sandbox guards attributes and ``range``; it lets ``"x" * 10**10``, ``"%9999999999d" % 1`` and chains of
``replace`` fill the memory. Invariant: results stay below the length given. Imports jinja2: only ``naming`` imports
this, when there is something to render.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

_WIDE = re.compile(r"%[^a-zA-Z%]*(\*|[0-9]{3,})")


class ExpressionEnvironment(SandboxedEnvironment):
    """Only the filters named and ``format`` and ``replace``; no globals; ``*`` and ``%`` are for numbers."""

    def __init__(self, filters: Sequence[str], longest: int, **options: Any) -> None:
        super().__init__(optimized=False, **options)  # optimising would compute constants without the guards
        self.intercepted_binops = frozenset({"*", "**", "%"})
        self.globals.clear()
        kept = {name: self.filters[name] for name in filters}
        self.filters = {**kept, "format": _format, "replace": _Replace(longest)}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            raise ValueError(f"{operator} is for numbers here" if operator != "**" else "** is not there")
        return super().call_binop(context, operator, left, right)


def _format(value: object, *args: object) -> str:
    """printf-style formatting with widths of at most two digits."""
    template = str(value)
    if _WIDE.search(template):
        raise ValueError(f"a width of more than two digits in {template!r}")
    return template % args


class _Replace:
    def __init__(self, longest: int) -> None:
        self.longest = longest

    def __call__(self, value: object, old: str, new: str) -> str:
        text = str(value)
        if len(text) + (text.count(old) if old else len(text) + 1) * len(new) > self.longest:
            raise ValueError(f"replace makes more than {self.longest:,} characters")
        return text.replace(old, new)
