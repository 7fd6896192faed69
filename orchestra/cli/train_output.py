"""Print a train's progress and its report: shared by merge, rehearse and rebase-and-test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.call import Call
from orchestra.cli.console import print_note, print_result, show_json
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.train.events import Listener, TrainEvent
    from orchestra.train.train_report import MergeReport

# These pass in a moment, or are in the report on standard output.
_PASSING = "test.queued test.preparing landing train.interrupted train.finished"
_REPORTED = "landed pushed evicted blocked advice proposal"
_SILENT_EVENTS = frozenset(f"{_PASSING} {_REPORTED}".split())


def read_unfinished(fleet: Fleet) -> Mapping[AgentName, str]:
    """Return the agents that are not finished, each with the reason."""
    from orchestra.status import read_status

    return {row.agent.name: row.unfinished for row in read_status(fleet).rows if row.unfinished}


@contextmanager
def train_listener(events: bool) -> Iterator[Listener]:
    """Yield the listener that prints progress: JSON lines, a live view in a terminal, else plain lines."""
    from orchestra.cli.live_region import can_draw

    if events or not can_draw(sys.stderr):
        yield _print_json_line if events else _print_plain_line
        return
    from orchestra.cli.train_live import live_view

    with live_view(sys.stderr) as listener:
        yield listener


def _print_plain_line(event: TrainEvent) -> None:
    from orchestra.cli.train_state import tone_of

    is_reported = event.kind == "waiting" and event.agents  # without agents, the train itself waits
    if not is_reported and event.kind not in _SILENT_EVENTS:
        print_note(event.text, tone_of(event))


def _print_json_line(event: TrainEvent) -> None:
    from json import dumps

    print_note(dumps(event.to_json()))


def print_event(kind: str, text: str) -> None:
    """Print an event outside a train as ``--events`` does."""
    from orchestra.train.events import EventSink

    EventSink(_print_json_line).emit(kind, (), text)


def print_train_report(call: Call, fleet: Fleet, report: MergeReport, *, with_next: bool = True) -> ExitCode:
    """Print the report and return its exit code."""
    if call.json:
        show_json(report.to_json())
    else:
        for line in report.render_lines():
            print_result(line)
        if with_next:
            call.print_next(_next_command(call.verb.name, fleet, report))
    return ExitCode(report.exit_code)


def _next_command(verb: str, fleet: Fleet, report: MergeReport) -> str | None:
    """Return the words of the command that follows the report of merge, rehearse or rebase-and-test."""
    from orchestra.cli.next_step import next_command
    from orchestra.fleet import read_snapshot
    from orchestra.status import read_status

    if report.evicted:
        name = report.evicted[0].agent
        return f"request-changes {name} --from-train" if verb == "merge" else f"review {name}"
    landed = [item.agent for item in report.landed]
    if verb != "merge" and landed:
        snapshot = read_snapshot(fleet)
        undecided = [name for name in landed if snapshot.agent_refs(name).approved is None]
        return f"review {undecided[0]}" if undecided else "merge"
    if report.waiting:
        words = next_command(read_status(fleet, [fleet.require_agent(item.agent) for item in report.waiting]))
        return None if words and words.startswith(verb) else words  # the report says why these agents wait
    return "clean" if landed else None
