"""Explain what is wrong with a command line: the option or task that was probably meant, and the usage.

Invariant: a command line that cannot be read ends with exit code 2, in all three ways in. Rests on what the
parser knows (its contexts and the arguments), not on the wording of its messages.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from invoke.exceptions import Exit, ParseError
from invoke.parser.context import ParserContext
from invoke.program import Program

from orchestra.errors import ExitCode


class ValueRefused(ParseError):  # noqa: N818 - as its parent says it
    """A flag got a value that it cannot take; the message is whole as it is."""


class OptionForArgument(ParseError):  # noqa: N818
    """The parser took an option for a plain argument: ``review --help``, where the agent is still to come."""

    def __init__(self, option: str) -> None:
        super().__init__(option)
        self.option = option


@contextmanager
def usage_errors(program: Program) -> Iterator[None]:
    """Turn what the parser refuses into an Exit with a hint and exit code 2; ``TASK --help`` always explains."""
    try:
        yield
    except OptionForArgument as error:
        name = _task_before(error.option, program)
        if error.option in {"--help", "-h"}:
            program.print_task_help(name)
            raise Exit from None
        with usage_errors(program):
            raise ParseError(str(error), program.parser.contexts[name]) from None
    except (ParseError, ValueError) as error:
        name = program.binary_names[-1]
        form = f"usage: {name} TASK [--option=VALUE ...]   ({name} --list; {name} TASK --help)"
        raise Exit(f"error: {_explain(program, error)}\n{form}", code=ExitCode.WRONG_INPUT) from None


def suggestion(word: str, candidates: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _explain(program: Program, error: Exception) -> str:
    core = getattr(program, "core", None)
    if isinstance(error, ValueRefused) or not isinstance(error, ParseError) or core is None:
        return str(error)
    tasks = list(program.collection.task_names) if hasattr(program, "collection") else []
    asked = program.args["help"].value
    if isinstance(asked, str) and asked not in tasks:
        return f"no task {asked!r}{suggestion(asked, tasks)}"
    if error.context is None or not error.context.name:
        return _unknown_start(program, core.unparsed, tasks) or str(error)
    return _wrong_in_task(program, error.context, core.unparsed, tasks) or str(error)


def _unknown_start(program: Program, words: Sequence[str], tasks: Sequence[str]) -> str:
    """The first word is neither an option of the program nor a task."""
    if not words:
        return ""
    word = words[0].partition("=")[0]
    if word.startswith("-"):
        return f"no option {word!r}{suggestion(word, program.initial_context.flags)}"
    return f"no task {word!r}{suggestion(word, tasks)}"


def _wrong_in_task(program: Program, context: ParserContext, words: Sequence[str], tasks: Sequence[str]) -> str:
    """Read the words after the task's name as the parser did, up to the one that does not fit."""
    name = str(context.name)
    flags = [*context.flags, *context.inverse_flags, *program.initial_context.flags]
    waiting, stray = "", ""
    for word in _after(words, name):
        option, equals, _ = word.partition("=")
        if waiting:
            waiting = ""
        elif word.startswith("-") and option not in flags:
            return f"{name} has no option {option!r}{suggestion(option, flags)}"
        elif word.startswith("-"):
            takes_value = option in context.flags and context.flags[option].takes_value
            if equals and not takes_value:
                return f"{option} takes no value"
            waiting = option if takes_value and not equals else ""
        elif word not in tasks:
            stray = word
    if waiting:
        return f"{waiting} needs a value"
    if context.missing_positional_args:
        return f"{name} needs {' '.join(str(arg.name).upper() for arg in context.missing_positional_args)}"
    return _stray(name, stray, context, tasks)


def _stray(name: str, word: str, context: ParserContext, tasks: Sequence[str]) -> str:
    if not word:
        return ""
    takes = len(context.positional_args)
    return f"{name} takes {takes or 'no'} plain argument{'s'[: takes != 1]}, not {word!r}{suggestion(word, tasks)}"


def _task_before(option: str, program: Program) -> str:
    """The task whose words ``option`` stands among."""
    words = [word.partition("=")[0] for word in program.core.unparsed]
    before = words[: words.index(option)] if option in words else words
    return next(word for word in reversed(before) if word in program.parser.contexts)


def _after(words: Sequence[str], name: str) -> Sequence[str]:
    last = max((place for place, word in enumerate(words) if word == name), default=-1)
    return words[last + 1 :]
