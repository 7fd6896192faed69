"""A message for an agent's session, stored until the session has received it.

It is in the agent's folder (``message.json``) until the client has signalled that it took a prompt after the message
was typed into its tmux window (message_delivery.py), or until the next session starts with it. So it survives the
command that sent it, a window that closes, and a queue that is stopped.

Invariant: a message is in that file, or was taken, or is in the next session's prompt. Writers hold the control lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestra.engine import process_tree
from orchestra.sessions.store import AgentFolder, RunFolder, read_json, write_json

PRESSES = 5
_NAME = "message.json"


class DeliveryState(StrEnum):
    """Where a message is; the values are sentences for a person."""

    WAITING = "the message is typed into its window when its turn is over and no person types there"
    TYPED = "the message is typed into its window; the client has not taken it yet"
    TAKEN = "the client has taken the message"
    STUCK = "the client did not take the message in its window: run orchestra attach and press Enter"
    CLOSED = "its session ended before it took the message; orchestra start delivers it"


@dataclass(frozen=True, slots=True)
class Message:
    """``typed``: so many of ``texts`` were pasted into run ``run``, followed by ``presses`` Enters, the last at
    ``pressed_at`` (POSIX time). ``events_before``: the length of the file of events before that."""

    texts: tuple[str, ...]
    typed: int = 0
    run: int = 0
    events_before: int = 0
    presses: int = 0
    pressed_at: float = 0.0


def read_message(agent: AgentFolder) -> Message | None:
    """Return the stored message; None where there is none, or where the file has another shape."""
    values = read_json(agent.path / _NAME) or {}
    try:
        return Message(**{**values, "texts": tuple(map(str, values["texts"]))})
    except (KeyError, TypeError):
        return None


def append_message(agent: AgentFolder, text: str) -> None:
    """Add ``text`` after the texts that are stored already."""
    before = read_message(agent) or Message(())
    write_message(agent, replace(before, texts=(*before.texts, text)))


def write_message(agent: AgentFolder, message: Message) -> None:
    """Store the message and how far its delivery is."""
    write_json(agent.path / _NAME, message)


def delete_message(agent: AgentFolder) -> None:
    """Delete the stored message, once it is taken or part of a queued prompt."""
    (agent.path / _NAME).unlink(missing_ok=True)


def delivery_state(message: Message, run: RunFolder | None) -> DeliveryState:
    """Return where a message is, from the files alone, without a clock."""
    if run is None or run.run is None or run.ending is not None or not process_tree.is_alive(run.run.keeper):
        return DeliveryState.CLOSED
    if message.typed == 0 or message.run != run.number:
        return DeliveryState.WAITING
    return DeliveryState.TYPED if message.presses < PRESSES else DeliveryState.STUCK
