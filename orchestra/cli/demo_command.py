"""``orchestra demo``: run spawn, start, status, review and merge on a sample repository with scripted agents.

It runs the commands that a person would type and prints their output; the result is read from the repository
afterwards. A folder that is not empty is refused.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, is_terminal, print_note, print_result
from orchestra.cli.program import main, task
from orchestra.errors import ExitCode, GroundError, Shortfall, UsageError
from orchestra.fleet import Fleet, open_fleet

LANDS = ("schema", "auth", "health", "api")  # in this order
EVICTED = "integration"
_SAMPLE = Path(__file__).parents[1] / "_sample"
_BLUEPRINT = "blueprints/demo.yaml"
_WITH_STEPS = ("spawn", "rebase-and-test", "merge")
_PATIENCE_S = 60.0  # the scripted agents take about a second
_LOOK_AGAIN_S = 0.1


@task(
    examples=("demo", "demo --repo=/tmp/orders"),
    exits={0: "all went as expected", 1: "something did not"},
    shared=("repo",),
)
def demo(call: Call) -> ExitCode:
    """Run a whole fleet on a made-up service.

    Its agents are scripts: no key and no network needed.

    Five agents of the blueprint mvp5 get worktrees, do their work as scripts, are reviewed and merged: four land, in
    order, and one is evicted for a reason that its gate explains. Everything is kept, for you to look at.
    --repo names the folder to make the sample in, which must be empty or not exist. Default: a new temporary one.
    """
    place = _empty_folder(call.repo)
    stage = _Stage(place, place / "orders-service", _command())
    stage.create_service()
    stage.spawn()
    stage.work()
    stage.judge()
    stage.land()
    return stage.close()


@dataclass(frozen=True)
class _Stage:
    """``folder`` holds the service and the worktrees; ``command`` is what the person types."""

    folder: Path
    service: Path
    command: str

    @property
    def fleet(self) -> Fleet:
        return open_fleet(self.service, _BLUEPRINT)

    def create_service(self) -> None:
        """Create a repository with its blueprint."""
        from orchestra.engine import process
        from orchestra.git.git_process import environment
        from orchestra.review.verdict_giver import SESSION_VARIABLES

        print_heading("A sample service", f"{self.service}: TypeScript, and checks that need nothing but Python.")
        argv = [sys.executable, str(_SAMPLE / "create_sample.py"), str(self.service)]
        result = process.capture(argv, env=environment())
        if result.code:
            raise GroundError(f"the sample service could not be created: {result.stderr.strip()}")
        os.chdir(self.service)
        os.environ["GIT_PAGER"] = "cat"  # the demo runs to its end without a key
        for variable in SESSION_VARIABLES:  # it types as a person would, also where a coding session started it
            os.environ.pop(variable, None)
        print_result(f"{_BLUEPRINT}:")
        for line in Path(_BLUEPRINT).read_text(encoding="utf-8").splitlines():
            print_result(f"    {line}".rstrip(), Tone.QUIET)

    def spawn(self) -> None:
        """Run spawn."""
        print_heading("Five agents get worktrees", "Each with its own branch, and its task in TASK.md.")
        from orchestra.workspace.trust import trust

        trust(self.fleet)  # the demo wrote this blueprint itself
        self.type("spawn", _BLUEPRINT)

    def work(self) -> None:
        """Start the agents, wait until they are done, show the status."""
        print_heading(
            "They work", "In parallel. Here they are scripts; with mvp5 itself, each is a Claude Code session."
        )
        self.type("start")
        self._await_agents()
        self.type("status")

    def judge(self) -> None:
        """Test and review one, approve all."""
        print_heading("You judge", f"One screen for each agent; here is that of {EVICTED}. Note its key decision.")
        self.type("rebase-and-test", EVICTED)
        self.type("review", EVICTED)
        print_result()
        print_result("It is green and reads well, so we carelessly approve all five, to see what the gates are for.")
        self.type("approve", *LANDS, EVICTED)

    def land(self) -> None:
        """Merge; one of the five is evicted."""
        print_heading("They land", "In order, each tested on top of those before it, exactly as it lands.")
        self.type("merge", expect=ExitCode.SHORT)
        self._explain_eviction()
        self.type("status")

    def _explain_eviction(self) -> None:
        print_result()
        print_result(f"Why {EVICTED} was evicted, from the report that the line above names:")
        for event in self.fleet.ledger.events("evicted", EVICTED)[-1:]:
            for line in Path(str(event.data["log"])).read_text(encoding="utf-8").splitlines():
                print_result(f"    {line}".rstrip(), Tone.BAD)
        print_result()
        print_result(
            "On its own it was green, since there was no API yet. Neither diff shows the fault, and git sees no"
        )
        print_result(
            "conflict: only the two together are wrong. The gate ran on exactly that, so it did not land; the rest did."
        )

    def close(self) -> ExitCode:
        """Print where things are and what to type next; return the exit code."""
        deviations = tuple(self._deviations())
        print_heading("Where things are")
        log = self.fleet.folder / "gates"
        for label, path in (("the service", self.service), ("the worktrees", self.folder / "worktrees"), ("logs", log)):
            print_result(f"  {label:14}{path}")
        change_folder = f"cd {shlex.quote(str(self.service))}"
        message = "'An order is cancelled by PATCH with status cancelled; see openapi/openapi.yaml'"
        print_result()
        print_result("What to type next:")
        for words in (
            change_folder,
            "git log --stat",
            f"{self.command} request-changes {EVICTED} {message}",
            f"{self.command} clean",
            f"rm -r {shlex.quote(str(self.folder))}        # removes everything",
        ):
            print_result(f"  {words}")
        for sentence in deviations:
            print_note(f"unexpected: {sentence}", Tone.BAD)
        return ExitCode.SHORT if deviations else ExitCode.DONE

    def type(self, *words: str, expect: ExitCode = ExitCode.DONE) -> None:
        """Type a command line, as a person in the service's folder would. Shortfall when it ends otherwise."""
        print_result()
        print_result(f"$ {self.command} {shlex.join(words)}", Tone.WAITING)
        sys.stdout.flush()
        # In a terminal the steps of a train are one live view; elsewhere they would be most of the output.
        hides_steps = words[0] in _WITH_STEPS and not is_terminal(sys.stderr)
        with redirect_stderr(StringIO()) if hides_steps else nullcontext() as steps:
            code = _run(words)
        if code != expect:
            print_note(steps.getvalue().rstrip() if steps else "")
            raise Shortfall(f"`{shlex.join(words)}` ended with {code}, not with {int(expect)} as expected")

    def _await_agents(self) -> None:
        from orchestra.sessions.state import State
        from orchestra.status import read_status

        settled = {State.FINISHED, State.FAILED, State.STOPPED, State.LOST, State.NOT_READY}
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            states = {row.agent.name: row.state for row in read_status(self.fleet).rows}
            if all(state.state in settled for state in states.values()):
                break
            if time.monotonic() > deadline:
                raise Shortfall(f"the scripted agents did not end within {_PATIENCE_S:.0f} s")
            time.sleep(_LOOK_AGAIN_S)
        unfinished = [name for name, state in states.items() if state.state is not State.FINISHED]
        if unfinished:
            raise Shortfall(f"did not finish: {', '.join(unfinished)}", hint=f"{self.command} status says why")

    def _deviations(self) -> Iterable[str]:
        """Yield what differs from the expected result, read from the repository."""
        fleet = self.fleet
        from orchestra.status import read_status

        rows = {str(row.agent.name): row for row in read_status(fleet).rows}
        landed = {name: row.standing.refs.landed for name, row in rows.items() if row.standing.refs.landed}
        if set(landed) != set(LANDS):
            yield f"landed are {', '.join(sorted(landed)) or 'none'}, not {', '.join(sorted(LANDS))}"
            return
        line = fleet.repository.git.text("rev-list", "--reverse", fleet.target_ref).split()
        places = [line.index(landed[name]) for name in LANDS if landed[name] in line]
        if len(places) != len(LANDS) or places != sorted(places):
            yield f"{', '.join(LANDS)} are not on {fleet.target} in this order"


def print_heading(title: str, text: str = "") -> None:
    """Print a heading."""
    print_result()
    print_result(f"== {title}")
    if text:
        print_result(text)


def _run(words: Iterable[str]) -> int:
    try:
        main(words=tuple(words))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _empty_folder(repo: str | None) -> Path:
    if repo is None:
        import tempfile

        return Path(tempfile.mkdtemp(prefix="orchestra-demo-")).resolve()
    folder = Path(repo).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not an empty folder", hint="the demo creates its own repository and changes no other"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _command() -> str:
    """Return what the person types: the clone's ``./inv`` by its path, or the installed command."""
    started = Path(sys.argv[0])
    return shlex.quote(str(started.resolve().parent / "inv")) if started.name == "tasks.py" else "orchestra"
