"""Build the message that gives an agent's session why the train evicted its branch, and what to do.

The message holds facts (the other agents, the conflicts, the end of the log) and one task: bring the branch onto the
current target and make it pass. Its length is bounded, whatever a log or a conflict holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LINES = 60
_MOST_HUNKS = 8
_LONGEST_LINE = 400


@dataclass(frozen=True, slots=True)
class Conflict:
    """One file that could not be merged; ``hunks``: the conflicting pieces with git's markers, base included."""

    path: str
    hunks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Eviction:
    """Why the train evicted a branch: reason and detail of its report, and the evidence."""

    reason: str  # conflict, gate, logical-conflict, scope, empty, malformed
    detail: str
    target: str  # the branch where work lands
    other_agents: Sequence[str] = ()
    gate: str = ""
    command: str = ""
    log: str = ""  # the text of the gate's log, or its end
    conflicts: Sequence[Conflict] = ()
    intents: Sequence[tuple[str, Sequence[str]]] = ()  # other agents, and what their notes say


def from_train(evicted: Eviction) -> str:
    """Return the message for ``request-changes --from-train``."""
    parts = [f"The merge train evicted your branch: {evicted.reason}. {evicted.detail}".strip()]
    if evicted.other_agents:
        parts.append(f"It conflicts with the work of: {', '.join(evicted.other_agents)}.")
    parts += [_conflict(conflict) for conflict in evicted.conflicts]
    parts += [f"{name} describes its work:\n\n{fenced(tail(chr(10).join(notes)))}" for name, notes in evicted.intents]
    if evicted.gate:
        run = f" (`{evicted.command}`)" if evicted.command else ""
        parts.append(f"The gate {evicted.gate}{run} failed with your work on top of the newest {evicted.target}.")
    if evicted.log.strip():
        parts.append("The end of its log:\n\n" + fenced(tail(evicted.log)))
    parts.append(_task(evicted))
    return "\n\n".join(parts)


def _task(evicted: Eviction) -> str:
    keep = "Keep what other agents have landed, and what your task requires."
    if evicted.reason == "empty":
        return "Your branch changes nothing compared to the target. Do what TASK.md says and commit it."
    if evicted.reason == "scope":
        return "Revert the changes outside your scope, or justify them in AGENT_NOTES.md where that is allowed."
    return (
        f"Bring your branch onto the current target: `git rebase {evicted.target}` (or `git merge {evicted.target}` if "
        f"your branch holds merges). {keep} Run the gates yourself, commit, and update AGENT_NOTES.md."
    )


def _conflict(conflict: Conflict) -> str:
    hunks = [fenced(tail(hunk)) for hunk in conflict.hunks[:_MOST_HUNKS]]
    omitted = len(conflict.hunks) - len(hunks)
    if omitted > 0:
        hunks.append(f"and {omitted} more")
    return "\n\n".join([f"Conflict in `{conflict.path}`:", *hunks])


def tail(text: str) -> str:
    """Return the last lines, each cut to a readable length."""
    lines = text.rstrip().splitlines()
    last = [line[:_LONGEST_LINE] for line in lines[-_MOST_LINES:]]
    return "\n".join(([f"... {len(lines) - len(last)} lines before"] if len(lines) > len(last) else []) + last)


def fenced(text: str) -> str:
    """Return a code block whose fence the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
