"""The live view of a fleet: the status table, drawn again when something changed. Needs a terminal to be of use."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestra.cli.console import is_terminal, tell
from orchestra.cli.status_command import COLUMNS, remarks, row_cells, show_status

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestra.status import Status

_SHORTEST_S = 2.0
_REST_PER_LOOK = 40.0  # times the CPU that a look takes, git's included: 2.5 % of a core
_BELL = "\a"


def watch_status(look: Callable[[], Status], *, bell: bool = False) -> None:
    """Look again and again until interrupted; the pause grows with what a look costs.

    ``bell``: ring the terminal's bell when an agent begins to wait for a person.
    """
    if not is_terminal():
        tell("--watch draws in a terminal; this is one look")
        show_status(look())
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        waiting: frozenset[str] | None = None  # None: those who wait when the view begins are seen, not heard
        while True:
            began = _cpu_s()
            found = look()
            live.update(_drawn(found), refresh=True)
            before, waiting = waiting, who_waits(found)
            if bell and before is not None and waiting - before:
                console.file.write(_BELL)
                console.file.flush()
            time.sleep(max(_SHORTEST_S, _REST_PER_LOOK * (_cpu_s() - began)))


def who_waits(found: Status) -> frozenset[str]:
    """The agents that wait for a person."""
    return frozenset(row.agent.name for row in found.rows if row.state.state == "waiting")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def _drawn(found: Status) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from orchestra.cli.console import clean, table

    tip = found.target_commit[:10] if found.target_commit else "no commit yet"
    clock = time.strftime("%H:%M:%S", time.localtime(found.taken_at))
    head = Text(f"{found.fleet.name} on {found.fleet.target} at {tip}   {clock}   Ctrl-C leaves")
    rows = [row_cells(row, found.taken_at) for row in found.rows]
    return Group(head, table(COLUMNS, rows), *(Text(clean(line)) for line in remarks(found)))
