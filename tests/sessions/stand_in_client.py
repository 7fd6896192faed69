"""A client of the interactive kind for tests: a program called ``claude`` that reads its window and calls the hooks of
its settings as the real one does. ``STAND_IN`` in its environment says what is odd about it:

``swallow=N``: so many Enters after a paste do nothing (the real one's are absorbed while it handles the paste).
``ask``: its first turn ends in a question for a permission, which any key answers; what was answered is kept.

What it took is in ``taken.txt`` of its folder, one prompt after another; ``exit`` as a prompt ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

PASTED, PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"


def main() -> int:
    if sys.argv[1:] == ["agents", "--json"]:
        return 1
    odd = dict(word.partition("=")[::2] for word in os.environ.get("STAND_IN", "").split())
    ids = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word in ("--session-id", "--resume")]
    client = Client(sys.argv[sys.argv.index("--settings") + 1], ids[0])
    client.hook("SessionStart", source="startup")
    before = termios.tcgetattr(0)
    tty.setraw(0)
    os.write(1, b"\x1b[?2004hready\r\n")
    try:
        client.turn(sys.argv[1], ask="ask" in odd)
        for prompt in prompts(int(odd.get("swallow") or 0)):
            if prompt == "exit":
                return 0
            client.turn(prompt)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    return 0


class Client:
    """Plays turns: each commits, so that there is work."""

    def __init__(self, settings: str, session: str) -> None:
        self.session = session
        self.hooks = json.loads(Path(settings).read_text("utf-8"))["hooks"]

    def hook(self, event: str, **more: str | bool) -> bool:
        """Return True if all hooks of that event let it continue."""
        told = json.dumps(
            {"hook_event_name": event, "session_id": self.session, "cwd": str(Path.cwd()), **more}
        ).encode()
        commands = [hook["command"] for group in self.hooks.get(event, ()) for hook in group["hooks"]]
        done = [subprocess.run(line, shell=True, check=False, input=told, capture_output=True) for line in commands]
        return all(one.returncode == 0 for one in done)

    def turn(self, prompt: str, *, ask: bool = False) -> None:
        self.hook("UserPromptSubmit")
        with Path("taken.txt").open("a", encoding="utf-8") as file:
            file.write(prompt + "\n")
        if ask:
            self.hook("PermissionRequest", tool_name="Bash")
            answer = os.read(0, 1)
            Path("answer.txt").write_text(repr(answer), "utf-8")
            self.hook("PostToolUse", tool_name="Bash")
        git = "git --no-optional-locks"
        subprocess.run(f"{git} add -A && {git} commit -qm turn", shell=True, check=True, capture_output=True)
        if not self.hook("Stop", stop_hook_active=False):
            self.hook("Stop", stop_hook_active=True)


def prompts(swallow: int) -> Iterator[str]:
    """What is sent with Enter; ``swallow`` Enters after each paste are not."""
    typed, left = b"", 0
    while data := read_terminal():
        typed += data
        if PASTED in typed and PASTE_ENDS not in typed:
            continue
        if PASTE_ENDS in typed:
            left = swallow
            typed = typed.replace(PASTED, b"").replace(PASTE_ENDS, b"")
        while typed.endswith(b"\r") and left:
            typed, left = typed[:-1], left - 1
        if typed.endswith(b"\r"):
            sent, typed = typed[:-1].decode().replace("\r", "\n").strip(), b""
            if sent:
                yield sent


def read_terminal() -> bytes:
    """Return what was typed. Where the window is closed, SIGHUP ends the client, as it ends the real one."""
    with contextlib.suppress(OSError):
        if data := os.read(0, 1 << 16):
            return data
    signal.pause()
    return b""


if __name__ == "__main__":
    sys.exit(main())
