"""Values as words and texts of a POSIX shell: every shell reads them back byte for byte and runs nothing of them.

A word is always in single quotes: shlex.quote leaves ``=ls`` bare, which zsh takes for a path. A long text is a
here-document, since an argument of a program may hold 128 KiB at most on Linux (MAX_ARG_STRLEN) and mksh has no printf
of its own.
"""

from __future__ import annotations

import re

from orchestra.errors import UsageError

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_END = "END_OF_TEXT"
_FIRST_LETTERS = "EDFGHIJKLMNOPQRSTUVWXYZABCabcdefghijklmnopqrstuvwxyz0123456789_.,+@%"


def quote(value: str | int) -> str:
    """Return ``value`` as one word of a shell command."""
    return "'" + _checked(str(value)).replace("'", "'\\''") + "'"


def words(*values: str | int) -> str:
    """Return several words with a blank between them."""
    return " ".join(quote(value) for value in values)


def comment(text: str) -> str:
    """Return ``text`` as part of a comment: one line, without characters that hide or reorder text."""
    return _UNPRINTABLE.sub(" ", text).strip()


def here_document(text: str) -> str:
    """Return what follows a command that reads ``text`` on standard input: ``<<'END'``, the lines, the end.

    The command gets a final newline also if ``text`` has none. dash 0.5.12 damages a line that starts like the end mark
    and goes on with a non-ASCII byte, so the mark's first letter starts no line of the text, where a letter is left.
    """
    lines = _checked(text).removesuffix("\n").split("\n") if text else []
    used = {line[:1] for line in lines}
    first = next((letter for letter in _FIRST_LETTERS if letter not in used), "E")
    end, number = first + _END[1:], 1
    while any(line.startswith(end) for line in lines):
        number += 1
        end = f"{first}{number}{_END[1:]}"
    return "\n".join([f"<<'{end}'", *lines, end])


def _checked(text: str) -> str:
    """Return ``text``, or raise UsageError for what no shell (NUL) or no file (half a surrogate pair) can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("a text holds half a surrogate pair, which no file can hold") from error
    if "\0" in text:
        raise UsageError(f"a text holds a NUL character, which no shell can hold: {comment(text)[:60]!r}")
    return text
