"""Commands in a pseudo-terminal: what they show there, and what is typed while they do."""

from __future__ import annotations

import os
import pty
from collections.abc import Callable, Iterator
from pathlib import Path


def pieces(terminal: int) -> Iterator[bytes]:
    """What comes out of our side of a pseudo-terminal, until nobody is on the other."""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # Linux says EIO when the other side is gone
            return
        if not piece:
            return
        yield piece


def in_terminal(argv: list[str], folder: Path, answer: Callable[[bytes], bytes], **env: str) -> tuple[int, str]:
    """Run ``argv`` with all three streams on a pseudo-terminal: its exit code and all that it showed.

    ``answer`` is asked what to type whenever more was shown, with all that was shown so far.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(env)
        os.chdir(folder)
        os.execvp(argv[0], argv)  # noqa: S606
    shown = b""
    for piece in pieces(terminal):
        shown += piece
        if typed := answer(shown):
            os.write(terminal, typed)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode("utf-8", "replace")
