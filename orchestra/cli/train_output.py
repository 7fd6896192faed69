"""Print a train's progress and its report: shared by merge, rehearse and rebase-and-test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import print_note, print_result, show_json
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.train.events import Listener, TrainEvent
    from orchestra.train.train_report import MergeReport

# These pass in a moment or are repeated by the next line; the report on standard output states the end.
_SILENT_EVENTS = frozenset(("test.queued", "test.preparing", "landing", "train.interrupted", "train.finished"))


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

    if event.kind not in _SILENT_EVENTS:
        print_note(event.text, tone_of(event))


def _print_json_line(event: TrainEvent) -> None:
    from json import dumps

    print_note(dumps(event.to_json()))


def print_train_report(report: MergeReport, json: bool) -> ExitCode:
    """Print the report and return its exit code."""
    from orchestra.train.entries import NO_VERDICT

    if json:
        show_json(report.to_json())
    else:
        for line in report.render_lines():
            print_result(line)
        if any(waiting.reason == NO_VERDICT for waiting in report.waiting):
            print_note(
                "Next: orchestra review AGENT and orchestra approve AGENT; "
                "or orchestra merge --yes, which approves all that is finished and green."
            )
    return ExitCode(report.exit_code)
