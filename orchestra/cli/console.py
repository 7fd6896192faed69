"""How results are shown: tables in a terminal, plain lines elsewhere, one JSON document on request.

Invariant: results go to standard output, everything else (progress, warnings, hints) to standard error; no text
that came from an agent, a file name or a log can move the cursor, change colours or reverse the reading order.
Refuses: decisions; whoever calls has made them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# C0 and C1 controls but for newline and tab, and the marks that reorder text (trojansource.codes).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_GAP = "  "


class Tone(StrEnum):
    """How a cell or a line is meant; the colour is only a repetition of what its words say."""

    PLAIN = ""
    GOOD = "green"  # landed, passed, approved
    BAD = "red"  # failed, evicted, discarded
    WAITING = "yellow"  # a person or another agent has to act
    QUIET = "dim"  # not what this is about


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell with a tone. A plain string is a cell without one."""

    text: str
    tone: Tone = Tone.PLAIN


def clean(text: str) -> str:
    """The text with every control character made visible: ``^[`` for escape, ``^M`` for a carriage return."""
    return _UNSAFE.sub(_visible, text)


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Whether a person reads this stream (standard output when not given)."""
    return (stream or sys.stdout).isatty()


def prepare_streams() -> None:
    """Make printing unable to fail on a character: what the locale or UTF-8 cannot encode comes out escaped.

    A standard stream that the caller closed (``>&-``) becomes one that keeps nothing.
    """
    nowhere = Path(os.devnull)
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str = "", tone: Tone = Tone.PLAIN) -> None:
    """A line (or lines) of the result, on standard output."""
    _write(sys.stdout, text, tone)


def tell(text: str = "", tone: Tone = Tone.PLAIN) -> None:
    """A line beside the result (progress, warning, what to type next), on standard error.

    Work does not stop because nobody reads about it.
    """
    with suppress(BrokenPipeError):
        _write(sys.stderr, text, tone)


def show_json(document: object) -> None:
    """The one document of a ``--json`` run, on standard output; ASCII, so that no locale can break it."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> None:
    """A table on standard output: drawn and cut to the window in a terminal, aligned whole lines elsewhere."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if is_terminal():
        _console(sys.stdout).print(table(columns, rows))
        return
    lines = [list(columns), *([_one_line(cell.text) for cell in row] for row in cells)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        sys.stdout.write(_GAP.join(padded).rstrip() + "\n")


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Report steps of something long: one moving line in a terminal, one line for each step elsewhere.

    ``with progress("spawn") as step: step("schema: worktree")``. Standard error either way.
    """
    if not is_terminal(sys.stderr):
        yield lambda step: tell(f"{what}: {step}")
        return
    # Twice a second: redrawing more often costs more than it tells (facts/libraries.md, 3).
    with _console(sys.stderr).status(what, refresh_per_second=2) as status:
        yield lambda step: status.update(_text(f"{what}: {_one_line(step)}", Tone.PLAIN))


def ask(question: str, answers: Sequence[str], source: IO[str] | None = None) -> str | None:
    """Ask the person at the terminal (``source``, standard input); one of ``answers``, or None at the end of input.

    An answer may be shortened to any start that is not ambiguous. Only for a terminal: elsewhere nobody answers.
    """
    while True:
        sys.stderr.write(f"{clean(question)} [{'/'.join(answers)}] ")
        sys.stderr.flush()
        line = (source or sys.stdin).readline()
        if not line:
            return None
        fitting = [answer for answer in answers if answer.startswith(line.strip().lower())]
        if line.strip() and len(fitting) == 1:
            return fitting[0]
        tell(f"please type one of {', '.join(answers)}")


def _visible(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:  # noqa: PLR2004 - the C0 controls, which terminals write with a caret
        return f"^{chr(code + 64)}"
    return "^?" if code == 0x7F else f"\\u{code:04x}"  # noqa: PLR2004 - DEL


def _one_line(text: str) -> str:
    return clean(text).replace("\n", " ").replace("\t", " ")


def _write(stream: IO[str], text: str, tone: Tone) -> None:
    if tone and is_terminal(stream):
        _console(stream).print(_text(text, tone), soft_wrap=True)
        return
    stream.write(clean(text) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> Table:
    """The drawn table, for a live view to hold."""
    from rich import box
    from rich.table import Table

    drawn = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        drawn.add_row(*(_text(_one_line(cell.text), cell.tone) for cell in cells))
    return drawn


def _text(text: str, tone: Tone) -> Text:
    from rich.text import Text

    return Text(clean(text), style=tone.value)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)
