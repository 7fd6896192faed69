"""Print the steps and the progress of spawn and clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.call import agent_rows
from orchestra.cli.console import Tone, print_note, print_result, progress, show_json
from orchestra.text import format_duration, format_list

if TYPE_CHECKING:
    from orchestra.workspace.progress import Progress
    from orchestra.workspace.provision import Readiness

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


def print_not_ready(agents: Sequence[tuple[AgentName, Readiness]]) -> None:
    """Print why the set-up of these agents failed, once for all that share the command and its first error line."""
    groups: dict[tuple[str, str], list[tuple[AgentName, Readiness]]] = {}
    for name, ready in agents:
        groups.setdefault((ready.reason, ready.error_line), []).append((name, ready))
    for (reason, error_line), members in groups.items():
        names, verb = format_list([name for name, _ in members], most=5), "is" if len(members) == 1 else "are"
        times = sorted(ready.elapsed_s for _, ready in members if ready.elapsed_s is not None)
        span = list(dict.fromkeys(format_duration(seconds) for seconds in (*times[:1], *times[-1:])))
        logs = [f"log: {ready.log}" for _, ready in members[:1] if ready.log]
        facts = "; ".join([*([f"after {' to '.join(span)}"] if span else []), *logs])
        what = f"{reason}: {error_line}" if error_line else reason
        print_note(f"{names} {verb} not ready: {what}{f' ({facts})' if facts else ''}", Tone.BAD)
