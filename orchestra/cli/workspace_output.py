"""Print the steps and the progress of spawn and clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.call import agent_rows
from orchestra.cli.console import Tone, print_result, progress, show_json

if TYPE_CHECKING:
    from orchestra.workspace.progress import Progress

COMMANDS_AT_ONCE = 4  # set-up and teardown commands wait for disks and registries more than for cores


@contextmanager
def phase_progress(command: str) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that prints how far a command is."""
    with progress(command) as show:
        yield lambda p: show(f"{p.phase} {p.completed}/{p.total} {p.agent}{f': {p.detail}' if p.detail else ''}")


def print_steps(
    steps: Sequence[str],
    notes: Sequence[str] = (),
    skipped: Sequence[tuple[AgentName, str]] = (),
    *,
    json: bool,
    nothing: str,
) -> None:
    """Print the steps, notes, and the agents that keep their worktree with the reason; ``nothing`` without steps."""
    if json:
        show_json({"steps": list(steps), "notes": list(notes), "skipped": agent_rows(skipped, "reason")})
        return
    for step in steps:
        print_result(step)
    for line in (*notes, *(f"{name}: {reason}" for name, reason in skipped)):
        print_result(line, Tone.WAITING)
    if not steps and not skipped:
        print_result(nothing)
