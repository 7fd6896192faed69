"""``status --watch``: the status table, redrawn when something changed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestra.cli.console import is_terminal, print_note, styled_line
from orchestra.cli.status_table import print_status, remarks, table_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestra.status import Status

_SHORTEST_S = 2.0
_PAUSE_PER_READ = 40.0  # times the CPU of one read, git's included: 2.5 % of a core
_BELL = "\a"


def watch_status(read: Callable[[], Status], *, bell: bool = False) -> None:
    """Redraw until interrupted; the pause grows with the CPU that a read takes.

    ``bell``: ring the terminal's bell when an agent begins to wait for a person.
    """
    if not is_terminal():
        print_note("--watch needs a terminal; this is the status once")
        print_status(read())
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        waiting: frozenset[str] | None = None  # None: no bell for agents that wait when the view begins
        while True:
            started = _cpu_s()
            status = read()
            live.update(_draw(status, console.width), refresh=True)
            before, waiting = waiting, waiting_agents(status)
            if bell and before is not None and waiting - before:
                console.file.write(_BELL)
                console.file.flush()
            time.sleep(max(_SHORTEST_S, _PAUSE_PER_READ * (_cpu_s() - started)))


def waiting_agents(status: Status) -> frozenset[str]:
    """Return the agents that wait for a person."""
    return frozenset(row.agent.name for row in status.rows if row.state.state == "waiting")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def _draw(status: Status, width: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from orchestra.text import terminal_safe

    tip = status.target_commit[:10] if status.target_commit else "no commit yet"
    clock = time.strftime("%H:%M:%S", time.localtime(status.taken_at))
    head = Text(f"{status.fleet.name} on {status.fleet.target} at {tip}   {clock}   Ctrl-C leaves")
    rows = (styled_line(line) for line in table_lines(status, width))
    return Group(head, *rows, *(Text(terminal_safe(line)) for line in remarks(status, shared_only=True)))
