"""How work lands, as tasks: rebase-and-test, rehearse, merge. Shows what the train says; decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.blueprint.model import AgentName
from orchestra.cli.console import is_terminal, say, show_json, tell
from orchestra.cli.context import chosen, opened
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.train.events import Listener, TrainEvent
    from orchestra.train.train_report import MergeReport

_AGENTS = {"agents": "Names or numbers, separated by commas. Default: all of the fleet."}
_EVENTS = {"events": "The train's events as JSON lines on standard error, as they happen, instead of a view."}


@task(positional=["agents"], name="rebase-and-test", help={**_AGENTS, **_EVENTS})
def rebase_and_test(
    c: Context,
    agents: str,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
    events: bool = False,
) -> ExitCode:
    """Build the candidate of one or more agents (a,b) on today's target and run the gates on it; land nothing.

    No branch, worktree or checkout is touched: candidates are built in memory and tested in a worktree of
    orchestra's own.
    """
    from orchestra.train.merge import rebase_and_test as run

    fleet = opened(repo, blueprint)
    names = [agent.name for agent in chosen(fleet, agents) or ()]
    with _progress(events) as listener:
        report = run(fleet, names, progress=listener)
    return _show(report, json)


@task(help={**_AGENTS, **_EVENTS})
def rehearse(
    c: Context,
    agents: str | None = None,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
    events: bool = False,
) -> ExitCode:
    """Run the whole train with its gates and land nothing: what would land, what would not, and why.

    Work that is approved or finished takes part. A later merge reuses the gate results.
    """
    from orchestra.train.merge import rehearse as run

    fleet = opened(repo, blueprint)
    with _progress(events) as listener:
        report = run(fleet, agents=_names(fleet, agents), unfinished=_unfinished(fleet), progress=listener)
    return _show(report, json)


@task(
    help={
        **_AGENTS,
        **_EVENTS,
        "yes": "Approve what is finished and whose gates are green, instead of asking.",
        "push": "Push the target to its remote, with a lease. Default: as the blueprint says.",
    }
)
def merge(
    c: Context,
    agents: str | None = None,
    yes: bool = False,
    push: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
    events: bool = False,
) -> ExitCode:
    """Land what is approved, in order: each candidate is rebased, tested, and lands exactly as it was tested.

    In a terminal it first walks through the agents that still lack a verdict; elsewhere it leaves them and says so.
    An agent that conflicts or fails a gate is evicted with a reason and a log; what must land after it is blocked;
    the rest goes on. Killed at any moment, the same command finishes the work.
    """
    from orchestra.train.merge import merge as run

    fleet = opened(repo, blueprint)
    if not yes and not json and is_terminal() and is_terminal(sys.stdin):
        from orchestra.cli.review_loop import walk_through

        if not walk_through(fleet, _names(fleet, agents)):
            return ExitCode.SHORT
    with _progress(events) as listener:
        report = run(
            fleet,
            agents=_names(fleet, agents),
            push=push or None,
            accept_finished=yes,
            unfinished=_unfinished(fleet),
            progress=listener,
        )
    return _show(report, json)


def _names(fleet: Fleet, agents: str | None) -> list[AgentName] | None:
    found = chosen(fleet, agents)
    return None if found is None else [agent.name for agent in found]


def _unfinished(fleet: Fleet) -> Mapping[AgentName, str]:
    """Why the agents that are not finished are not: what the train may not take without a person's word."""
    from orchestra.status import read_status

    return {row.agent.name: row.unfinished for row in read_status(fleet).rows if row.unfinished}


@contextmanager
def _progress(events: bool) -> Iterator[Listener]:
    """Who is told how the train goes: a script, by JSON lines; a terminal, by a live view; else plain lines."""
    from orchestra.cli.live_region import can_draw

    if events or not can_draw(sys.stderr):
        yield _event_line if events else _plain_line
        return
    from orchestra.cli.train_live import live_view

    with live_view(sys.stderr) as listener:
        yield listener


def _plain_line(event: TrainEvent) -> None:
    from orchestra.cli.train_state import tone_of

    if event.kind not in _UNSAID:
        tell(event.text, tone_of(event))


# What passes in a moment or is said by the next line; the end is said by the report on standard output.
_UNSAID = frozenset(("test.queued", "test.preparing", "landing", "train.interrupted", "train.finished"))


def _event_line(event: TrainEvent) -> None:
    from json import dumps

    tell(dumps(event.to_json()))


def _show(report: MergeReport, json: bool) -> ExitCode:
    from orchestra.train.entries import NO_VERDICT

    if json:
        show_json(report.to_json())
    else:
        for line in report.render_lines():
            say(line)
        if any(waiting.reason == NO_VERDICT for waiting in report.waiting):
            tell("orchestra review AGENT, then approve; or orchestra merge --yes, for all that is finished and green")
    return ExitCode(report.exit_code)
