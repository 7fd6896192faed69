"""Sessions in tmux windows, on a server of our own (``tmux -L orchestra``): one tmux session for a fleet.

The window's process is a keeper (engine/keeper.py), which waits for its order at a FIFO: nothing of the environment
is written to disk or shown in ``ps``, and nothing runs before the window is set to stay when its program ends.

Invariant: a window is known by its pane id and a mark of ours on it; a pane id alone means another window once the
tmux server was started anew. Refuses: the user's own tmux server, and reading a terminal's text for truth.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestra.engine import process
from orchestra.errors import GroundError

SERVER = "orchestra"
# A paste ends where its text says so (ESC [201~), and what came after would be keys.
_KEYS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MEND = "install tmux 3.0 or newer, or say `mode: headless` in the blueprint's runner"


@dataclass(frozen=True, slots=True)
class Pane:
    """A window's only pane: ``id`` is tmux's (%N), ``pid`` its process, ``dead`` whether that has ended."""

    id: str
    pid: int
    dead: bool
    mark: str


def tmux(*arguments: str, stdin: str = "", timeout_s: float = 20.0) -> process.Captured:
    """Ask our tmux server. GroundError when there is no tmux."""
    env = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    try:
        return process.capture(("tmux", "-L", SERVER, *arguments), env=env, stdin=stdin, timeout_s=timeout_s)
    except FileNotFoundError:
        raise _missing() from None


def require_tmux() -> None:
    """Raises GroundError when there is no tmux."""
    if shutil.which("tmux") is None:
        raise _missing()


def _missing() -> GroundError:
    return GroundError("tmux is not installed", hint=_MEND)


def session_name(fleet_folder: Path) -> str:
    """One for each fleet of each repository; tmux gives ``.`` and ``:`` a meaning of its own."""
    short = sha256(str(fleet_folder).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', fleet_folder.name)}-{short}"


def open_window(session: str, name: str, command: Sequence[str], mark: str) -> Pane:
    """A window that runs ``command`` and stays when that ends; it replaces a dead one of the same name."""
    for pane in panes(session, name):
        if pane.dead:
            tmux("kill-pane", "-t", pane.id)
    fmt = ("-P", "-F", "#{pane_id}")
    made = tmux("new-window", "-d", "-t", f"={session}:", "-n", name, *fmt, *command)
    if made.code:
        made = tmux("new-session", "-d", "-s", session, "-x", "200", "-y", "50", "-n", name, *fmt, *command)
    if made.code:
        made = tmux("new-window", "-d", "-t", f"={session}:", "-n", name, *fmt, *command)
    if made.code:
        raise GroundError(f"tmux cannot open a window for {name}: {made.stderr.strip()}", hint=_MEND)
    pane_id = made.stdout.strip()
    tmux(
        *("set-option", "-w", "-t", pane_id, "remain-on-exit", "on", ";"),
        *("set-option", "-w", "-t", pane_id, "automatic-rename", "off", ";"),
        *("set-option", "-w", "-t", pane_id, "@orchestra", mark),
    )
    opened = find_pane(pane_id, mark)
    if opened is None:
        raise GroundError(f"the tmux window of {name} closed at once", hint=f"see tmux -L {SERVER} list-windows -a")
    return opened


def find_pane(pane_id: str, mark: str) -> Pane | None:
    """The pane of that id, if it still is the one that was marked so."""
    return next((pane for pane in _list("-a") if pane.id == pane_id and pane.mark == mark), None)


def panes(session: str, name: str) -> list[Pane]:
    """The panes of the window of that name."""
    return _list("-t", f"={session}:={name}")


def close_window(pane_id: str, mark: str) -> None:
    """Close it, if it still is ours; whatever runs there is hung up on."""
    if find_pane(pane_id, mark) is not None:
        tmux("kill-pane", "-t", pane_id)


def type_message(pane_id: str, mark: str, message: str) -> None:
    """Paste ``message`` into the program that runs there, as one, without control characters, and send it.

    That it was typed does not say that it was taken: see message.py. GroundError when the pane is gone or nothing could
    be pasted.
    """
    _require_pane(pane_id, mark)
    buffer = f"orchestra-{pane_id.lstrip('%')}"
    _require(tmux("load-buffer", "-b", buffer, "-", stdin=_KEYS.sub("", message)))  # an argument's last ; is tmux's
    # Bracketed paste (-p), so that a line break in the message does not send half of it.
    _require(tmux("paste-buffer", "-d", "-p", "-b", buffer, "-t", pane_id))
    tmux("send-keys", "-t", pane_id, "Enter")


def _require(done: process.Captured) -> None:
    """One that took too long may have been done."""
    if done.code:
        raise GroundError(f"tmux cannot paste the message: {done.stderr.strip()}", hint="orchestra attach goes there")


def press_enter(pane_id: str, mark: str) -> None:
    """Send what was typed there. GroundError when the pane is gone."""
    _require_pane(pane_id, mark)
    tmux("send-keys", "-t", pane_id, "Enter")


def last_key_at(pane_id: str) -> float:
    """When a person who sits before that window last pressed a key (POSIX time, whole seconds); 0 when nobody does."""
    listed = tmux("list-clients", "-F", "#{client_activity} #{pane_id}")
    seats = (line.split(" ") for line in listed.stdout.splitlines())
    return max((float(at) for at, pane in seats if pane == pane_id), default=0.0)


def _require_pane(pane_id: str, mark: str) -> None:
    pane = find_pane(pane_id, mark)
    if pane is None or pane.dead:
        raise GroundError("the tmux window of the session is gone", hint="orchestra start goes on with it")


def attach_argv(session: str, pane_id: str) -> tuple[str, ...]:
    """What puts a person before that window, also from inside another tmux."""
    select = ("select-window", "-t", pane_id)
    return ("env", "-u", "TMUX", "tmux", "-L", SERVER, *select, ";", "attach-session", "-t", f"={session}")


def _list(*scope: str) -> list[Pane]:
    shape = "#{pane_id}\t#{pane_pid}\t#{pane_dead}\t#{@orchestra}"
    listed = tmux("list-panes", *scope, "-F", shape)
    rows = (line.split("\t") for line in listed.stdout.splitlines())
    return [Pane(pane_id, int(pid or 0), dead == "1", mark) for pane_id, pid, dead, mark in rows]
