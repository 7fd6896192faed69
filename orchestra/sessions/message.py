"""A person's message on its way into a session: what is kept of it until it is there.

It lies in the agent's folder (``message.json``) until the client has signalled that it took a prompt which came after
it was typed into its tmux window (carrying.py brings it in), or the next session begins with it; so it outlives whoever
types it, a window that closes, and a queue that is stopped.

Invariant: a message is in that file, or was taken, or is in the next session's prompt. All that writes holds the
control lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestra.engine import process_tree
from orchestra.sessions.store import AgentFolder, RunFolder, read_json, write_json

PRESSES = 5
_NAME = "message.json"


class Course(StrEnum):
    """Where a message is, in words for a person."""

    WAITING = "it gets the message when its turn is over and nobody types there"
    TYPED = "the message is typed into its window; it has not taken it yet"
    TAKEN = "it has taken the message"
    STUCK = "it has not taken the message that was typed into its window: look there, and press Enter"
    CLOSED = "its session is over; orchestra start gives it the message"


@dataclass(frozen=True, slots=True)
class Message:
    """``typed``: so many of ``texts`` were pasted into run ``run``, ``presses`` Enters after them, the last at
    ``pressed_at`` (POSIX time). ``heard``: how long the file of events was before."""

    texts: tuple[str, ...]
    typed: int = 0
    run: int = 0
    heard: int = 0
    presses: int = 0
    pressed_at: float = 0.0


def read_message(agent: AgentFolder) -> Message | None:
    """What is on its way to that agent; None too for a file that is none of ours."""
    values = read_json(agent.path / _NAME) or {}
    try:
        return Message(**{**values, "texts": tuple(map(str, values["texts"]))})
    except (KeyError, TypeError):
        return None


def leave_message(agent: AgentFolder, text: str) -> None:
    """Put ``text`` behind what is on its way already."""
    before = read_message(agent) or Message(())
    keep_message(agent, replace(before, texts=(*before.texts, text)))


def keep_message(agent: AgentFolder, message: Message) -> None:
    """How far it has come."""
    write_json(agent.path / _NAME, message)


def forget_message(agent: AgentFolder) -> None:
    """It is in another place now."""
    (agent.path / _NAME).unlink(missing_ok=True)


def course_of(message: Message, run: RunFolder | None) -> Course:
    """Where a message is, from what is written; the clock is not asked."""
    if run is None or run.run is None or run.ending is not None or not process_tree.is_alive(run.run.keeper):
        return Course.CLOSED
    if message.typed == 0 or message.run != run.number:
        return Course.WAITING
    return Course.TYPED if message.presses < PRESSES else Course.STUCK
