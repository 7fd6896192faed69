"""Read one command line: a verb, its plain words and its options.

Each line has one verb; every plain word after it is an argument of that verb, also a word that names another verb.
Pure: it knows the verbs' declarations and no repository.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword

from orchestra.errors import UsageError
from orchestra.text import did_you_mean

Value = str | int | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Word:
    """A plain argument: ``AGENT``, ``[AGENT]``, ``AGENT...`` or ``[AGENT...]``. A list is passed as a tuple."""

    shown: str

    @property
    def optional(self) -> bool:
        return self.shown.startswith("[")

    @property
    def repeated(self) -> bool:
        return self.shown.endswith(("...", "...]"))

    @property
    def parameter(self) -> str:
        name = self.shown.strip("[].").lower()
        plural = f"{name}es" if name.endswith("ch") else f"{name}s"
        return "words" if "|" in name else plural if self.repeated else name


@dataclass(frozen=True, slots=True)
class Option:
    """``--name``, or one letter; ``kind`` bool takes no value. A value is shown as ``metavar``."""

    name: str
    kind: type
    default: Value
    help: str
    letter: str = ""
    metavar: str = ""

    @property
    def parameter(self) -> str:
        return self.name.replace("-", "_") + "_" * iskeyword(self.name)

    @property
    def shown(self) -> str:
        return f"--{self.name}" + (f"={self.metavar}" if self.metavar else "")


@dataclass(frozen=True, slots=True)
class Verb:
    """What a command line can hold. ``shared``: those of ``options`` that every verb has."""

    name: str
    words: tuple[Word, ...]
    options: tuple[Option, ...]
    shared: frozenset[str] = frozenset()

    @property
    def usage(self) -> str:
        own = [f"[{option.shown}]" for option in self.options if option.name not in self.shared]
        return " ".join([self.name, *(word.shown for word in self.words), *own, *["[options]"] * bool(self.shared)])

    def line(self, values: Mapping[str, object]) -> str:
        """Return the line that gives these values, as a person can type it after ``orchestra``."""
        words = [self.name]
        for word in self.words:
            value = values.get(word.parameter)
            words += [value] if isinstance(value, str) and value else value if isinstance(value, list | tuple) else []
        plain = {word.parameter for word in self.words}  # some of these can be given as an option, too
        for option in self.options:
            value = values.get(option.parameter, option.default)
            if value != option.default and option.parameter not in plain:
                words.append(f"--{option.name}" if value is True else f"--{option.name}={value}")
        return shlex.join(words)


class CommandLineError(UsageError):
    """A command line that cannot be read; ``usage`` is the form of the verb that was meant."""

    def __init__(self, message: str, *, hint: str | None = None, usage: str) -> None:
        super().__init__(message, hint=hint)
        self.usage = usage


class HelpRequested(Exception):  # noqa: N818 - no error
    """The line holds ``-h`` or ``--help``."""


def read_arguments(verb: Verb, line: Sequence[str]) -> dict[str, Value]:
    """Return parameter -> value for the words after the verb. Raises CommandLineError, HelpRequested."""
    by_name = {f"--{option.name}": option for option in verb.options}
    by_name |= {f"-{option.letter}": option for option in verb.options if option.letter}
    values: dict[str, Value] = {option.parameter: option.default for option in verb.options}
    plain: list[str] = []
    problem: CommandLineError | None = None
    rest = iter(line)
    for text in rest:
        name, equals, value = text.partition("=")
        if text == "--":
            plain += rest
        elif not text.startswith("-") or text == "-":
            plain.append(text)
        elif name == "--agents" and any("AGENT..." in word.shown for word in verb.words):
            plain.append(value if equals else next(rest, ""))  # the same in one word, for scripts
        elif text in ("-h", "--help"):
            raise HelpRequested
        elif (option := by_name.get(name)) is None:
            hint = did_you_mean(name, [known for known in by_name if known.startswith("--")])
            problem = problem or CommandLineError(f"{verb.name} has no option {name}", hint=hint, usage=verb.usage)
        else:
            try:
                values[option.parameter] = _option_value(option, name, value if equals else None, rest)
            except UsageError as error:
                problem = problem or CommandLineError(error.message, usage=verb.usage)
    if problem is not None:
        raise problem
    return values | _assign_words(verb, plain, values)


def find_verb(line: Sequence[str], shared: Iterable[Option]) -> int:
    """Return the place of the verb in a line: its first word that is no shared option. -1 where there is none."""
    takes_value = {f for o in shared if o.kind is not bool for f in (f"--{o.name}", f"-{o.letter}")}
    place = 0
    while place < len(line) and line[place].startswith("-"):
        place += 2 if line[place] in takes_value else 1
    return place if place < len(line) else -1


def _option_value(option: Option, name: str, value: str | None, rest: Iterator[str]) -> Value:
    if option.kind is bool:
        if value is not None:
            raise UsageError(f"{name} takes no value")
        return True
    if value is None:
        value = next(rest, "")
    if not value:
        raise UsageError(f"{name} needs a value")
    if option.kind is int:
        if not value.removeprefix("-").isdecimal():
            raise UsageError(f"{name} takes a whole number, not {value!r}")
        return int(value)
    return value


def _assign_words(verb: Verb, plain: Sequence[str], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of the plain words. An optional word can also be given as the option of its name."""
    assigned: dict[str, Value] = {}
    remaining = list(plain)
    for word in verb.words:
        if word.repeated:
            assigned[word.parameter] = tuple(remaining)
            missing, remaining = not remaining, []
        else:
            missing = not remaining
            if remaining:
                assigned[word.parameter] = remaining.pop(0)
                if values.get(word.parameter):
                    raise CommandLineError(f"{word.shown.strip('[]')} is given twice", usage=verb.usage)
            elif word.parameter not in values:
                assigned[word.parameter] = None
        if missing and not word.optional:
            raise CommandLineError(f"{verb.name} needs {word.shown.removesuffix('...')}", usage=verb.usage)
    if remaining:
        takes = " ".join(word.shown for word in verb.words)
        hint = f"quote a text of several words: '{' '.join(plain[1:])}'" if verb.words[1:] else None
        form = f"only {takes} (got {remaining[0]!r} as well)" if takes else f"no plain words (got {remaining[0]!r})"
        raise CommandLineError(f"{verb.name} takes {form}", hint=hint, usage=verb.usage)
    return assigned
