"""Help: what a person sees first, and the page of all commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from orchestra.cli import ns
from orchestra.cli.command_line import read_arguments
from orchestra.cli.program import orchestra_tasks

from .conftest import Orchestra

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_of_commands_is_what_help_prints(orchestra: Orchestra) -> None:
    code, out, err = orchestra("help", "--markdown")
    assert (code, err) == (0, "")
    assert COMMANDS.read_text() == out, "run: orchestra help --markdown >docs/commands.md"


def test_the_first_screen_is_short(orchestra: Orchestra) -> None:
    code, out, _ = orchestra()
    assert code == 0
    assert len(out.splitlines()) <= 20
    assert out.startswith("usage: orchestra VERB [AGENT...] [options]\n")


def test_help_fits_into_80_columns_and_has_examples_and_exit_codes(orchestra: Orchestra) -> None:
    lines = orchestra("help")[1].splitlines()
    groups = [line for line in lines if line and not line.startswith((" ", "usage", "Agents", "orchestra"))]
    assert groups == ["Plan", "Work", "Review", "Land", "Clean up", "More"]
    for verb in [line.split()[0] for line in lines if line.startswith("  ")]:
        out = orchestra("help", verb)[1]
        assert out == orchestra(verb, "--help")[1] == orchestra(verb, "-h")[1]
        body = out.partition("\n\n")[2]
        assert max(map(len, body.splitlines())) <= 80, verb
        assert "\nExamples\n  orchestra " in out
        assert "\nExit codes\n    0  " in out


def test_the_line_that_is_shown_again_means_what_was_typed() -> None:
    for name, task in orchestra_tasks(ns).items():
        for example in task.examples:
            verb, *words = shlex.split(re.split(" [|>]", example)[0], comments=True)
            if verb != name:
                continue
            values = read_arguments(task.verb, words)
            again, *words_again = shlex.split(task.verb.line(values))
            assert (again, read_arguments(task.verb, words_again)) == (name, values), example
