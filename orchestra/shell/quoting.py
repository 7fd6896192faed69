"""Values as words and texts of a POSIX shell.

Invariant: whatever the value, a shell of any kind reads it back byte for byte and runs nothing of it. A word is
always in single quotes: shlex.quote leaves ``=ls`` bare, which zsh takes for a path (facts/libraries.md, 0.5). A
long text is a here-document, since an argument of a program may hold 128 KiB at most on Linux (MAX_ARG_STRLEN) and
mksh has no printf of its own. Refuses: NUL, which no shell can hold, and text that no file can hold.
"""

from __future__ import annotations

import re

from orchestra.errors import UsageError

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_END = "END_OF_TEXT"


def quote(value: str | int) -> str:
    """``value`` as one word of a shell command."""
    return "'" + _holdable(str(value)).replace("'", "'\\''") + "'"


def words(*values: str | int) -> str:
    """Several words, a blank between them."""
    return " ".join(quote(value) for value in values)


def comment(text: str) -> str:
    """``text`` as a part of a comment: one line, whatever is in it, with nothing that hides or reorders it."""
    return _UNPRINTABLE.sub(" ", text).strip()


def here_document(text: str) -> str:
    """What follows a command that reads ``text`` on standard input: ``<<'END'``, the lines, the end.

    The command gets a final newline also where ``text`` has none.
    """
    lines = _holdable(text).removesuffix("\n").split("\n") if text else []
    end, number = _END, 1
    while end in lines:
        number += 1
        end = f"{_END}_{number}"
    return "\n".join([f"<<'{end}'", *lines, end])


def _holdable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("a text holds half a surrogate pair, which no file can hold") from error
    if "\0" in text:
        raise UsageError(f"a text holds a NUL character, which no shell can hold: {comment(text)[:60]!r}")
    return text
