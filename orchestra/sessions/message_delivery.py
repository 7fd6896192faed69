"""Type a stored message (message.py) into the client's tmux window, and check that the client took it.

It is typed only when the client's turn is over: in a dialog the text would be an answer and the Enter a consent. The
client may absorb an Enter while it still handles the paste; so Enter is pressed again while the client waits for a
prompt and has not signalled one.

Invariant: nothing is pasted twice into the same window. Every step is short, holds the control lock and never waits.
Nothing is typed into a window whose session is working or asks a question, or into which a person types.
"""

from __future__ import annotations

import time
from dataclasses import replace

from orchestra.blueprint.model import RunnerKind
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.message import (
    DeliveryState,
    Message,
    delete_message,
    delivery_state,
    read_message,
    write_message,
)
from orchestra.sessions.session_facts import run_events, takes_prompts
from orchestra.sessions.store import AgentFolder, FleetFolder, Run, RunFolder, SessionRequest

_TYPING_S = 20.0  # after a person's last key, half a prompt may be in the window
FIRST_PAUSE_S = 1.0  # then twice as long each time: Enter is pressed after 0, 1, 3, 7 and 15 s


def deliver(fleet: FleetFolder, agent: AgentFolder) -> DeliveryState:
    """Take one short step: type the message, press Enter again, or see that it was taken. Needs the control lock.

    Raises GroundError when the window has closed meanwhile.
    """
    message, folder = read_message(agent), agent.newest()
    if message is None:
        return DeliveryState.TAKEN
    state = delivery_state(message, folder)
    if state is DeliveryState.CLOSED or folder is None:
        return state
    request, run = folder.request, folder.run
    if request is None or run is None:
        return DeliveryState.CLOSED
    if state is DeliveryState.WAITING:
        return _type(agent, message, folder, request, run) if _takes_text(fleet, agent, request, run) else state
    events = run_events(agent, run, request.session_id, after=message.events_before)
    if any(event.get("event") == "UserPromptSubmit" for event in events):
        # Taken; texts that were added after it was typed are typed next.
        untyped = message.texts[message.typed :]
        if not untyped:
            delete_message(agent)
            return DeliveryState.TAKEN
        write_message(agent, Message(untyped))
        return DeliveryState.WAITING
    waited = time.time() - message.pressed_at
    is_due = waited < 0 or waited >= FIRST_PAUSE_S * 2 ** (message.presses - 1)  # < 0: the clock was set back
    if state is DeliveryState.TYPED and is_due and _takes_text(fleet, agent, request, run):
        # Recorded before it is done: what cannot be recorded would be pressed without end.
        write_message(agent, replace(message, presses=message.presses + 1, pressed_at=time.time()))
        tmux.press_enter(run.window, run.mark)
    return state


def _takes_text(fleet: FleetFolder, agent: AgentFolder, request: SessionRequest, run: Run) -> bool:
    """Return True when text typed now is a prompt by itself: the last turn is over, and no person types there."""
    if request.kind is RunnerKind.CLAUDE and not takes_prompts(fleet, agent, request.session_id, run):
        return False
    return not 0 <= time.time() - tmux.last_key_at(run.window) < _TYPING_S


def _type(agent: AgentFolder, message: Message, folder: RunFolder, request: SessionRequest, run: Run) -> DeliveryState:
    """Paste the message. Recorded before it is done, so that a kill between the two never types it twice."""
    typed = replace(
        message,
        typed=len(message.texts),
        run=folder.number,
        events_before=agent.events_size,
        presses=1,
        pressed_at=time.time(),
    )
    write_message(agent, typed)
    try:
        tmux.type_message(run.window, run.mark, "\n\n".join(message.texts))
    except GroundError:
        write_message(agent, message)
        raise
    if request.kind is RunnerKind.CLAUDE:
        return DeliveryState.TYPED
    delete_message(agent)  # other programs signal nothing: no more than "typed" can be known
    return DeliveryState.TAKEN
