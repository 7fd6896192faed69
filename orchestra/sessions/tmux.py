"""Sessions in tmux windows, on a server of their own (``tmux -L orchestra``): one tmux session for each fleet.

The window's process is a shim (engine/shim.py), which reads what to run from a FIFO: so the environment is never
written to disk or shown in ``ps``, and nothing runs before the window is set to stay when its program ends.

Invariant: a window is identified by its pane id and orchestra's mark on it; after a restart of the tmux server a pane
id alone may be another window. The user's own tmux server is never used. No state is read from a terminal's text,
except where the blueprint says with ``waiting`` how a program's question looks.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestra.engine import process
from orchestra.errors import GroundError

SERVER = "orchestra"
# A paste ends where its text says so (ESC [201~), and what came after would be keys.
_KEYS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HEADLESS = "run orchestra start again, or set `mode: headless` in the blueprint's runner"
_WINDOW_FORMAT = "#{?#{==:#{@state},waiting},#[bold],}#I:#W#{?@state, #{@state},}#{?#{==:#{@state},waiting},#[nobold],}"
_GO_TO_NEXT = ("run-shell \"tmux select-window -t '#{@next}'\"", "display-message 'no agent waits for you'")
_NEXT_FORMAT = "#{?@next,prefix N: to who waits for you ,}"
_FIX = "install tmux 3.0 or newer, or set `mode: headless` in the blueprint's runner"


@dataclass(frozen=True, slots=True)
class Pane:
    """A window's only pane. ``id``: of tmux (%N); ``pid``: its process; ``dead``: the process has ended."""

    id: str
    pid: int
    dead: bool
    mark: str


def tmux(*arguments: str, stdin: str = "", timeout_s: float = 20.0) -> process.Captured:
    """Run a command on orchestra's tmux server. Raises GroundError when tmux is missing."""
    env = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    try:
        return process.capture(("tmux", "-L", SERVER, *arguments), env=env, stdin=stdin, timeout_s=timeout_s)
    except FileNotFoundError:
        raise GroundError("tmux is not installed", hint=_FIX) from None


def require_tmux() -> None:
    """Raise GroundError when tmux is missing."""
    if shutil.which("tmux") is None:
        raise GroundError("tmux is not installed", hint=_FIX)


def session_name(fleet_folder: Path) -> str:
    """Return a name for each fleet of each repository, without ``.`` and ``:``, which tmux interprets."""
    short = sha256(str(fleet_folder).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', fleet_folder.name)}-{short}"


def open_window(session: str, name: str, command: Sequence[str], mark: str) -> Pane:
    """Open a window that runs ``command`` and stays when it ends; replaces a dead one of the same name."""
    for dead in [pane for pane in panes(session, name) if pane.dead]:
        tmux("kill-pane", "-t", dead.id)
    fmt = ("-P", "-F", "#{pane_id}")
    opened = tmux("new-window", "-d", "-t", f"={session}:", "-n", name, *fmt, *command)
    if opened.code:
        opened = tmux("new-session", "-d", "-s", session, "-x", "200", "-y", "50", "-n", name, *fmt, *command)
    if opened.code:
        opened = tmux("new-window", "-d", "-t", f"={session}:", "-n", name, *fmt, *command)
    if opened.code:
        raise GroundError(f"tmux cannot open a window for {name}: {opened.stderr.strip()}", hint=HEADLESS)
    pane_id = opened.stdout.strip()
    tmux(
        *("set-option", "-w", "-t", pane_id, "remain-on-exit", "on", ";"),
        *("set-option", "-w", "-t", pane_id, "automatic-rename", "off", ";"),
        *("set-option", "-w", "-t", pane_id, "window-status-format", _WINDOW_FORMAT, ";"),
        *("set-option", "-w", "-t", pane_id, "window-status-current-format", f"#[reverse]{_WINDOW_FORMAT}", ";"),
        *("set-option", "-t", f"={session}:", "status-right", _NEXT_FORMAT, ";"),
        *("set-option", "-w", "-t", pane_id, "@orchestra", mark),
    )
    tmux("bind-key", "N", "if-shell", "-F", "#{@next}", *_GO_TO_NEXT)
    pane = find_pane(pane_id, mark)
    if pane is None:
        raise GroundError(f"the tmux window of {name} closed at once", hint=HEADLESS)
    return pane


def show_states(session: str, states: Mapping[str, str], next_pane: str) -> None:
    """Show the state of each pane's window, and set the pane to which prefix N goes ("" for none)."""
    here = {pane.id for pane in _list("-s", "-t", f"={session}:")}  # tmux ends a sequence at a pane that is gone
    arguments = ["set-option", "-t", f"={session}:", "@next", next_pane if next_pane in here else ""]
    for pane in here & states.keys():
        arguments += [";", "set-option", "-w", "-t", pane, "@state", states[pane]]
    tmux(*arguments)


def find_pane(pane_id: str, mark: str) -> Pane | None:
    """Return the pane of that id, if it still has that mark."""
    return next((pane for pane in all_panes() if pane.id == pane_id and pane.mark == mark), None)


def all_panes() -> list[Pane]:
    """Return the panes of all fleets' windows; none where no server runs."""
    return _list("-a")


def panes(session: str, name: str) -> list[Pane]:
    """Return the panes of the window of that name."""
    return _list("-t", f"={session}:={name}")


def close_window(pane_id: str, mark: str) -> None:
    """Close the window, if it still has that mark; its program gets SIGHUP."""
    if find_pane(pane_id, mark) is not None:
        tmux("kill-pane", "-t", pane_id)


def type_message(pane_id: str, mark: str, message: str) -> None:
    """Paste ``message`` into the program in that window, as one text without control characters, and press Enter.

    The program may not take it: see message.py. Raises GroundError when the pane is gone or the paste failed.
    """
    _require_pane(pane_id, mark)
    buffer = f"orchestra-{pane_id.lstrip('%')}"
    _require(tmux("load-buffer", "-b", buffer, "-", stdin=_KEYS.sub("", message)))  # an argument's last ; is tmux's
    # Bracketed paste (-p), so that a line break in the message does not send half of it.
    _require(tmux("paste-buffer", "-d", "-p", "-b", buffer, "-t", pane_id))
    tmux("send-keys", "-t", pane_id, "Enter")


def _require(result: process.Captured) -> None:
    if result.code:  # None, a time-out, is no failure: it may have been pasted
        raise GroundError(f"tmux cannot paste the message: {result.stderr.strip()}", hint="run orchestra attach")


def press_enter(pane_id: str, mark: str) -> None:
    """Press Enter in that window. Raises GroundError when the pane is gone."""
    _require_pane(pane_id, mark)
    tmux("send-keys", "-t", pane_id, "Enter")


def read_screens() -> dict[str, tuple[float, str]]:
    """Return for each pane when its window last printed something (POSIX time, whole seconds), and its mark."""
    listed = tmux("list-panes", "-a", "-F", "#{window_activity}\t#{pane_id}\t#{@orchestra}")
    rows = (line.split("\t") for line in listed.stdout.splitlines())
    return {pane: (float(at or 0), mark) for at, pane, mark in rows}


def read_text(pane_id: str) -> str:
    """Return the visible text of a pane."""
    return tmux("capture-pane", "-p", "-t", pane_id).stdout


def last_key_at(pane_id: str) -> float:
    """Return when a person attached to that window last pressed a key (POSIX time, whole seconds); 0 for no person."""
    listed = tmux("list-clients", "-F", "#{client_activity} #{pane_id}")
    seats = (line.split(" ") for line in listed.stdout.splitlines())
    return max((float(at) for at, pane in seats if pane == pane_id), default=0.0)


def _require_pane(pane_id: str, mark: str) -> None:
    pane = find_pane(pane_id, mark)
    if pane is None or pane.dead:
        raise GroundError("the tmux window of the session is gone", hint="run orchestra start to resume the session")


def attach_argv(session: str, pane_id: str) -> tuple[str, ...]:
    """Return the command that attaches a person to that window, also from inside another tmux."""
    select = ("select-window", "-t", pane_id)
    return ("env", "-u", "TMUX", "tmux", "-L", SERVER, *select, ";", "attach-session", "-t", f"={session}")


def _list(*scope: str) -> list[Pane]:
    shape = "#{pane_id}\t#{pane_pid}\t#{pane_dead}\t#{@orchestra}"
    listed = tmux("list-panes", *scope, "-F", shape)
    rows = (line.split("\t") for line in listed.stdout.splitlines())
    return [Pane(pane_id, int(pid or 0), dead == "1", mark) for pane_id, pid, dead, mark in rows]
