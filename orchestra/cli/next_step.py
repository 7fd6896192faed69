"""What a person can do next: who needs attention, in order of urgency, and the one command to type."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.blueprint.model import RunnerKind
from orchestra.forge.pull_request import PullRequestState
from orchestra.review.verdicts import Verdict
from orchestra.sessions.state import State
from orchestra.status import Row, Status

_AT_WORK = (State.WORKING, State.STARTING, State.QUEUED)
_UNDECIDED = (Verdict.NONE, Verdict.STALE, Verdict.ANSWERED)


@dataclass(frozen=True, slots=True)
class Need:
    """An agent that waits for a person: why, and the words of the command that serves it."""

    row: Row
    reason: str
    command: str


def list_needs(status: Status) -> list[Need]:
    """Return the agents that wait for a person: questions, ended turns, failures, unreviewed work; the oldest first."""
    ranked: list[tuple[int, float, Need]] = []
    for row in status.rows:
        rank, reason, command = _need(row)
        if command:
            ranked.append((rank, row.state.at or 0.0, Need(row, reason, command)))
    return [need for *_, need in sorted(ranked, key=lambda item: (item[0], item[1], item[2].row.agent.number))]


def next_command(status: Status) -> str | None:
    """Return the words of the command that moves these agents on most; None where there is nothing to do."""
    if needs := list_needs(status):
        return needs[0].command
    rows = status.rows
    pull_request = status.pull_request
    in_open_request: tuple[str, ...] = ()
    if pull_request and pull_request.request and pull_request.request.state is PullRequestState.OPEN:
        in_open_request = pull_request.agents  # they wait for the forge
    approved = [row for row in rows if row.standing.verdict is Verdict.APPROVED and row.standing.refs.landed is None]
    is_whole = len(rows) == len(status.fleet.blueprint.agents)
    if to_merge := [row.agent.name for row in approved if row.agent.name not in in_open_request]:
        return "merge" if is_whole else f"merge {' '.join(to_merge)}"
    by_hand = [row for row in rows if row.agent.runner.kind is RunnerKind.NONE and not row.agent.adopted]
    for state, command in ((State.READY, "start"), (State.STOPPED, "start"), (State.DECLARED, "spawn")):
        names = [
            row.agent.name for row in rows if row.state.state is state and (command == "spawn" or row not in by_hand)
        ]
        if names:
            return command if is_whole and len(names) == len(rows) else f"{command} {' '.join(names)}"
    if unfinished := [row for row in by_hand if row.state.state in (State.READY, State.WORKING)]:
        return f"path {unfinished[0].agent.name}"
    if any(row.state.state in _AT_WORK for row in rows):
        return "status --watch"
    settled = [row for row in rows if row.state.state in (State.LANDED, State.DISCARDED)]
    to_clean = [row.agent.name for row in settled if row.tree.there or row.standing.head]
    return None if not to_clean else "clean" if is_whole else f"clean {' '.join(to_clean)}"


def _need(row: Row) -> tuple[int, str, str]:
    """Return rank, reason and command of what an agent needs from a person; no command where it needs nothing."""
    state, standing, name = row.state.state, row.standing, row.agent.name
    if state is State.WAITING:
        return 0, row.state.reason or "it asks a question", f"attach {name}"
    if state is State.IDLE:
        return 1, row.state.reason or "its turn has ended", f"attach {name}"
    if state is State.NOT_READY:
        return 2, row.state.reason or "its set-up failed", f"spawn {name}"
    if state in (State.FAILED, State.LOST):
        return 2, row.state.reason or state.value, f"logs {name}"
    if row.evicted is not None and standing.verdict is Verdict.APPROVED:
        return 3, f"the last merge left it out: {row.evicted.reason}", f"request-changes {name} --from-train"
    if state is State.FINISHED and standing.verdict in _UNDECIDED:
        answered = standing.verdict is Verdict.ANSWERED
        reason = "new commits since changes were requested" if answered else "finished, and not reviewed as it is now"
        return 4, reason, f"review {name}"
    if state is State.WORKING and row.state.source == "git" and standing.verdict in (Verdict.STALE, Verdict.ANSWERED):
        return 4, "new commits since its last verdict", f"review {name}"
    if state is State.LANDED and standing.new_commits and standing.verdict in _UNDECIDED:
        return 5, row.state.reason or "new commits since it landed", f"review {name}"
    return 9, "", ""
