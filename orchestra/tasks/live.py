"""The live view of a fleet: the status table, drawn again when something changed. Needs a terminal to be of use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestra.tasks.console import is_terminal, tell
from orchestra.tasks.standing import COLUMNS, remarks, row_cells, show_status

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestra.status import Status

_SHORTEST_S = 2.0
# A look at a big fleet costs CPU for its length: looking one part in twenty-five of the time is 4 % of a core.
_REST_PER_LOOK = 24.0


def watch_status(look: Callable[[], Status]) -> None:
    """Look again and again until interrupted; the pause grows with what a look costs."""
    if not is_terminal():
        tell("--watch draws in a terminal; this is one look")
        show_status(look())
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            began = time.process_time()
            live.update(_drawn(look()), refresh=True)
            cost = time.process_time() - began
            time.sleep(max(_SHORTEST_S, _REST_PER_LOOK * cost))


def _drawn(found: Status) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from orchestra.tasks.console import table

    tip = found.target_commit[:10] if found.target_commit else "no commit yet"
    clock = time.strftime("%H:%M:%S", time.localtime(found.taken_at))
    head = Text(f"{found.fleet.name} on {found.fleet.target} at {tip}   {clock}   Ctrl-C leaves")
    rows = [row_cells(row, found.taken_at) for row in found.rows]
    return Group(head, table(COLUMNS, rows), *(Text(line) for line in remarks(found)))
