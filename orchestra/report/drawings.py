"""Where the shapes of the report's drawings are, in SVG units: the timeline and the merge graph. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestra.report.report_values import AgentCard, Graph, Timeline
from orchestra.text import format_duration

WIDTH: Final = 960
_LABELS = 170  # the column of agents' names
_ROW, _BAR, _AXIS = 22, 14, 26
_TICKS = 6
_BOX_WIDTH, _BOX_HEIGHT, _GAP = 150, 26, 10
_LAYER_GAP = 34
_PHASES = {
    "queued": "queued",
    "working": "working",
    "waiting": "waiting for a person",
    "approved": "approved, waiting to land",
    "gates": "gates",
}
_MARKS = {"landed": "L", "evicted": "E", "discarded": "D", "changes-requested": "C", "approved": "A"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time. ``phase`` names its colour, ``label`` says it in words."""

    x: float
    y: float
    width: float
    height: float
    phase: str
    label: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A text at a point; ``kind`` names its colour, ``label`` says what it stands for."""

    x: float
    y: float
    text: str
    kind: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing of ``WIDTH`` units and its height; ``bars`` are drawn first, then lines, then letters."""

    height: float
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    letters: tuple[Letter, ...]


def draw_timeline(timelines: Sequence[Timeline]) -> Drawing | None:
    """Draw one row for each agent that has any recorded time, on one axis; None where there is none."""
    rows = [row for row in timelines if row.spans or row.marks]
    times = [at for row in rows for span in row.spans for at in (span.start, span.end)]
    times += [mark.at for row in rows for mark in row.marks]
    if not times:
        return None
    first, length = min(times), max(max(times) - min(times), 1.0)
    scale = (WIDTH - _LABELS - 16) / length
    height = len(rows) * _ROW + _AXIS
    bars, letters, lines = [], [], []
    for number in range(_TICKS + 1):
        x = _LABELS + length * scale * number / _TICKS
        lines.append(Line(x, _AXIS - 6, x, height))
        letters.append(Letter(x, 14, f"+{format_duration(length * number / _TICKS)}" if number else "start", "tick"))
    for number, row in enumerate(rows):
        y = _AXIS + number * _ROW
        letters.append(Letter(0, y + _BAR - 2, shorten(row.agent, 24), "name", row.agent))
        for span in row.spans:
            is_gate = span.phase == "gates"
            words = f"{row.agent}: {_PHASES.get(span.phase, span.phase)}, {format_duration(span.end - span.start)}"
            x = _LABELS + (span.start - first) * scale
            top, tall = (y + _BAR - 4, 6) if is_gate else (y, _BAR)
            width = max((span.end - span.start) * scale, 1.0)
            bars.append(Bar(x, top, width, tall, span.phase, words if span.ended else f"{words} so far"))
        for mark in row.marks:
            x = _LABELS + (mark.at - first) * scale
            letters.append(Letter(x, y + _BAR - 2, _MARKS.get(mark.kind, "?"), "mark", f"{row.agent}: {mark.kind}"))
    return Drawing(height, tuple(sorted(bars, key=lambda bar: bar.height != _BAR)), tuple(lines), tuple(letters))


def draw_merge_graph(graph: Graph, cards: Sequence[AgentCard]) -> Drawing:
    """Draw the layers of the merge order from top to bottom; a box's colour is how far its agent is."""
    by_name = {card.name: card for card in cards}
    bars, letters, lines = [], [], []
    places: dict[str, tuple[float, float]] = {}
    per_row = (WIDTH + _GAP) // (_BOX_WIDTH + _GAP)
    y = 0.0
    for number, layer in enumerate(graph.layers):
        if number:
            lines.append(Line(_BOX_WIDTH / 2, y - _LAYER_GAP + 14, _BOX_WIDTH / 2, y))
        letters.append(
            Letter(0, y + 16, layer.stage or ("no stage" if len(graph.layers) > 1 else "any order"), "stage")
        )
        y += 24
        for place, name in enumerate(layer.agents):
            x = place % per_row * (_BOX_WIDTH + _GAP)
            top = y + place // per_row * (_BOX_HEIGHT + _GAP)
            card = by_name.get(name)
            places[name] = (x, top)
            state = _progress(card)
            bars.append(Bar(x, top, _BOX_WIDTH, _BOX_HEIGHT, f"box-{state}", f"{name}: {state}"))
            number_text = f"{card.number} " if card is not None else ""
            letters.append(Letter(x + 8, top + 17, f"{number_text}{shorten(name, 17)}", "name", name))
        rows = -(-len(layer.agents) // per_row)
        y += rows * (_BOX_HEIGHT + _GAP) - _GAP + _LAYER_GAP
    for before, after in graph.arrows:
        if before in places and after in places:
            (x1, y1), (x2, y2) = places[before], places[after]
            lines.append(Line(x1 + _BOX_WIDTH / 2, y1 + _BOX_HEIGHT, x2 + _BOX_WIDTH / 2, y2))
    return Drawing(y - _LAYER_GAP + 8, tuple(bars), tuple(lines), tuple(letters))


def shorten(text: str, most: int) -> str:
    """Return ``text``, cut to ``most`` characters with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _progress(card: AgentCard | None) -> str:
    if card is None:
        return "pending"
    return (
        card.state if card.state in ("landed", "discarded") else "approved" if card.verdict == "approved" else "pending"
    )
