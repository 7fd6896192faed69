"""The live view of a train in a terminal: the picture at the bottom, what is final above it, once and for good.

Invariant: every line that is final for an agent is printed exactly as the plain lines have it, so the scrollback
holds everything. The terminal is drawn from a thread of its own and never delays the train.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from threading import Lock
from typing import IO

from orchestra.cli.console import Cell
from orchestra.cli.live_region import Block, Picture, drawn_again
from orchestra.cli.train_state import FATES, TrainState, fold, tone_of
from orchestra.cli.train_view import ASCII, UNICODE, render
from orchestra.train.events import Listener, TrainEvent

_EVERY_S = 0.25
_WIDEST = 99  # cells: easier to read, and left whole by most resizes
_STAYS = frozenset((*FATES, "advice", "proposal", "recovered", "train.result"))
_PASSED = ("passed", "cancelled")


@contextmanager
def live_view(stream: IO[str]) -> Iterator[Listener]:
    """A listener that keeps a live view on ``stream``, which is a terminal, until the end of the context."""
    state, above = TrainState(), list[Cell]()
    heard = Lock()
    marks = UNICODE if _encodes(stream, "".join(astuple(UNICODE))) else ASCII

    def hear(event: TrainEvent) -> None:
        nonlocal state
        with heard:
            state = fold(state, event)
            if is_final(event):
                above.append(Cell(event.text, tone_of(event)))

    def look(columns: int, rows: int) -> Picture:
        nonlocal above
        with heard:
            now, lines_above, above = state, above, []
        # One column and one row less: the last column wraps in some terminals, and a line above is to be seen.
        return Picture(render(now, min(columns - 1, _WIDEST), rows - 1, time.time(), marks), lines_above)

    with drawn_again(Block(stream), look, _EVERY_S):
        yield hear


def is_final(event: TrainEvent) -> bool:
    """Return whether an event stays in the scrollback: results, advice, and gates that did not pass."""
    red = event.kind == "gate.finished" and event.data.get("outcome") not in _PASSED
    return (red and event.data.get("purpose") != "explain") or event.kind in _STAYS


def _encodes(stream: IO[str], text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
