"""Lines at the bottom of a terminal: what is written to a real pseudo-terminal, read back by a small screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import pytest

from orchestra.cli.console import Cell, Tone
from orchestra.cli.live_region import Block, Picture, can_draw, drawn_again

_TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


@dataclass
class Screen:
    """As much of a terminal as the block may use; anything else it says is an error. Rows are never lost."""

    width: int
    rows: list[str] = field(default_factory=lambda: [""])
    at: tuple[int, int] = (0, 0)
    wrap: bool = True

    def feed(self, text: str) -> None:
        for found in _TOKEN.finditer(text):
            private, number, verb, back, down, plain = found.groups()
            row, column = self.at
            if back:
                self.at = (row, 0)
            elif down:
                self._to(row + 1, column)
            elif plain:
                self._put(plain)
            elif private:
                assert number in ("7", "2026"), found.group()
                self.wrap = verb == "h" if number == "7" else self.wrap
            else:
                self._obey(verb, int(number or 0) if verb != "m" else 0)

    def _obey(self, verb: str, number: int) -> None:
        row, column = self.at
        if verb == "A":
            assert number <= row, "above what was ever drawn"
            self.at = (row - number, column)
        elif verb == "B":
            self.at = (min(row + number, len(self.rows) - 1), column)
        elif verb in "KJ":
            self.rows[row] = self.rows[row][:column]
            if verb == "J":
                self.rows[row + 1 :] = [""] * len(self.rows[row + 1 :])
        else:
            assert verb == "m", verb

    def _put(self, text: str) -> None:
        for char in text:
            row, column = self.at
            if column == self.width:
                row, column = (row + 1, 0) if self.wrap else (row, column - 1)
                self._to(row, column)
            self.rows[row] = self.rows[row][:column].ljust(column) + char + self.rows[row][column + 1 :]
            self.at = (row, column + 1)

    def _to(self, row: int, column: int) -> None:
        self.rows += [""] * (row + 1 - len(self.rows))
        self.at = (row, column)

    @property
    def text(self) -> list[str]:
        """Without the empty rows at the end."""
        return "\n".join(self.rows).rstrip("\n").split("\n")


@dataclass
class Terminal:
    """A real pseudo-terminal and what came out of it."""

    reader: int
    stream: IO[str]
    seen: str = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.reader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until: str) -> str:
        """All that was written so far, once ``until`` is in what was not read yet."""
        fresh = ""
        while until not in fresh:
            fresh += os.read(self.reader, 1 << 16).decode()
        self.seen += fresh
        return self.seen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reader, writer = pty.openpty()
    shown = termios.tcgetattr(writer)
    shown[1] &= ~termios.OPOST  # what is written is what is read
    termios.tcsetattr(writer, termios.TCSANOW, shown)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        made = Terminal(reader, stream)
        made.resize(40, 10)
        yield made
    os.close(reader)


def picture(*texts: str, above: Sequence[Cell] = ()) -> Picture:
    return Picture([(Cell(text),) for text in texts], above)


def screen(terminal: Terminal, mark: str = "end", width: int = 40) -> Screen:
    """What a person sees. ``mark`` is written to know where the output ends."""
    terminal.stream.write(mark)
    terminal.stream.flush()
    made = Screen(width)
    made.feed(terminal.read(mark).removesuffix(mark))
    return made


def written(terminal: Terminal, mark: str = "end") -> str:
    """All that came out so far, as it was written."""
    screen(terminal, mark)
    return terminal.seen


def test_it_is_drawn_in_place_and_what_stays_scrolls_above(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one", "two", "three"))
    block.show(picture("four", "five", above=[Cell("schema landed " + "x" * 40, Tone.GOOD)]))
    block.show(picture("six", "seven", "eight", "nine"))
    assert screen(terminal).text == ["schema landed " + "x" * 26, "x" * 14, "six", "seven", "eight", "nine"]


def test_an_empty_picture_takes_the_block_away(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one", "two"))
    block.show(picture())
    block.show(picture(above=[Cell("stays")]))
    block.clear()
    left = screen(terminal)
    assert (left.text, left.at) == (["stays"], (1, 0))


def test_it_leaves_nothing_behind(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one", "two"))
    block.show(picture("three", "four", above=[Cell("stays")]))
    block.clear()
    left = screen(terminal)
    assert (left.text, left.at, left.wrap) == (["stays"], (1, 0), True)


def test_every_write_leaves_a_sane_terminal(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(Picture([(Cell("red", Tone.BAD), Cell(" plain"))]))
    block.show(picture("x" * 60, above=[Cell("green", Tone.GOOD)]))
    text = written(terminal)
    assert "\x1b[31mred\x1b[0m plain" in text
    assert "\x1b[32mgreen\x1b[0m\r\n" in text
    for switch in ("?7", "?2026"):
        assert len(re.findall(rf"\x1b\[\{switch}l", text)) == len(re.findall(rf"\x1b\[\{switch}h", text)) == 2
    assert "\x1b[?25" not in text, "the cursor is never hidden"
    assert "\x1b[?1049" not in text, "no alternate screen"


def test_a_line_that_is_wider_than_it_seemed_is_clipped(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("x" * 60, "two"))
    block.show(picture("y" * 60, "four"))
    assert screen(terminal).text == ["y" * 40, "four"]


def test_what_did_not_change_is_not_drawn_again(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one"))
    before = written(terminal, "first")
    block.show(picture("one"))
    assert written(terminal, "second") == before + "second"
    terminal.resize(30, 10)
    block.show(picture("one"))
    assert written(terminal, "third").count("one") == 2


def test_control_characters_are_shown(terminal: Terminal) -> None:
    Block(terminal.stream).show(picture(above=[Cell("evil\x1b[2J\rone\ntwo")]))
    assert screen(terminal).text == ["evil^[[2J^Mone", "two"]


def test_no_colour_when_asked(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Block(terminal.stream).show(Picture([(Cell("green", Tone.GOOD),)], [Cell("red", Tone.BAD)]))
    assert not re.search(r"\x1b\[\d*m", written(terminal))


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False), ("", False), (None, False)])
def test_where_it_can_be_drawn(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, term: str | None, drawn: bool
) -> None:
    if term is None:
        monkeypatch.delenv("TERM")
    else:
        monkeypatch.setenv("TERM", term)
    assert can_draw(terminal.stream) is drawn


def test_a_terminal_that_went_away_stops_nothing(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one"))
    os.close(terminal.reader)
    try:
        block.show(picture("two", above=[Cell("gone")]))
        block.clear()
    finally:  # what could not be written is still in the stream's buffer
        terminal.reader = os.open(os.devnull, os.O_RDWR)
        os.dup2(terminal.reader, terminal.stream.fileno())


def test_it_goes_on_by_itself_and_is_gone_when_the_work_fails(terminal: Terminal) -> None:
    asked: list[tuple[int, int]] = []

    def now(columns: int, rows: int) -> Picture:
        asked.append((columns, rows))
        return picture(f"look {min(len(asked), 3)}")

    with pytest.raises(KeyboardInterrupt), drawn_again(Block(terminal.stream), now, 0.001):
        terminal.read("look 3")
        raise KeyboardInterrupt
    assert screen(terminal).text == [""]
    assert asked[0] == (40, 10)


def test_what_the_shell_wrote_meanwhile_is_not_drawn_over(terminal: Terminal) -> None:
    block = Block(terminal.stream)
    block.show(picture("one", "two"))
    block.forget()
    terminal.stream.write("^Z\r\n$ fg\r\n")
    block.show(picture("three", "four"))
    assert screen(terminal).text == ["one", "two^Z", "$ fg", "three", "four"]


def test_a_terminal_that_takes_nothing_holds_up_nobody(terminal: Terminal) -> None:
    """Ctrl-S: the drawing waits, the work goes on, and all of it is there once the terminal takes it."""
    termios.tcflow(terminal.stream.fileno(), termios.TCOOFF)
    said: list[Cell] = []

    def look(columns: int, rows: int) -> Picture:
        fresh = said.copy()
        said.clear()
        return picture("block", above=fresh)

    with drawn_again(Block(terminal.stream), look, 0.001):
        said.extend(Cell(f"line {number}") for number in range(3))
        termios.tcflow(terminal.stream.fileno(), termios.TCOON)
    assert screen(terminal).text == ["line 0", "line 1", "line 2"]
