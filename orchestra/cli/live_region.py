"""A few lines at the bottom of a terminal, drawn again in place, and lines above them that stay.

Invariant: each drawing is one write that leaves the terminal as it found it (line wrap on, no colour, cursor shown), so
that a process that is killed at any moment leaves a sane terminal; lines given as ``above`` stay in the scrollback,
whole. Refuses: the alternate screen, hiding the cursor, reading from the terminal, and delaying the command: a
terminal that takes nothing (Ctrl-S) stops the drawing thread alone.

Not rich's Live: that one hides the cursor, and blanks its lines in one write and draws them in another. After a resize
that wrapped drawn lines, what is left of them stays above: going further up could hit lines that are to stay, since
terminals differ in what they wrap, and tmux says the new size a quarter of a second late.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO

from orchestra.cli.console import Cell, coloured, is_terminal
from orchestra.text import terminal_safe

Line = Sequence[Cell]

# Line wrap off, so that a character that is wider than we think is clipped; drawn at once where a terminal can
# (mode 2026; the others ignore it).
_BEGIN, _END = "\x1b[?2026h\x1b[?7l", "\x1b[?7h\x1b[?2026l"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"
_DEFAULT_SIZE = (80, 24)


def can_draw(stream: IO[str]) -> bool:
    """Return whether a block can be drawn there: a terminal that can move its cursor."""
    return is_terminal(stream) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


@dataclass(frozen=True, slots=True)
class Picture:
    """``lines`` for the block, and what is to stay above it from now on."""

    lines: Sequence[Line]
    above: Sequence[Cell] = ()


class Block:
    """Owns the bottom of one terminal, for one thread; but for ``forget``, which any may call."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []  # that are drawn
        self._size = _DEFAULT_SIZE
        self._lost = False

    def size(self) -> tuple[int, int]:
        """Columns and rows now."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return _DEFAULT_SIZE
        return (columns, rows) if columns > 0 and rows > 0 else _DEFAULT_SIZE

    def show(self, picture: Picture) -> None:
        """Draw it in place of the last one, if anything differs. What stays is wrapped by the terminal, not cut."""
        in_front = self._in_front()
        if self._lost or not in_front:
            self._lines, self._lost = [], False
        texts = ["".join(coloured(cell) for cell in line) for line in picture.lines] if in_front else []
        if (texts, self.size(), ()) == (self._lines, self._size, tuple(picture.above)):
            return
        rows_above = [
            coloured(Cell(row, cell.tone)) for cell in picture.above for row in terminal_safe(cell.text).split("\n")
        ]
        written = self._home() if in_front else ""
        if self._lines and (rows_above or not texts):
            written += self._emptied()
        written += "".join(f"{row}\r\n" for row in rows_above)
        self._lines, self._size = texts, self.size()
        self._write(written + (_BEGIN + self._body() + _END if texts else ""))

    def clear(self) -> None:
        """Take the block away; the cursor is where it was."""
        if self._lines and not self._lost and self._in_front():
            self._write(self._home() + self._emptied())
        self._lines = []

    def forget(self) -> None:
        """What was drawn is no longer ours to draw over."""
        self._lost = True

    def _home(self) -> str:
        """To the first cell of the block."""
        up = len(self._lines) - 1
        return (f"\x1b[{up}A" if up > 0 else "") + "\r"

    def _emptied(self) -> str:
        """Nothing from here down. tmux keeps what is erased from its first cell down as history: begin a row lower."""
        below = f"\x1b[1B{_REST_OF_SCREEN}\x1b[1A" if len(self._lines) > 1 else ""
        return _REST_OF_LINE + below

    def _body(self) -> str:
        # Erased first: from its first cell on, tmux then also forgets that the row was the rest of a wrapped one.
        return "\r\n".join(_REST_OF_LINE + text for text in self._lines) + _REST_OF_SCREEN

    def _in_front(self) -> bool:
        """Not put into the background by the shell; a terminal that is not our controlling one has no background."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal is gone; the work goes on
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def drawn_again(block: Block, look: Callable[[int, int], Picture], every_s: float) -> Iterator[None]:
    """Show ``look(columns, rows)`` now, every so often, and once more at the end; then the block is taken away."""
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            block.show(look(*block.size()))
            over.wait(every_s)
        block.show(look(*block.size()))
        block.clear()

    drawing = threading.Thread(target=draw, name="orchestra-view", daemon=True)
    with _after_a_stop(block.forget):
        drawing.start()
        try:
            yield
        finally:
            over.set()
            drawing.join()


@contextmanager
def _after_a_stop(resumed: Callable[[], None]) -> Iterator[None]:
    """Ctrl-Z and ``fg``: what the shell wrote meanwhile is not ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hear(_signal: int, _frame: FrameType | None) -> None:
        resumed()

    before = signal.signal(signal.SIGCONT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before if before is not None else signal.SIG_DFL)
