"""Turn functions into Invoke tasks, and run them as the ``orchestra`` command.

``orchestra VERB``, ``./inv VERB`` and plain ``inv VERB`` have the same verbs, options, output and exit codes. The tasks
and their executor are Invoke's; the command line is read by ``command_line``, since Invoke's own parser takes a plain
word for the next task. Nothing here imports a module that ``help`` does not need.

    from orchestra.cli.program import task

    @task("AGENT", help={"proposal": "Show how its conflict could be resolved."}, examples=("review api",))
    def review(call: Call, agent: str, proposal: bool = False) -> ExitCode:
        \"\"\"First line: for the list. The rest: for help.\"\"\"

Parameters that are plain words are declared by the first argument; the others are options, typed by their defaults.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Concatenate, ParamSpec

from invoke.collection import Collection
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.executor import Executor
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task

from orchestra.cli.call import Call
from orchestra.cli.command_line import (
    CommandLineError,
    HelpRequested,
    Option,
    Value,
    Verb,
    Word,
    find_verb,
    read_arguments,
)
from orchestra.cli.console import prepare_streams, print_result
from orchestra.cli.exit import command_name, orderly_end
from orchestra.errors import ExitCode, UsageError
from orchestra.text import did_you_mean

P = ParamSpec("P")
Body = Callable[Concatenate[Call, P], ExitCode | None]

SHARED = (
    Option("blueprint", str, None, "A blueprint's name or file. Default: the fleet spawned last.", "b", "BLUEPRINT"),
    Option("repo", str, None, "The repository, or any folder in it. Default: the current one.", "", "PATH"),
    Option("json", bool, False, "Print one JSON document on standard output; the rest goes to standard error."),
)
EVENTS_HELP = "Print the train's events as JSON lines on standard error, as they happen, instead of a view."
_LETTERS = {"yes": "y", "follow": "f"}


class OrchestraTask(Task[Callable[..., object]]):
    """A task with the form of its command line. Its group and place in ``help`` are set by ``collect``."""

    def __init__(self, body: Callable[..., object], verb: Verb, examples: Sequence[str], exits: Mapping[int, str]):
        super().__init__(body, name=verb.name, positional=(), auto_shortflags=False)
        self.verb, self.examples, self.exits, self.group = verb, tuple(examples), dict(exits), "More"

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options as Invoke knows them. Its parser gets no plain words: it would run tasks for them."""
        return [
            Argument(
                o.name, kind=o.kind, default=o.default, help=o.help, attr_name=o.parameter if "-" in o.name else None
            )
            for o in self.verb.options
        ]


def task(
    words: str = "",
    *,
    name: str | None = None,
    help: Mapping[str, str] | None = None,
    examples: Sequence[str] = (),
    exits: Mapping[int, str] | None = None,
    shared: Sequence[str] = ("blueprint", "repo", "json"),
) -> Callable[[Body[P]], OrchestraTask]:
    """Make a function a task. It returns its exit code (None: 0) and may raise any OrchestraError.

    ``words``: its plain arguments, such as ``AGENT [MESSAGE]``. ``exits``: what its exit codes 0 and 1 mean.
    ``shared``: which of the shared options it takes; their values are in its Call.
    """

    def wrap(body: Body[P]) -> OrchestraTask:
        plain = tuple(Word(shown) for shown in words.split())
        own = [
            _option(parameter, dict(help or {}))
            for parameter in list(inspect.signature(body).parameters.values())[1:]
            if parameter.default is not inspect.Parameter.empty
        ]
        options = (*own, *(option for option in SHARED if option.name in shared))
        verb = Verb(name or body.__name__.replace("_", "-"), plain, options, frozenset(shared))
        return OrchestraTask(_with_orderly_end(body, verb), verb, examples, exits or {})

    return wrap


def collect(groups: Mapping[str, Sequence[ModuleType]]) -> Collection:
    """Return a collection of every task that these modules define themselves, in groups and in order."""
    collection = Collection()
    for group, modules in groups.items():
        for module in modules:
            for value in vars(module).values():
                if isinstance(value, OrchestraTask) and value.__module__ == module.__name__:
                    value.group = group
                    collection.add_task(value)
    return collection


def main(namespace: Collection | None = None, words: Sequence[str] | None = None) -> None:
    """Run the ``orchestra`` command; a clone's ``tasks.py`` passes its own collection.

    ``words``: the arguments, where they are not this process's own. Raises SystemExit unless the exit code is 0.
    """
    from orchestra.cli import ns

    prepare_streams()
    with orderly_end():
        line = list(sys.argv[1:] if words is None else words)
        if line[:1] in (["--version"], ["-V"]):
            line = ["version"]
        elif not line or line[0] in ("--help", "-h", "--list", "-l"):
            line = [line[1], "--help"] if line[1:] else ["help"] if line else ["help", "--short"]
        collection = namespace or ns
        call = _read_line(orchestra_tasks(collection), line)
        if call is not None:
            try:
                Executor(collection, Config(lazy=True)).execute(call)
            except Exit as ended:
                raise SystemExit(ended.code) from None


def adopt_running_program() -> None:
    """Let plain ``inv`` read the lines of these tasks as ``orchestra`` does, when it loads them.

    Its own parser would start the task ``status`` for an agent of that name, and ends with 1, which in orchestra means
    that work fell short. Its one Program object has read its own options by now and parses the tasks next.
    """
    running = getattr(sys.modules.get("invoke.main"), "program", None)
    if not isinstance(running, Program) or "parse_tasks" in vars(running):
        return
    parse_with_invoke, explain_with_invoke = running.parse_tasks, running.parse_cleanup

    def parse_tasks() -> None:
        tasks, line = orchestra_tasks(running.collection), list(running.core.unparsed)
        place = find_verb(line, SHARED)
        others = set(running.collection.task_names) - set(tasks)
        if not line or (place >= 0 and line[place] in others):
            parse_with_invoke()
            for name in (str(context.name) for context in running.tasks):
                if name in tasks:
                    raise UsageError(f"{name} needs a command line of its own", hint=f"run inv {name} by itself")
            return
        after_dashes = running.argv[running.argv.index("--") :] if "--" in running.argv else []
        call = _read_line(tasks, [*line, *after_dashes], others)
        if call is None:
            raise SystemExit(0)
        running.parser = running._make_parser()
        vars(running)["tasks"] = [call]  # its executor takes names with arguments as well

    def parse_cleanup() -> None:
        tasks, asked = orchestra_tasks(running.collection), running.args.help.value
        if isinstance(asked, str) and asked not in set(running.collection.task_names) - set(tasks):
            _read_line(tasks, [asked, "--help"])
            raise SystemExit(0)
        explain_with_invoke()

    for step in (parse_tasks, parse_cleanup):
        setattr(running, step.__name__, _with_orderly_errors(step))


def _with_orderly_errors(step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        ending: Exception | None = None
        with orderly_end():
            try:
                step()
            except (Exit, ParseError) as error:
                ending = error  # how Invoke ends after --list, and for a line of tasks that are not orchestra's
        if ending is not None:
            raise ending

    return run


def orchestra_tasks(collection: Collection) -> dict[str, OrchestraTask]:
    """Return the tasks of a collection that are orchestra's, by the names that a line can have."""
    tasks = {name: collection[name] for name in collection.task_names}
    return {name: each for name, each in tasks.items() if isinstance(each, OrchestraTask)}


def _read_line(
    tasks: Mapping[str, OrchestraTask], line: list[str], others: Iterable[str] = ()
) -> tuple[str, dict[str, Value]] | None:
    """Return the task and its arguments; None where the line asked for help, which was printed."""
    place = find_verb(line, SHARED)
    name = line.pop(place) if place >= 0 else line[0]
    if name not in tasks:
        kind = "option" if name.startswith("-") else "verb"
        hint = did_you_mean(name, [*tasks, *others], otherwise=f"{command_name()} help lists the verbs")
        raise CommandLineError(f"no {kind} {name!r}", hint=hint, usage="VERB [AGENT...] [options]")
    try:
        return name, read_arguments(tasks[name].verb, line)
    except HelpRequested:
        from orchestra.cli.help_screen import verb_help

        print_result(verb_help(tasks[name]))
        return None


def _option(parameter: inspect.Parameter, texts: Mapping[str, str]) -> Option:
    name = parameter.name.rstrip("_").replace("_", "-")
    kind = str if parameter.default is None else type(parameter.default)
    metavar = {str: "TEXT", int: "N"}.get(kind, "")
    text = EVENTS_HELP if name == "events" else texts[name]
    if kind is str and ": " in text and text.partition(": ")[0].isupper():
        metavar, _, text = text.partition(": ")
    return Option(name, kind, parameter.default, text, _LETTERS.get(name, ""), metavar)


def _with_orderly_end(body: Body[P], verb: Verb) -> Callable[..., None]:
    def run(c: Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        prepare_streams()
        with orderly_end():
            if c.config.run.dry:
                raise UsageError(
                    "Invoke's own --dry has no effect here", hint="use the verb's --dry-run, if it has one"
                )
            line = verb.line(kwargs)
            repo, blueprint, json = (kwargs.pop(name, None) for name in ("repo", "blueprint", "json"))
            call = Call(verb, line, _text(repo), _text(blueprint), bool(json))
            code = body(call, *args, **kwargs)
        if code:
            raise Exit(code=int(code))

    def _text(value: object) -> str | None:
        return None if value is None else str(value)

    run.__doc__, run.__name__, run.__module__ = body.__doc__, body.__name__, body.__module__
    return run
