"""What the train found, as a message that sends an agent's own session back to work. Pure.

Invariant: the message holds facts (with whom, where, what the log says) and one task: bring the branch onto today's
target and make it pass. It is bounded, whatever a log or a conflict holds.
"""

from __future__ import annotations

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
    """Why the train left an agent out: reason and detail as the train tells them, and what it rests on."""

    reason: str  # conflict, gate, logical-conflict, scope, empty
    detail: str
    target: str  # the branch where work lands
    others: Sequence[str] = ()  # with whom
    gate: str = ""
    command: str = ""
    log: str = ""  # the text of the gate's log, or its end
    conflicts: Sequence[Conflict] = ()
    intents: Sequence[tuple[str, Sequence[str]]] = ()  # with whom, and what they said of their work


def from_train(evicted: Eviction) -> str:
    """The message for ``request-changes --from-train``."""
    parts = [f"The merge train left your branch out: {evicted.reason}. {evicted.detail}".strip()]
    if evicted.others:
        parts.append(f"It does not go together with the work of: {', '.join(evicted.others)}.")
    parts += [_conflict(conflict) for conflict in evicted.conflicts]
    parts += [f"{name} says of its work:\n\n{fenced(tail(chr(10).join(said)))}" for name, said in evicted.intents]
    if evicted.gate:
        run = f" (`{evicted.command}`)" if evicted.command else ""
        parts.append(f"The gate {evicted.gate}{run} failed on your work on top of the newest {evicted.target}.")
    if evicted.log.strip():
        parts.append("The end of its log:\n\n" + fenced(tail(evicted.log)))
    parts.append(_task(evicted))
    return "\n\n".join(parts)


def _task(evicted: Eviction) -> str:
    keep = "Keep what the others have landed, and what your task asks for."
    if evicted.reason == "empty":
        return "Your branch changes nothing against the target. Do what TASK.md asks for and commit it."
    if evicted.reason == "scope":
        return "Take the changes outside your scope back, or justify them in AGENT_NOTES.md where that is allowed."
    return (
        f"Bring your branch onto today's target: `git rebase {evicted.target}` (or `git merge {evicted.target}` if "
        f"your branch holds merges). {keep} Run the gates yourself, commit, and bring AGENT_NOTES.md up to date."
    )


def _conflict(conflict: Conflict) -> str:
    shown = [fenced(tail(hunk)) for hunk in conflict.hunks[:_MOST_HUNKS]]
    more = len(conflict.hunks) - len(shown)
    rest = [f"and {more} more"] if more > 0 else []
    return "\n\n".join([f"Conflict in `{conflict.path}`:", *shown, *rest])


def tail(text: str) -> str:
    """The last lines, each cut to a readable length."""
    lines = text.rstrip().splitlines()
    kept = [line[:_LONGEST_LINE] for line in lines[-_MOST_LINES:]]
    return "\n".join(([f"... {len(lines) - len(kept)} lines before"] if len(lines) > len(kept) else []) + kept)


def fenced(text: str) -> str:
    """As a code block whose fence the text cannot close."""
    longest = max((len(run) for run in _backtick_runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _backtick_runs(text: str) -> list[str]:
    import re

    return re.findall(r"`+", text)
