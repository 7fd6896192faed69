"""Turn functions into Invoke tasks, and run them as the ``orchestra`` command.

``orchestra TASK``, ``./inv TASK`` and plain ``inv TASK`` have the same tasks, flags, output and exit codes. Errors in a
task end in ``exit.orderly_end``, errors in the command line in ``usage_errors``. Nothing here imports a module that
``--list`` does not need.

    from orchestra.cli.program import task

    @task(positional=["agent"], help={"agent": "Its name or number."})
    def review(c: Context, agent: str, repo: str | None = None, blueprint: str | None = None) -> ExitCode:
        \"\"\"First line: for the list. The rest: for --help.\"\"\"
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Concatenate, ParamSpec

from invoke.collection import Collection
from invoke.completion.complete import print_completion_script
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task

from orchestra import __version__
from orchestra.cli.console import prepare_streams
from orchestra.cli.exit import orderly_end
from orchestra.cli.usage_errors import OptionForArgument, ValueRefused, usage_errors
from orchestra.errors import ExitCode, UsageError

P = ParamSpec("P")
Body = Callable[Concatenate[Context, P], ExitCode | None]

SHARED_HELP: Mapping[str, str] = {
    "repo": "The repository, or any folder in it. Default: the one around the current folder.",
    "blueprint": "A blueprint's name or file. Default: the fleet that was spawned last in the repository.",
    "json": "Print one JSON document on standard output; everything else goes to standard error.",
    "agent": "Its name or number.",
    "agents": "Names or numbers, separated by commas. Default: all agents of the fleet.",
    "events": "Print the train's events as JSON lines on standard error, as they happen, instead of a view.",
}
# The options of invoke that `orchestra` keeps. The others steer how invoke runs commands, which orchestra does not
# use; `orchestra --dry merge` must not be read as a dry run and then land work.
_CORE_FLAGS = frozenset("complete help list list-depth list-format print-completion-script version".split())


class Flag(Argument):
    """A flag whose refusal of a value is a usage error; with invoke's own it is a traceback."""

    def set_value(self, value: object, cast: bool = True) -> None:
        """Set the value as invoke does. Raises ValueRefused, OptionForArgument."""
        if self.positional and isinstance(value, str) and value.startswith("-"):
            raise OptionForArgument(value)
        if cast and self.kind is str and value == "":
            raise ValueRefused(f"{self._name_on_command_line} needs a value")
        try:
            super().set_value(value, cast)
        except ValueError:
            raise ValueRefused(f"{self._name_on_command_line} takes a whole number, not {value!r}") from None

    @property
    def _name_on_command_line(self) -> str:
        return self.names[0].upper() if self.positional else f"--{self.names[0]}"


class OrchestraTask(Task[Callable[..., object]]):
    """A task whose arguments are Flags."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return invoke's arguments, each as a Flag."""
        return [
            Flag(
                names=argument.names,
                kind=argument.kind,
                default=argument.default,
                help=argument.help,
                positional=argument.positional,
                optional=argument.optional,
                incrementable=argument.incrementable,
                attr_name=argument.attr_name,
            )
            for argument in super().get_arguments(ignore_unknown_help)
        ]


def task(
    *,
    name: str | None = None,
    positional: Iterable[str] = (),
    help: Mapping[str, str] | None = None,
) -> Callable[[Body[P]], OrchestraTask]:
    """Make a function a task. It returns its exit code (None: 0) and may raise any OrchestraError.

    Flags are long, made from the parameters, typed by their defaults (None: text). ``positional`` names required
    parameters without a default. Parameters in SHARED_HELP need no help text of their own.
    """

    def wrap(body: Body[P]) -> OrchestraTask:
        takes = set(body.__annotations__)
        texts = {key: text for key, text in SHARED_HELP.items() if key in takes} | dict(help or {})
        return OrchestraTask(
            _with_orderly_end(body), name=name, positional=tuple(positional), auto_shortflags=False, help=texts
        )

    return wrap


def collect(*modules: ModuleType) -> Collection:
    """Return a collection of every task that these modules define themselves."""
    collection = Collection()
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, OrchestraTask) and value.__module__ == module.__name__:
                collection.add_task(value)
    return collection


class OrchestraProgram(Program):
    """The installed command: usage errors end with a hint and exit code 2; invoke's configuration is not read."""

    def create_config(self) -> None:
        """Read none of invoke's configuration files: a broken ~/.invoke.yaml must not make orchestra fail."""
        self.config = Config(lazy=True)

    def update_config(self, merge: bool = True) -> None:
        """Do nothing: the flags that invoke would read here are not offered."""

    def core_args(self) -> list[Argument]:
        """Return the program's own options."""
        return [argument for argument in super().core_args() if argument.names[0] in _CORE_FLAGS]

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse as invoke does, but keep writing bytecode, which invoke switches off and which makes starts faster."""
        self.normalize_argv(argv)
        with usage_errors(self):
            self.parse_core_args()
            if shell := self.args["print-completion-script"].value:
                print_completion_script(shell=shell, names=self.binary_names)
                raise Exit
        if self.args.version.value:
            self.print_version()
            raise Exit

    def parse_tasks(self) -> None:
        """Parse as invoke does, with usage errors."""
        with usage_errors(self):
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Clean up as invoke does, with usage errors (``--help NOSUCH`` is one)."""
        with usage_errors(self):
            super().parse_cleanup()

    def task_list_opener(self, extra: str = "") -> str:
        """Return the heading of plain ``inv --list``."""
        return f"Available tasks{f' ({extra})' if extra else ''}"


def adopt_running_program() -> None:
    """Give plain ``inv`` these usage errors and exit code 2 when it loads these tasks.

    invoke ends with 1 on a command line that it cannot parse, which in orchestra means that work fell short.
    Its one Program object has read the core options by now and parses the tasks next.
    """
    running = getattr(sys.modules.get("invoke.main"), "program", None)
    if not isinstance(running, Program) or "parse_tasks" in vars(running):
        return
    for step in ("parse_tasks", "parse_cleanup"):
        setattr(running, step, _with_usage_errors(running, getattr(running, step)))


def main(namespace: Collection | None = None, binary: str = "orchestra", words: Sequence[str] | None = None) -> None:
    """Run the ``orchestra`` command; a clone's ``tasks.py`` passes its own collection and is called ``inv``.

    ``words``: the arguments, where they are not this process's own. Raises SystemExit unless the exit code is 0.
    """
    if namespace is None:
        from orchestra.cli import ns as namespace

    prepare_streams()
    with orderly_end():
        program = OrchestraProgram(
            version=__version__, namespace=namespace, name="orchestra", binary=binary, binary_names=[binary]
        )
        program.run(None if words is None else [binary, *words])


def _with_usage_errors(program: Program, step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with usage_errors(program):
            step()

    return run


def _with_orderly_end(body: Body[P]) -> Callable[Concatenate[Context, P], None]:
    @functools.wraps(body)
    def run(c: Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        prepare_streams()
        with orderly_end():
            if c.config.run.dry:
                raise UsageError(
                    "invoke's own --dry has no effect here", hint="use the task's --dry-run, where it has one"
                )
            code = body(c, *args, **kwargs)
        if code:
            raise Exit(code=int(code))

    return run
