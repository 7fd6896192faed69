"""Help: a short screen, all verbs in groups in working order, and one verb with its arguments, examples, exit codes."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from orchestra.cli.exit import command_name

if TYPE_CHECKING:
    from orchestra.cli.program import OrchestraTask

_WIDTH = 80
_SHORT = ("init", "plan", "spawn", "start", "status", "review", "approve", "merge", "clean")
_EXITS: Mapping[int, str] = {
    0: "all that was asked is done",
    1: "the work fell short",
    2: "what you typed or wrote is wrong",
    3: "something on this machine or in this repository prevents it",
    130: "interrupted by Ctrl-C; run the same command again to continue",
}


def short_help(tasks: Mapping[str, OrchestraTask]) -> str:
    """Return the screen of a call without words: the verbs of a fleet's life."""
    name = command_name()
    lines = [f"usage: {name} VERB [AGENT...] [options]", "", "The life of a fleet:"]
    lines += [_entry(tasks[verb]) for verb in _SHORT if verb in tasks]
    return "\n".join([*lines, "", f"{name} help lists all verbs; {name} help VERB explains one."])


def full_help(tasks: Mapping[str, OrchestraTask]) -> str:
    """Return all verbs in groups, in working order."""
    name = command_name()
    lines = [f"usage: {name} VERB [AGENT...] [options]", "", "Agents are names or numbers; no agent means all."]
    for group, members in groupby(tasks.values(), key=lambda task: task.group):
        lines += ["", group, *(_entry(task) for task in members)]
    return "\n".join([*lines, "", f"{name} help VERB explains one: its arguments, examples and exit codes."])


def verb_help(task: OrchestraTask) -> str:
    """Return the help of one verb."""
    name, verb = command_name(), task.verb
    lines = [f"usage: {name} {verb.usage}", "", *_paragraphs(inspect.getdoc(task) or "")]
    for title, options in (
        ("Options", [option for option in verb.options if option.name not in verb.shared]),
        ("Shared options", [option for option in verb.options if option.name in verb.shared]),
    ):
        if options:
            forms = [("-" + o.letter + ", " if o.letter else "    ") + o.shown for o in options]
            lines += ["", title, *_columns(zip(forms, (option.help for option in options), strict=True))]
    if task.examples:
        lines += ["", "Examples", *(f"  {name} {example}" for example in task.examples)]
    codes = {code: task.exits.get(code, text) for code, text in _EXITS.items()}
    lines += ["", "Exit codes", *_columns((f"{code:>3}", text) for code, text in codes.items())]
    return "\n".join(lines)


def markdown_help(tasks: Mapping[str, OrchestraTask]) -> str:
    """Return docs/commands.md: every verb with its help, in groups."""
    lines = [
        "# Commands",
        "",
        "Written by `orchestra help --markdown >docs/commands.md`; a test holds it up to date. Agents are names or",
        "numbers; no agent means all of the fleet. Each line has one verb. What a verb prints with `--json` is",
        "described by its file in `schemas/`.",
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "| --- | --- |",
        *(f"| {code} | {text} |" for code, text in _EXITS.items()),
    ]
    public = (task for task in tasks.values() if task.group != "Build orchestra")
    for group, members in groupby(public, key=lambda task: task.group):
        lines += ["", f"## {group}"]
        for task in members:
            lines += ["", f"### {task.verb.name}", "", "```", verb_help(task), "```"]
    return "\n".join(lines)


def summary(task: OrchestraTask) -> str:
    """Return what the verb does, in a few words."""
    return (inspect.getdoc(task) or "").partition("\n")[0].rstrip(".")


def _entry(task: OrchestraTask) -> str:
    return f"  {task.verb.name:<16} {summary(task)}"


def _paragraphs(text: str) -> list[str]:
    filled = [textwrap.fill(part, _WIDTH) for part in text.split("\n\n")]
    return "\n\n".join(filled).splitlines()


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return two columns; a long entry of the first has its text on the next line."""
    entries = list(rows)
    width = min(24, max(len(first) for first, _ in entries))
    lines = []
    for first, text in entries:
        wrapped = textwrap.wrap(text, _WIDTH - width - 4)
        head = f"  {first:<{width}}  {wrapped[0]}" if len(first) <= width else f"  {first}"
        rest = wrapped[1:] if len(first) <= width else wrapped
        lines += [head, *(" " * (width + 4) + line for line in rest)]
    return lines
