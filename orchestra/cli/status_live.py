"""``status --watch``: the status table, redrawn when something changed."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestra.cli.console import is_terminal, print_note, styled_line
from orchestra.cli.next_step import list_needs
from orchestra.cli.status_table import print_status, remarks, table_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestra.status import Row, Status

_SHORTEST_S = 2.0
_PAUSE_PER_READ = 40.0  # times the CPU of one read, git's included: 2.5 % of a core
_BELL = "\a"
_SETTLED = ("landed", "discarded")


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
    status: Status | None = None
    with (
        suppress(KeyboardInterrupt),
        Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live,
    ):
        waiting: frozenset[str] | None = None  # None: no bell for agents that wait when the view begins
        while True:
            started = _cpu_s()
            status = read()
            live.update(_draw(status, console.width, console.height), refresh=True)
            before, waiting = waiting, frozenset(need.row.agent.name for need in list_needs(status))
            if bell and before is not None and waiting - before:
                console.file.write(_BELL)
                console.file.flush()
            time.sleep(max(_SHORTEST_S, _PAUSE_PER_READ * (_cpu_s() - started)))
    if status is not None:
        print_status(status)  # the view is gone from the screen


def order_rows(status: Status) -> list[Row]:
    """Return the rows with the agents that wait for a person first, then those at work, the settled ones last."""
    needs = [need.row.agent.name for need in list_needs(status)]

    def rank(row: Row) -> tuple[int, int]:
        name, state = row.agent.name, row.state.state
        return (0, needs.index(name)) if name in needs else (2 if state in _SETTLED else 1, row.agent.number)

    return sorted(status.rows, key=rank)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def _draw(status: Status, width: int, height: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from orchestra.text import terminal_safe

    tip = status.target_commit[:10] if status.target_commit else "no commit yet"
    clock = time.strftime("%H:%M:%S", time.localtime(status.taken_at))
    parts = [f"{status.fleet.name} on {status.fleet.target} at {tip}", clock, "Ctrl-C leaves"]
    while len(parts) > 1 and len("   ".join(parts)) > width:  # the rows below count on a head of one line
        parts.pop()
    head = Text("   ".join(parts), no_wrap=True, overflow="ellipsis")
    shared = [Text(terminal_safe(line)) for line in remarks(status, shared_only=True)]
    rows = order_rows(status)
    count = len(rows)
    lines = table_lines(replace(status, rows=tuple(rows)), width)
    while count and len(lines) + (count < len(rows)) > height - 1 - len(shared):
        count -= 1
        lines = table_lines(replace(status, rows=tuple(rows[:count])), width)
    counts = Counter(row.state.state.value for row in rows[count:])
    omitted = ", ".join(f"{state} {number}" for state, number in counts.items())
    more = [Text(f"... {len(rows) - count} more ({omitted})")] if omitted else []
    return Group(head, *(styled_line(line) for line in lines), *more, *shared)
