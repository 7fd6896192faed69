"""Print results: with tones in a terminal, plain lines elsewhere, one JSON document on request.

Results go to standard output, everything else (progress, warnings, hints) to standard error. Text from an agent, a
file name or a log cannot move the cursor, change colours or reverse the reading order.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestra.text import format_clock, one_line, terminal_safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Tone(StrEnum):
    """The meaning of a cell or a line; its colour only repeats what its words say."""

    PLAIN = ""
    GOOD = "green"  # landed, passed, approved
    BAD = "red"  # failed, evicted, discarded
    WAITING = "yellow"  # a person or another agent has to act
    QUIET = "dim"  # background
    STRONG = "bold"  # headings
    NOTE = "cyan"  # the place of a piece of a diff


_COLOURS = {
    Tone.GOOD: "\x1b[32m",
    Tone.BAD: "\x1b[31m",
    Tone.WAITING: "\x1b[33m",
    Tone.QUIET: "\x1b[2m",
    Tone.STRONG: "\x1b[1m",
    Tone.NOTE: "\x1b[36m",
}
_DIFF = (
    *(("+++", Tone.STRONG), ("---", Tone.STRONG), ("diff ", Tone.STRONG)),
    *(("@@", Tone.NOTE), ("+", Tone.GOOD), ("-", Tone.BAD)),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell with a tone. A plain string is a cell without one."""

    text: str
    tone: Tone = Tone.PLAIN


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Return whether a person reads this stream (standard output when not given)."""
    return (stream or sys.stdout).isatty()


def prepare_streams() -> None:
    """Print characters that the locale or UTF-8 cannot encode as escapes, instead of failing.

    A standard stream that the caller closed (``>&-``) is replaced by one that discards its text.
    """
    discarding = Path(os.devnull)
    sys.stdout = sys.stdout or discarding.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or discarding.open("w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def print_result(text: str = "", tone: Tone = Tone.PLAIN) -> None:
    """Print a line (or lines) of the result on standard output."""
    _write(sys.stdout, text, tone)


def print_note(text: str = "", tone: Tone = Tone.PLAIN) -> None:
    """Print a line that is not the result (progress, warning, next command) on standard error.

    A closed pipe is ignored: work does not stop because its progress is not read.
    """
    with suppress(BrokenPipeError):
        _write(sys.stderr, text, tone)


def show_json(document: object) -> None:
    """Print the document of a ``--json`` run on standard output; in ASCII, which every locale can print."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def diff_cells(patch: str) -> list[Cell]:
    """Return the lines of a diff in the colours of git."""
    if not patch:
        return [Cell("  (no changes)", Tone.QUIET)]
    lines = patch.splitlines()
    return [Cell(line, next((tone for start, tone in _DIFF if line.startswith(start)), Tone.PLAIN)) for line in lines]


def coloured(cell: Cell) -> str:
    """Return the text as a terminal shows it in its tone; plain where NO_COLOR is set."""
    colour = None if os.environ.get("NO_COLOR") else _COLOURS.get(cell.tone)
    text = terminal_safe(cell.text)
    return f"{colour}{text}\x1b[0m" if colour and text else text


def show_lines(lines: Sequence[Sequence[Cell]]) -> None:
    """Print lines of cells in a terminal, none of them wrapped or shortened."""
    console = _console(sys.stdout)
    for line in lines:
        console.print(styled_line(line), soft_wrap=True)


def styled_line(line: Sequence[Cell]) -> Text:
    """Return a line of cells as rich draws it."""
    from rich.text import Text

    return Text.assemble(*(_text(cell.text, cell.tone) for cell in line))


def terminal_width() -> int:
    """Return the number of characters in a line of standard output's terminal."""
    return _console(sys.stdout).width


@contextmanager
def progress(command: str) -> Iterator[Callable[[str], None]]:
    """Report steps of something long: one moving line in a terminal, one line for each step elsewhere.

    ``with progress("spawn") as step: step("schema: worktree")``. Standard error either way.
    """
    if not is_terminal(sys.stderr):
        yield lambda step: print_note(f"{command}: {step}")
        return
    # Twice a second: rich uses a measurable part of a core when it redraws more often.
    with _console(sys.stderr).status(_Step(command, time.monotonic()), refresh_per_second=2) as status:
        yield lambda step: status.update(_Step(f"{command}: {one_line(step)}", time.monotonic()))


@dataclass(frozen=True, slots=True)
class _Step:
    """A step as it is drawn: what runs, and for how long."""

    text: str
    since: float

    def __rich__(self) -> Text:
        seconds = time.monotonic() - self.since
        return _text(f"{self.text}  {format_clock(seconds)}" if seconds >= 1 else self.text, Tone.PLAIN)


def ask(question: str, answers: Sequence[str], source: IO[str] | None = None) -> str | None:
    """Ask the person at the terminal and return one of ``answers``, or None at the end of input.

    An answer may be shortened to any unambiguous start. ``source``: default standard input.
    """
    while True:
        sys.stderr.write(f"{terminal_safe(question)} [{', '.join(answers)}] ")
        sys.stderr.flush()
        line = (source or sys.stdin).readline()
        if not line:
            return None
        typed = line.strip().lower()
        fitting = [answer for answer in answers if answer.startswith(typed)]
        if typed and len(fitting) == 1:
            return fitting[0]
        print_note(f"please type one of {', '.join(answers)}")


def _write(stream: IO[str], text: str, tone: Tone) -> None:
    if tone and is_terminal(stream):
        _console(stream).print(_text(text, tone), soft_wrap=True)
        return
    stream.write(terminal_safe(text) + "\n")


def _text(text: str, tone: Tone) -> Text:
    from rich.text import Text

    return Text(terminal_safe(text), style=tone.value)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)
