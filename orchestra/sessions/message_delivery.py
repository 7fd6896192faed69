"""Bring a message (message.py) into the client's window, and see that it was taken.

It is typed when the client's turn is over: into a dialog it would be an answer, and the Enter after it a consent. An
Enter may be absorbed while the client still handles the paste; so it is pressed again while the client waits for a
prompt and none was heard.

Invariant: nothing is pasted twice into the same window. Every step is short and holds the control lock; none waits.
Refuses: typing into a window that is at work, that asks something, or that a person types into.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace

from orchestra.blueprint.model import RunnerKind
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.message import Course, Message, course_of, forget_message, keep_message, read_message
from orchestra.sessions.session_facts import takes_prompts
from orchestra.sessions.store import AgentFolder, FleetFolder, RunFolder

_log = logging.getLogger("orchestra.supervisor")
_TYPES_S = 20.0  # a person who pressed a key so lately may have half a prompt there
FIRST_PAUSE_S = 1.0  # then twice as long each time: Enter is pressed after 0, 1, 3, 7 and 15 s


def carry(fleet: FleetFolder, agent: AgentFolder) -> Course:
    """One short step: type the message, press Enter again, or see that it was taken. Call with the control lock.

    Raises GroundError when the window went meanwhile.
    """
    message, folder = read_message(agent), agent.newest()
    if message is None:
        return Course.TAKEN
    course = course_of(message, folder)
    if course is Course.CLOSED or folder is None:
        return course
    if course is Course.WAITING:
        return _type(agent, message, folder) if is_ready(fleet, agent, folder) else course
    if "UserPromptSubmit" in _heard(agent, message.heard):
        return _taken(agent, message)
    if course is Course.TYPED and _is_due(message) and is_ready(fleet, agent, folder):
        # Noted before it is done, here too: what cannot be noted would be pressed without end.
        keep_message(agent, replace(message, presses=message.presses + 1, pressed_at=time.time()))
        _press(folder)
    return course


def carry_on(fleet: FleetFolder, agent: AgentFolder) -> None:
    """A step by the supervisor: of a message that its sender did not see taken."""
    with fleet.control():
        course = carry(fleet, agent)
    if course is Course.TAKEN:
        _log.info("%s: %s", agent.name, course)


def is_ready(fleet: FleetFolder, agent: AgentFolder, folder: RunFolder) -> bool:
    """Whether what is typed now is a prompt by itself: the last turn is over, and no person types there."""
    order, run = folder.order, folder.run
    if order is None or run is None:
        return False
    if order.kind is RunnerKind.CLAUDE and not takes_prompts(fleet, agent, order.session_id, run):
        return False
    return not 0 <= time.time() - tmux.last_key_at(run.window) < _TYPES_S


def _type(agent: AgentFolder, message: Message, folder: RunFolder) -> Course:
    """Noted before it is done: after a kill between the two, Enter is pressed on nothing and the course is STUCK."""
    run, order = folder.run, folder.order
    if run is None or order is None:
        return Course.CLOSED
    typed = replace(
        message, typed=len(message.texts), run=folder.number, heard=agent.heard, presses=1, pressed_at=time.time()
    )
    keep_message(agent, typed)
    try:
        tmux.type_message(run.window, run.mark, "\n\n".join(message.texts))
    except GroundError:
        keep_message(agent, message)
        raise
    if order.kind is RunnerKind.CLAUDE:
        return Course.TYPED
    forget_message(agent)  # other programs signal nothing: what was typed is all that can be known
    return Course.TAKEN


def _taken(agent: AgentFolder, message: Message) -> Course:
    rest = message.texts[message.typed :]
    if not rest:
        forget_message(agent)
        return Course.TAKEN
    keep_message(agent, Message(rest))
    return Course.WAITING


def _press(folder: RunFolder) -> None:
    if folder.run is not None:
        tmux.press_enter(folder.run.window, folder.run.mark)


def _is_due(message: Message) -> bool:
    """Each pause is twice as long as the one before; a clock that was set back makes none longer."""
    waited = time.time() - message.pressed_at
    return waited < 0 or waited >= FIRST_PAUSE_S * 2 ** (message.presses - 1)


def _heard(agent: AgentFolder, since: int) -> Iterator[str]:
    """The hook events that came after ``since`` bytes."""
    try:
        with agent.events.open("rb") as file:
            file.seek(since)
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield str(json.loads(line)["event"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
