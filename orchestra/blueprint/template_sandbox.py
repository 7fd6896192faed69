"""A sandboxed Jinja environment whose expressions are bounded in time and memory.

Jinja's sandbox guards attributes and ``range``; it lets ``"x" * 10**10``, ``"%9999999999d" % 1`` and chains of
``replace`` fill the memory. Here results stay below the length given. This module imports jinja2, so it is imported
only to render.
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
        allowed = {name: self.filters[name] for name in filters}
        self.filters = {**allowed, "format": _format, "replace": _Replace(longest)}

    def call_binop(self, context: Context, operator: str, first: Any, second: Any) -> Any:
        if operator == "**" or not (isinstance(first, (int, float)) and isinstance(second, (int, float))):
            raise ValueError(f"{operator} works on numbers only" if operator != "**" else "** is not available")
        return super().call_binop(context, operator, first, second)


def _format(value: object, *args: object) -> str:
    """Format in printf style with widths of at most two digits."""
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
