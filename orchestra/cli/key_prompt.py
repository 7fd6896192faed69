"""Ask for one key in a terminal."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Mapping

from orchestra.cli.console import Tone, print_note
from orchestra.text import terminal_safe

_END_OF_INPUT = "\x04"
_LONGEST_KEY = 64  # bytes; a special key is a sequence of some bytes


def ask_key(question: str, answers: Mapping[str, str]) -> str | None:
    """Return the one of ``answers`` whose key a person presses, or None at the end of input.

    ``answers``: name -> meaning. The key of an answer is its first letter, or the one in front of it: ``x discard`` is
    the answer ``discard`` with the key x. ``?`` prints the meanings. Standard input is a terminal. What was typed
    before the question does not count: it was not meant for what is on the screen now.
    """
    names = {answer[0]: answer.rpartition(" ")[2] for answer in answers}
    shown = [f"[{key}]{name[1:] if name[0] == key else f' {name}'}" for key, name in names.items()]
    while True:
        pressed = _press_key(f"{terminal_safe(question)} {' '.join(shown)} [?] ")
        answer = next((name for key, name in names.items() if pressed in (key, name)), None)
        if answer is not None or pressed == _END_OF_INPUT or pressed is None:
            sys.stderr.write(f"{answer or ''}\n")
            sys.stderr.flush()
            return answer
        sys.stderr.write("\n")
        if pressed == "?":
            for form, meaning in answers.items():
                print_note(f"  {form[0]}  {form.rpartition(' ')[2]:<16} {meaning}")
        else:
            print_note("Press one of the keys in brackets; ? explains them.", Tone.QUIET)


def _press_key(prompt: str) -> str | None:
    """Print ``prompt`` and return the key, in lower case; None where the terminal is gone."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number, termios.TCSAFLUSH)
        sys.stderr.write(prompt)
        sys.stderr.flush()
        typed = b""
        while not typed.strip():  # Enter alone is no answer
            typed = os.read(number, _LONGEST_KEY)
            if not typed:
                return None
        return typed.decode("utf-8", "replace").strip().lower()
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
