"""Text that people read: counts, lists, lengths of time, similar words, and text that is safe in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_SHORT_WORD = 4
"""Letters; in a word this short one slip is a large part of it."""
# C0 and C1 controls except newline and tab, and the marks that reorder text (trojansource.codes).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(
    r"\b(error|fatal|panic|fail(ed)?|cannot|unable to|not found|no such file)\b|\w(Error|Exception)\b|^(E  |not ok)",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(r"\b(0|no|without) (errors?|failed|failures?)\b|^[=_*#⎯-]{3}", re.IGNORECASE)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def format_count(count: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 file``, ``1,200 files``; ``plural`` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def format_list(items: Iterable[str], *, conjunction: str = "and", most: int | None = None) -> str:
    """Return ``a, b and c``; with more than ``most`` items ``a, b and 5 more``."""
    words = list(items)
    if most is not None and len(words) > most:
        return f"{', '.join(words[:most])} {conjunction} {len(words) - most:,} more"
    return " ".join(filter(None, (", ".join(words[:-1]), conjunction if len(words) > 1 else "", *words[-1:])))


def format_duration(seconds: float, *, gap: str = " ") -> str:
    """Return a length of time in its largest unit: ``12 s``, ``3 min``, ``2 h``, ``4 d``. ``gap`` precedes the unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f}{gap}{unit}"
    return f"{max(0.0, seconds):.0f}{gap}s"


def format_clock(seconds: float) -> str:
    """Return elapsed time as a clock shows it: ``0:07``, ``12:30``, ``1:02:03``."""
    whole = max(0, int(seconds))
    minutes, hours = f"{whole // 60 % 60}:{whole % 60:02}", whole // 3600
    return f"{hours}:{minutes.zfill(5)}" if hours else minutes


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most similar to ``word``, or the first that begins with it; case is ignored."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    folded = word.casefold()[:200]
    matches = get_close_matches(folded, by_folded, n=1, cutoff=0.6 if len(folded) <= _SHORT_WORD else 0.7)
    if not matches and len(folded) >= _SHORT_WORD:
        matches = [candidate for candidate in by_folded if candidate.startswith(folded)]
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, candidates: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """Return a hint that names the nearest candidate, else ``otherwise``."""
    match = nearest(word, candidates)
    return f'did you mean "{match}"?' if match else otherwise


def terminal_safe(text: str) -> str:
    """Return ``text`` with every control character made visible: ``^[`` for escape, ``\\u202e`` for a text mark.

    Newlines and tabs stay. Text from agents, file names and logs cannot move the cursor or reverse the reading order.
    """
    return _UNSAFE.sub(_visible, text)


def one_line(text: str, most: int | None = None) -> str:
    """Return ``text`` terminal-safe on one line, cut to ``most`` characters and ``...``."""
    line = terminal_safe(" ".join(text.split()))
    return line if most is None or len(line) <= most else f"{line[:most]}..."


def last_lines(text: str, count: int, width: int) -> str:
    """Return the last ``count`` lines, each cut to ``width``, under a line that counts those before them."""
    lines = text.rstrip().splitlines()
    omitted: Sequence[str] = [f"... {len(lines) - count} lines before"] if len(lines) > count else []
    return "\n".join([*omitted, *(line[:width] for line in lines[-count:])])


def first_error_line(log: str | bytes, most: int = 200) -> str | None:
    """Return the first line of a command's output that names an error, else its last line; None where it is empty."""
    text = log.decode("utf-8", "replace") if isinstance(log, bytes) else log
    lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    # A test runner's own summary and assertions say more than source lines that it quotes.
    errors = [line for line in lines if _ERROR.search(line) and not _NO_ERROR.search(line)]
    summary = [line for start in ("FAILED ", "--- FAIL", "not ok ", "E  ") for line in lines if line.startswith(start)]
    error_line = next(iter(summary or errors), None)
    return one_line(error_line or lines[-1], most) if lines else None


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:  # noqa: PLR2004 - the C0 controls, which terminals write with a caret
        return f"^{chr(code + 64)}"
    return "^?" if code == 0x7F else f"\\u{code:04x}"  # noqa: PLR2004 - DEL
