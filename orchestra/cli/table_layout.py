"""Print tables: aligned whole lines in a pipe, fitted to the width of a terminal without shortening a cell.

Cells that do not fit move to their own lines below their row; in a very narrow terminal each row is one block.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestra.cli.console import Cell, Tone, is_terminal, print_result, show_lines, terminal_width
from orchestra.text import one_line

_GAP = "  "
_BLOCKS_BELOW = 60  # characters

Line = list[Cell]


@dataclass(frozen=True, slots=True)
class Columns:
    """``names`` in their order; an empty name has no heading.

    ``title`` begins each row and its block, and like ``stays`` never leaves the row. ``leaves_first``: the others, in
    the order in which they move below it where the terminal is too narrow; None: the widest first.
    """

    names: Sequence[str]
    title: Sequence[str]
    stays: Sequence[str] = ()
    leaves_first: Sequence[str] | None = None


def show_table(names: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> None:
    """Print a table on standard output. Its first column is what a row is about."""
    if is_terminal():
        show_lines(fit_table(Columns(names, names[:1]), rows, [()] * len(rows), terminal_width()))
        return
    for line in table_cells(names, rows):
        print_result(line.text)


def table_cells(names: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> list[Cell]:
    """Return a table as aligned lines, nothing shortened, without the columns that are empty in every row."""
    texts = [[one_line(_cell(cell).text) for cell in row] for row in rows]
    filled = [number for number in range(len(names)) if not rows or any(line[number] for line in texts)]
    lines = [[line[number] for number in filled] for line in (names, *texts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(filled))]
    aligned = ((text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return [Cell(_GAP.join(line).rstrip()) for line in aligned]


def fit_table(
    columns: Columns, rows: Sequence[Sequence[str | Cell]], reasons: Sequence[Sequence[Cell]], width: int
) -> list[Line]:
    """Return the lines of the table; ``reasons`` are the lines below each row. Empty columns are left out."""
    cells = [
        {name: Cell(one_line(cell.text), cell.tone) for name, cell in zip(columns.names, map(_cell, row), strict=True)}
        for row in rows
    ]
    always = (*columns.title, *columns.stays)
    filled = [name for name in columns.names if name in always or any(row[name].text for row in cells)]
    widths = {name: max(_width(name), *(_width(row[name].text) for row in cells), 0) for name in filled}
    leaves_first = columns.leaves_first
    if leaves_first is None:
        leaves_first = sorted((name for name in filled if name not in always), key=lambda name: -widths[name])
    in_row = list(filled)
    for name in leaves_first:
        if _row_width(in_row, widths) > width and name in in_row:
            in_row.remove(name)
    if width < _BLOCKS_BELOW or _row_width(in_row, widths) > width:
        return _blocks(columns, filled, cells, reasons, width)
    below = [name for name in filled if name not in in_row]
    indent = widths[columns.title[0]] + len(_GAP) if len(columns.title) > 1 else len(_GAP)
    lines = [_padded({name: Cell(name, Tone.STRONG) for name in in_row}, in_row, widths)]
    lines.append([Cell("-" * _row_width(in_row, widths), Tone.QUIET)])
    for row, row_reasons in zip(cells, reasons, strict=True):
        lines.append(_padded(row, in_row, widths))
        lines += _lines_below(row, below, row_reasons, indent, width)
    return lines


def _blocks(
    columns: Columns,
    filled: Sequence[str],
    cells: Sequence[Mapping[str, Cell]],
    reasons: Sequence[Sequence[Cell]],
    width: int,
) -> list[Line]:
    others = [name for name in filled if name not in (*columns.title, *columns.stays)]
    lines: list[Line] = []
    for row, row_reasons in zip(cells, reasons, strict=True):
        *before, name = columns.title
        title = [cell for each in before for cell in (row[each], Cell(" "))]
        lines.append([*title, Cell(row[name].text, Tone.STRONG)])
        facts = [[Cell(f"{name} "), row[name]] for name in columns.stays if row[name].text]
        in_one_line = sum(_width(cell.text) for fact in facts for cell in fact) + len(_GAP) * len(facts) <= width
        if in_one_line and facts:
            lines.append([cell for fact in facts for cell in (Cell(_GAP), *fact)])
        else:
            lines += [[Cell(_GAP), *fact] for fact in facts]
        lines += _lines_below(row, others, row_reasons, len(_GAP), width)
    return lines


def _lines_below(
    row: Mapping[str, Cell], names: Sequence[str], reasons: Sequence[Cell], indent: int, width: int
) -> list[Line]:
    facts = ", ".join(f"{name} {row[name].text}".strip() for name in names if row[name].text)
    texts = [Cell(facts, Tone.QUIET)] * bool(facts) + [Cell(one_line(cell.text), cell.tone) for cell in reasons]
    return [
        [Cell(line, text.tone)]
        for text in texts
        for line in textwrap.wrap(
            text.text,
            width=max(width, indent + 1),
            initial_indent=" " * indent,
            subsequent_indent=" " * indent,
            break_long_words=False,  # a path or an agent's name stays one word
            break_on_hyphens=False,
        )
    ]


def _padded(row: Mapping[str, Cell], names: Sequence[str], widths: Mapping[str, int]) -> Line:
    line: Line = []
    for name in names:
        cell = row[name]
        padding = " " * (widths[name] - _width(cell.text))
        line += [cell, Cell(f"{padding}{_GAP}" if name != names[-1] else "")]
    return line


def _row_width(names: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[name] for name in names) + len(_GAP) * (len(names) - 1)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)
