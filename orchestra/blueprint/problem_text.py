"""What is said of a place: one line, however long or strange the text is that it quotes.

Invariant: a message and its hint have no line breaks and no control characters (a terminal obeys those), and are
bounded in length; so are the problems of one blueprint in number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from orchestra.blueprint.model import Origin
from orchestra.errors import Problem

MOST_PROBLEMS: Final = 200
_LONGEST: Final = 500


def problem(at: Origin, message: str, hint: str | None = None) -> Problem:
    """A Problem at that place."""
    return Problem(at.file, at.line, at.column, _one_line(message), _one_line(hint) if hint else None)


def _one_line(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in cut)


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """One problem for each slip: what many agents have from one profile is told once. After 200 the rest is counted."""
    told: dict[tuple[str, int, int, str], Problem] = {}
    for one in problems:
        body = re.sub(r'^(agent|profile) ("[^"]*"|[0-9]+): ', "", one.message)
        told.setdefault((str(one.file), one.line, one.column, body), one)
    kept = sorted(told.values(), key=lambda one: (str(one.file), one.line, one.column, one.message))
    if len(kept) <= MOST_PROBLEMS:
        return kept
    rest = kept[MOST_PROBLEMS]
    more = f"and {len(kept) - MOST_PROBLEMS:,} more problems from here on"
    return [*kept[:MOST_PROBLEMS], Problem(rest.file, rest.line, rest.column, more)]
