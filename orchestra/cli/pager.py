"""Show long results in the person's pager and with or without colours, as git is set up to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestra.cli.console import Cell, Tone, coloured, is_terminal, print_result

_OFF = ("false", "never", "no", "off", "0")
_ON = ("true", "yes", "on", "1", "")
_OUTSIDE_REPOSITORY = ("system", "global")


def show_page(lines: Sequence[Cell], *, pager: bool = True) -> None:
    """Print lines on standard output; in a terminal in colours, and with ``pager`` through the person's pager."""
    if not is_terminal():
        for line in lines:
            print_result(line.text)
        return
    settings = _read_settings()
    command = _pager_command(settings) if pager and is_terminal(sys.stdin) else None
    if settings.get("color.diff", settings.get("color.ui", "auto")) in _OFF:
        lines = [replace(line, tone=Tone.PLAIN) for line in lines]
    if command is None:
        for line in lines:
            print_result(line.text, line.tone)
        return
    import pydoc

    for variable, value in (("LESS", "FRX"), ("LV", "-c")):  # git's own defaults
        os.environ.setdefault(variable, value)
    sys.stdout.flush()
    pydoc.pipepager("".join(f"{coloured(line)}\n" for line in lines), command)


def _pager_command(settings: Mapping[str, str]) -> str | None:
    """Return the shell command of the pager, None for none: the order of git-var(1), after ``pager.review``."""
    review_pager = settings.get("pager.review", "true")
    if review_pager in _OFF or os.environ.get("TERM", "dumb") == "dumb":
        return None
    choices = (
        review_pager if review_pager not in _ON else None,
        os.environ.get("GIT_PAGER"),
        settings.get("core.pager"),
    )
    command = next((choice for choice in choices if choice is not None), os.environ.get("PAGER", "less"))
    return command if command.strip() not in ("", "cat") and shutil.which(command.split()[0]) else None


def _read_settings() -> dict[str, str]:
    """Return the person's git settings, by lower-case name.

    Those of the repository are left out: an agent can write them, and a pager is a program.
    """
    from orchestra.git.git_process import Git

    fields = Git(Path.cwd()).run("config", "--list", "--show-scope", "-z", ok=(0, 128)).fields
    settings = {}
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = setting.partition("\n")
        if scope in _OUTSIDE_REPOSITORY:
            settings[name.lower()] = value.strip()
    return settings
