"""Status as a task: one row an agent, once or live. Shows; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.cli.console import Cell, Tone, say, show_json, show_table, tell
from orchestra.cli.context import chosen, opened
from orchestra.cli.program import task
from orchestra.errors import ExitCode, UsageError

if TYPE_CHECKING:
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
    "landed",
    "look at",
)
_PATIENCE_S = 1.0  # for looking at worktrees; all that a small repository needs is a tenth of it
_OLD_S = 30.0
_MOST_NAMES = 8
# What the reason of a state tells beyond the table; of one at work it is only what it does at this moment.
_TOLD = "failed lost not-ready waiting idle unknown stopped queued landed discarded".split()
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
    "discarded": Tone.QUIET,
    "none": Tone.QUIET,
}


@task(
    help={
        "agents": "Names or numbers, separated by commas. Default: all of the fleet.",
        "watch": "Show it live until interrupted.",
        "bell": "With --watch: ring the terminal's bell when an agent begins to wait for a person.",
    }
)
def status(
    c: Context,
    agents: str | None = None,
    watch: bool = False,
    bell: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Who works, who waits for a person, who is done: one row an agent, derived from git, sessions and set-up.

    state and since: what the agent does and for how long; commits: on its branch; behind: commits of the target it
    lacks; dirty: uncommitted files (? when not known; where looking takes long, an older figure with its age); look
    at: why the last merge left this work out, conflicts with others' pending work, paths outside its scope.
    """
    from orchestra.review.dirty_files import BackgroundLooks, look_within
    from orchestra.status import read_status

    if bell and not watch:
        raise UsageError("--bell is for the live view", hint="orchestra status --watch --bell")
    fleet = opened(repo, blueprint)
    asked = chosen(fleet, agents)
    if watch:
        from orchestra.cli.status_live import watch_status

        rounds = BackgroundLooks()
        watch_status(lambda: read_status(fleet, asked, look=rounds), bell=bell)
        return ExitCode.DONE
    found = read_status(fleet, asked, look=look_within(_PATIENCE_S))
    if json:
        show_json(found.to_json())
    else:
        show_status(found)
    return ExitCode.DONE


def show_status(found: Status) -> None:
    """The table, and below it what a person should do next."""
    tip = found.target_commit[:10] if found.target_commit else "no commit yet"
    say(f"{found.fleet.name} on {found.fleet.target} at {tip}")
    show_table(COLUMNS, [row_cells(row, found.taken_at) for row in found.rows])
    if used := money(found):
        say(used, Tone.QUIET)
    for name in found.not_declared:
        tell(f"{name} has work in this fleet and is not in {found.fleet.blueprint.source} any more", Tone.WAITING)
    for line in remarks(found):
        tell(line, Tone.WAITING)


def row_cells(row: Row, now: float) -> Sequence[str | Cell]:
    """One agent's cells, in the order of COLUMNS."""
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
        standing.refs.landed[:10] if standing.refs.landed else "",
        Cell(_look_at(row), Tone.WAITING),
    ]


def _counted(files: int, age_s: float | None) -> str:
    """A figure of now, or an older one with its age; what was clean a while ago may not be."""
    old = age_s is not None and age_s >= _OLD_S
    return f"{files}, {since(age_s)} ago" if old else str(files)


def remarks(found: Status) -> list[str]:
    """Why agents are where they are, as far as a person should know; one line for all that share it."""
    told: dict[tuple[str, str], list[str]] = {}
    for row in found.rows:
        if row.state.state in _TOLD and row.state.reason:
            told.setdefault((row.state.state, row.state.reason), []).append(row.agent.name)
    return [f"{_few(names)}: {state}, {' '.join(reason.split())}" for (state, reason), names in told.items()]


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def money(found: Status) -> str:
    """What the sessions said they used, and of how many the cost is not known; empty where none has ended."""
    used, budget = found.usage, found.fleet.blueprint.limits.budget_usd
    if used.cost_usd is None and not used.sessions_without_cost:
        return ""
    of = f" of {budget:.2f}" if budget is not None else ""
    untold = "cost unknown: no session has told it"
    words = [f"spent {used.cost_usd:.2f}{of} USD" if used.cost_usd is not None else untold]
    if used.sessions_without_cost and used.cost_usd is not None:
        many = used.sessions_without_cost > 1
        words.append(f"{used.sessions_without_cost} session{'s' * many} did not say {'their' if many else 'its'} cost")
    if used.input_tokens or used.output_tokens:
        words.append(f"tokens: {used.input_tokens:,} in, {used.cache_tokens:,} cached, {used.output_tokens:,} out")
    return "; ".join(words)


def since(seconds: float | None) -> str:
    """A duration for a narrow column: 12s, 3min, 2h, 4d."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def _look_at(row: Row) -> str:
    words = []
    if row.evicted is not None:
        with_ = f" with {', '.join(row.evicted.others)}" if row.evicted.others else ""
        words.append(f"evicted: {row.evicted.reason}{with_}")
    if row.conflicts_with:
        words.append(f"conflicts with {', '.join(row.conflicts_with)}")
    if row.scope_findings:
        first, count = row.scope_findings[0], len(row.scope_findings)
        words.append(
            f"touches {first.path}" + (f" and {count - 1} more" if count > 1 else "") + f" ({first.why.short})"
        )
    return "; ".join(words)
