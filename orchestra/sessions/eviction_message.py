"""Build the message that gives an agent's session why the train evicted its branch, and what to do.

The message holds facts (the other agents, the conflicts, the end of the log) and one task: bring the branch onto the
current target and make it pass. Its length is bounded, whatever a log or a conflict holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.text import last_lines

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
    for conflict in evicted.conflicts:
        parts += [f"Conflict in `{conflict.path}`:", *map(_quoted, conflict.hunks[:_MOST_HUNKS])]
        if (omitted := len(conflict.hunks) - _MOST_HUNKS) > 0:
            parts.append(f"and {omitted} more")
    parts += [f"{name} describes its work:\n\n{_quoted(chr(10).join(notes))}" for name, notes in evicted.intents]
    if evicted.gate:
        run = f" (`{evicted.command}`)" if evicted.command else ""
        parts.append(f"The gate {evicted.gate}{run} failed with your work on top of the newest {evicted.target}.")
    if evicted.log.strip():
        parts.append("The end of its log:\n\n" + _quoted(evicted.log))
    # The task.
    if evicted.reason == "empty":
        parts.append("Your branch changes nothing compared to the target. Do what TASK.md says and commit it.")
    elif evicted.reason == "scope":
        parts.append("Revert the changes outside your scope, or justify them in AGENT_NOTES.md where that is allowed.")
    else:
        parts.append(
            f"Bring your branch onto the current target: `git rebase {evicted.target}` (or `git merge "
            f"{evicted.target}` if your branch holds merges). Keep what other agents have landed, and what your task "
            "requires. Run the gates yourself, commit, and update AGENT_NOTES.md."
        )
    return "\n\n".join(parts)


def fenced(text: str) -> str:
    """Return a code block whose fence the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _quoted(text: str) -> str:
    """Return the last lines of a text as a code block."""
    return fenced(last_lines(text, _MOST_LINES, _LONGEST_LINE))
