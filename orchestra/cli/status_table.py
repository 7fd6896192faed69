"""The status table: one row an agent, and the lines below it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestra.cli.console import (
    Cell,
    Tone,
    is_terminal,
    print_note,
    print_result,
    show_lines,
    terminal_width,
)
from orchestra.cli.table_layout import Columns, Line, fit_table, show_table
from orchestra.text import format_count, format_duration, format_list

if TYPE_CHECKING:
    from orchestra.review.pushed_work import TrainPullRequest
    from orchestra.status import Row, Status

COLUMNS = (
    "#",
    "agent",
    "stage",
    "state",
    "since",
    "commits",
    "behind",
    "dirty",
    "notes",
    "verdict",
    "pull request",
    "landed",
    "look at",
)
FITTED_COLUMNS = Columns(
    COLUMNS[:-1],
    title=("#", "agent"),
    stays=("state", "verdict"),
    leaves_first=("landed", "pull request", "stage", "notes", "behind", "since", "commits", "dirty"),
)
_OLD_S = 30.0
_MOST_NAMES = 8
# States whose reason adds to the table; of a working agent it is only what it is doing at this moment.
_STATES_WITH_REASON = "failed lost not-ready waiting idle unknown stopped queued landed discarded".split()
_STATE_TONES = {
    "finished": Tone.GOOD,
    "landed": Tone.GOOD,
    "failed": Tone.BAD,
    "lost": Tone.BAD,
    "not-ready": Tone.BAD,
    "waiting": Tone.WAITING,
    "unknown": Tone.WAITING,
    "stopped": Tone.WAITING,
    "declared": Tone.QUIET,
    "discarded": Tone.QUIET,
}
_VERDICT_TONES = {
    "approved": Tone.GOOD,
    "stale": Tone.WAITING,
    "changes-requested": Tone.WAITING,
    "answered": Tone.WAITING,
    "discarded": Tone.QUIET,
    "none": Tone.QUIET,
}


def print_status(status: Status) -> None:
    """Print the table, and below it what a person should do next."""
    tip = status.target_commit[:10] if status.target_commit else "no commit yet"
    print_result(f"{status.fleet.name} on {status.fleet.target} at {tip}")
    in_terminal = is_terminal()
    if in_terminal:
        show_lines(table_lines(status, terminal_width()))
    else:
        show_table(COLUMNS, [row_cells(row, status.taken_at, status.pull_request) for row in status.rows])
    if line := format_pull_request(status.pull_request):
        print_result(line, Tone.QUIET if status.pull_request and status.pull_request.request else Tone.WAITING)
    if used := format_cost(status):
        print_result(used, Tone.QUIET)
    for line in _undeclared(status):
        print_note(line, Tone.WAITING)
    for line in remarks(status, shared_only=in_terminal):
        print_note(line, Tone.WAITING)


def _undeclared(status: Status) -> Iterator[str]:
    """Yield what is left of agents that the blueprint no longer declares, and how to go on: they may be renamed."""
    if not status.not_declared:
        return
    from orchestra.workspace.adoption import former_branch

    fleet = status.fleet
    branches = {agent.branch for agent in fleet.blueprint.agents}
    unspawned = [row.agent.name for row in status.rows if not row.standing.spawned]
    for name in status.not_declared:
        branch = former_branch(fleet, name)
        if branch in branches:
            continue  # adopted under another name
        yield f"{name} has work in this fleet and is no longer declared in {fleet.blueprint.source}"
        if branch is not None:
            command = f"orchestra adopt {shlex.quote(branch)}"
            yield f"  to land its branch all the same: {command}"
            if unspawned:
                yield f"  or before {unspawned[0]} is spawned, if that is its new name: {command} --as {unspawned[0]}"


def table_lines(status: Status, width: int) -> list[Line]:
    """Return the table as it fits in a terminal: the reason of an agent's state on its own line below its row."""
    by_reason = _agents_by_reason(status)
    rows, reasons = [], []
    for row in status.rows:
        *cells, look_at = row_cells(row, status.taken_at, status.pull_request)
        rows.append(cells)
        agent_reasons = [
            Cell(" ".join(reason.split()), Tone.WAITING)
            for (_, reason), names in by_reason.items()
            if names == [row.agent.name]
        ]
        reasons.append([*agent_reasons, *([look_at] if isinstance(look_at, Cell) and look_at.text else [])])
    return fit_table(FITTED_COLUMNS, rows, reasons, width)


def format_pull_request(pull_request: TrainPullRequest | None) -> str:
    """Return where the pull request of the last push is; empty where nothing was pushed for one."""
    if pull_request is None:
        return ""
    request, pushed = pull_request.request, f"{pull_request.commit[:10]} is pushed to {pull_request.branch}"
    if pull_request.problem is not None:
        return f"pull request: unknown, {pull_request.problem}; {pushed}"
    if request is None:
        return f"pull request: the forge has none; {pushed}; orchestra merge opens it"
    line = f"pull request {request.number}: {request.state}, {request.url}"
    if request.state == "open":
        line += f"; checks {request.checks}" if request.checks != "none" else ""
        withdrawn = format_list(pull_request.withdrawn)
        return f"{line}; {withdrawn} in it no longer approved as pushed: orchestra merge" if withdrawn else line
    if request.state == "merged" and pull_request.agents:
        return f"{line}; orchestra merge records what landed"
    return line


def row_cells(row: Row, now: float, pull_request: TrainPullRequest | None = None) -> Sequence[str | Cell]:
    """Return one agent's cells, in the order of COLUMNS."""
    standing, state = row.standing, row.state
    spawned = standing.spawned
    settled = state.state in ("landed", "discarded")
    dirty = ("" if settled else "?") if row.tree.files is None else _counted(row.tree.files, row.tree.age_s(now))
    return [
        str(row.agent.number),
        row.agent.name,
        row.agent.stage or "",
        Cell(state.state, _STATE_TONES.get(state.state, Tone.PLAIN)),
        since(state.age_s(now)),
        str(standing.commits) if spawned else "",
        str(standing.behind) if spawned and not settled else "",
        Cell(dirty if spawned and dirty != "0" else "", Tone.WAITING),
        ("filled" if row.notes_filled else "empty") if spawned else "",
        Cell(standing.verdict if spawned else "", _VERDICT_TONES[standing.verdict]),
        pull_request.describe(row.agent.name) if pull_request else "",
        standing.refs.landed[:10] if standing.refs.landed else "",
        Cell(_look_at(row), Tone.WAITING),
    ]


def _counted(files: int, age_s: float | None) -> str:
    """Return a count, with its age when it is old: a worktree that was clean a while ago may not be now."""
    old = age_s is not None and age_s >= _OLD_S
    return f"{files}, {since(age_s)} ago" if old else str(files)


def remarks(status: Status, *, shared_only: bool = False) -> list[str]:
    """Return why agents are in their state; one line for all that share a reason.

    ``shared_only``: without the reasons of single agents, which ``table_lines`` has below their rows.
    """
    lines = []
    unsupervised = [row.agent.name for row in status.rows if row.session is not None and not row.session.supervised]
    if unsupervised:
        names = format_list(unsupervised, most=_MOST_NAMES)
        lines.append(f"{names}: no supervisor is running that would notice the end; orchestra start starts one")
    return lines + [
        f"{format_list(names, most=_MOST_NAMES)}: {state}, {' '.join(reason.split())}"
        for (state, reason), names in _agents_by_reason(status).items()
        if len(names) > shared_only
    ]


def _agents_by_reason(status: Status) -> dict[tuple[str, str], list[str]]:
    by_reason: dict[tuple[str, str], list[str]] = {}
    for row in status.rows:
        has_reason = row.state.state in _STATES_WITH_REASON or row.state.source == "output"
        if has_reason and row.state.reason:
            by_reason.setdefault((row.state.state, row.state.reason), []).append(row.agent.name)
    return by_reason


def format_cost(status: Status) -> str:
    """Return the sessions' cost and tokens, and how many reported none; empty where no session has ended."""
    used, budget = status.usage, status.fleet.blueprint.limits.budget_usd
    if used.cost_usd is None and not used.sessions_without_cost:
        return ""
    of = f" of {budget:.2f}" if budget is not None else ""
    unknown = "cost: not reported by this runner"
    words = [f"spent {used.cost_usd:.2f}{of} USD" if used.cost_usd is not None else unknown]
    if used.sessions_without_cost and used.cost_usd is not None:
        words.append(f"{format_count(used.sessions_without_cost, 'session')} did not report a cost")
    if used.input_tokens or used.output_tokens:
        words.append(f"tokens: {used.input_tokens:,} in, {used.cache_tokens:,} cached, {used.output_tokens:,} out")
    return "; ".join(words)


def since(seconds: float | None) -> str:
    """Return a duration for a narrow column: 12s, 3min, 2h, 4d."""
    return "" if seconds is None else format_duration(seconds, gap="")


def _look_at(row: Row) -> str:
    words = []
    if row.evicted is not None:
        with_ = f" with {', '.join(row.evicted.others)}" if row.evicted.others else ""
        words.append(f"evicted: {row.evicted.reason}{with_}")
    if row.conflicts_with:
        words.append(f"conflicts with {', '.join(row.conflicts_with)}")
    touched = [finding for finding in row.scope_findings if finding.reason.name != "JUDGES"]
    if touched:
        first, count = touched[0], len(touched)
        words.append(
            f"touches {first.path}" + (f" and {count - 1} more" if count > 1 else "") + f" ({first.reason.short})"
        )
    if row.judging_changes:
        words.append(f"changes what judges it: {format_list(row.judging_changes, most=2)}")
    if row.session is not None and row.session.refused_calls and row.state.state not in ("landed", "discarded"):
        words.append(f"{format_count(row.session.refused_calls, 'tool call')} refused")
    return "; ".join(words)
