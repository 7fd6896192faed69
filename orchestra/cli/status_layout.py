"""Fit the status table to the width of a terminal without shortening a cell.

Cells that do not fit move to their own lines below their row; in a very narrow terminal each agent is one block.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from orchestra.cli.console import Cell, Tone
from orchestra.text import one_line

# The columns that always stay in the row, and the others in the order in which they leave it.
_ALWAYS = ("#", "agent", "state", "verdict")
_LEAVES_FIRST = ("landed", "pull request", "stage", "notes", "behind", "since", "commits", "dirty")
_GAP = "  "
_BLOCKS_BELOW = 60  # characters

Line = list[Cell]


def fit_table(
    columns: Sequence[str], rows: Sequence[Sequence[str | Cell]], reasons: Sequence[Sequence[Cell]], width: int
) -> list[Line]:
    """Return the lines of the table; ``reasons`` are the lines below each row. Empty columns are left out."""
    cells = [
        {name: Cell(one_line(cell.text), cell.tone) for name, cell in zip(columns, map(_cell, row), strict=True)}
        for row in rows
    ]
    filled = [name for name in columns if name in _ALWAYS or any(row[name].text for row in cells)]
    in_row = list(filled)
    widths = {name: max(_width(name), *(_width(row[name].text) for row in cells), 0) for name in filled}
    for name in _LEAVES_FIRST:
        if _row_width(in_row, widths) > width and name in in_row:
            in_row.remove(name)
    below = [name for name in filled if name not in in_row]
    if width < _BLOCKS_BELOW or _row_width(in_row, widths) > width:
        return _blocks(filled, cells, reasons, width)
    indent = widths["#"] + len(_GAP)
    lines = [_padded({name: Cell(name, Tone.STRONG) for name in in_row}, in_row, widths)]
    lines.append([Cell("-" * _row_width(in_row, widths), Tone.QUIET)])
    for row, row_reasons in zip(cells, reasons, strict=True):
        lines.append(_padded(row, in_row, widths))
        lines += _lines_below(row, below, row_reasons, indent, width)
    return lines


def _blocks(
    filled: Sequence[str], cells: Sequence[Mapping[str, Cell]], reasons: Sequence[Sequence[Cell]], width: int
) -> list[Line]:
    lines: list[Line] = []
    for row, row_reasons in zip(cells, reasons, strict=True):
        lines.append([row["#"], Cell(" "), Cell(row["agent"].text, Tone.STRONG)])
        facts = [[Cell(f"{name} "), row[name]] for name in ("state", "verdict") if row[name].text]
        in_one_line = sum(_width(cell.text) for fact in facts for cell in fact) + len(_GAP) * len(facts) <= width
        if in_one_line and facts:
            lines.append([cell for fact in facts for cell in (Cell(_GAP), *fact)])
        else:
            lines += [[Cell(_GAP), *fact] for fact in facts]
        lines += _lines_below(row, [name for name in filled if name not in _ALWAYS], row_reasons, len(_GAP), width)
    return lines


def _lines_below(
    row: Mapping[str, Cell], names: Sequence[str], reasons: Sequence[Cell], indent: int, width: int
) -> list[Line]:
    facts = ", ".join(f"{name} {row[name].text}" for name in names if row[name].text)
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
