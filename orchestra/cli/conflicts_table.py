"""The tables of ``status --conflicts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.console import Cell, Tone, print_note, print_result, show_json
from orchestra.cli.table_layout import show_table
from orchestra.text import format_count, format_list

if TYPE_CHECKING:
    from orchestra.status import Status

_MOST_PATHS = 6


def show_conflicts(status: Status, *, as_json: bool) -> None:
    """Print each pair that does not merge, what conflicts with the target, and the order that conflicts least."""
    from orchestra.review.conflict_radar import read_conflicts

    target = status.fleet.target
    clean = [row.agent.name for row in status.rows if row.tree.files == 0 and not row.tree.earlier]
    statuses = [row.standing for row in status.rows]
    radar = read_conflicts(status.fleet, statuses, status.target_commit, clean=clean)
    if as_json:
        show_json(status.to_json() | {"conflicts": radar.to_json()})
        return
    rows: list[list[str | Cell]] = [
        [name, target, Cell(format_list(paths, most=_MOST_PATHS), Tone.WAITING)]
        for name, paths in radar.with_target.items()
    ]
    rows += [
        [pair.first, pair.second, Cell(format_list(pair.paths, most=_MOST_PATHS), Tone.WAITING)] for pair in radar.pairs
    ]
    if rows:
        show_table(("agent", "conflicts with", "paths"), rows)
        print_result(f"order with the fewest conflicts: {', '.join(radar.order)}")
    else:
        branches = format_count(len(radar.order), "branch", "branches")
        print_result(f"No conflicts: {branches} compared with each other and with {target}.")
    if radar.with_uncommitted:
        print_note(f"with uncommitted work: {format_list(radar.with_uncommitted)}", Tone.QUIET)
    for name, reason in radar.not_compared.items():
        print_note(f"{name}: compared as committed; {reason}", Tone.WAITING)
