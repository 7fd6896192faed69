"""The whole story on a sample repository, told by the tasks themselves: spawn, start, status, review, merge.

Invariant: it types what a person would type and shows what a person would see; whether it went as told is read from
the repository afterwards. Refuses a folder that holds anything.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from orchestra.cli.console import Tone, say, tell
from orchestra.cli.context import opened
from orchestra.cli.program import main, task
from orchestra.errors import ExitCode, GroundError, Shortfall, UsageError

if TYPE_CHECKING:
    from orchestra.fleet import Fleet

LANDS = ("schema", "auth", "health", "api")  # in this order
EVICTED = "tests"
_SAMPLE = Path(__file__).parents[1] / "_sample"
_BLUEPRINT = "blueprints/demo.yaml"
_PATIENCE_S = 60.0  # the scripted agents take about a second
_LOOK_AGAIN_S = 0.1


@task(help={"repo": "A folder to make the sample in; it must be empty or not exist. Default: a fresh temporary one."})
def demo(c: Context, repo: str | None = None) -> ExitCode:
    """Show the whole story on a made-up service with scripted agents; no key and no network needed.

    Five agents of the blueprint mvp5 get a place, do their work as scripts, are reviewed and merged: four land, in
    order, and one is sent back for a reason that its gate explains. Ends with 0 when it went as told, else with 1.
    Everything stays where it was made, to look around in.
    """
    folder = _empty_folder(repo)
    stage = _Stage(folder, folder / "orders-service", _command())
    stage.found()
    stage.give_places()
    stage.work()
    stage.judge()
    stage.land()
    return stage.close()


@dataclass(frozen=True)
class _Stage:
    """Where it plays: ``folder`` holds the service and the worktrees; ``command`` is what the person types."""

    folder: Path
    service: Path
    command: str

    @property
    def fleet(self) -> Fleet:
        return opened(str(self.service), _BLUEPRINT)

    def found(self) -> None:
        """A repository, and the blueprint for it."""
        from orchestra.engine import process
        from orchestra.git.git_process import environment

        tell_chapter("A sample service", f"{self.service}: TypeScript, and checks that need nothing but Python.")
        argv = [sys.executable, str(_SAMPLE / "found.py"), str(self.service)]
        done = process.capture(argv, env=environment())
        if done.code:
            raise GroundError(f"the sample service could not be made: {done.stderr.strip()}")
        os.chdir(self.service)
        say(f"{_BLUEPRINT}:")
        for line in Path(_BLUEPRINT).read_text(encoding="utf-8").splitlines():
            say(f"    {line}".rstrip(), Tone.QUIET)

    def give_places(self) -> None:
        """Spawn."""
        tell_chapter("Five agents get a place", "A branch and a worktree each, with their assignment in TASK.md.")
        self.type("spawn", f"--blueprint={_BLUEPRINT}")

    def work(self) -> None:
        """Start the agents, wait until they are done, show where they stand."""
        tell_chapter(
            "They work", "All at once. Here they are scripts; with mvp5 as it is, each is a Claude Code session."
        )
        self.type("start")
        self._await_agents()
        self.type("status")

    def judge(self) -> None:
        """Test and review one, approve all."""
        tell_chapter("You judge", f"One screen for each agent; here is that of {EVICTED}. Mind its key decision.")
        self.type("rebase-and-test", EVICTED)
        self.type("review", EVICTED)
        say()
        say("It is green and reads well, so let us be careless and approve all five, to see what the gates are for.")
        say()
        for agent in (*LANDS, EVICTED):
            self.type("approve", agent, apart=False)

    def land(self) -> None:
        """Merge; one of the five falls out."""
        tell_chapter("They land", "In order, each tested on top of those before it, exactly as it lands.")
        self.type("merge", expect=ExitCode.SHORT)
        self._explain_eviction()
        self.type("status")

    def _explain_eviction(self) -> None:
        say()
        say(f"Why {EVICTED} fell out, as the page says that the line above names:")
        for event in self.fleet.ledger.events("evicted", EVICTED)[-1:]:
            for line in Path(str(event.data["log"])).read_text(encoding="utf-8").splitlines():
                say(f"    {line}".rstrip(), Tone.BAD)
        say()
        say("On its own it was green, since there was no API yet. Neither diff shows the fault, and git sees no")
        say(
            "conflict: only the two together are wrong. The gate ran on exactly that, so it did not land; the rest did."
        )

    def close(self) -> ExitCode:
        """Where things are, what to type next; whether it went as told."""
        strayed = tuple(self._strayed())
        tell_chapter("Where things are")
        log = self.fleet.folder / "gates"
        for what, where in (("the service", self.service), ("the worktrees", self.folder / "worktrees"), ("logs", log)):
            say(f"  {what:14}{where}")
        here = f"cd {shlex.quote(str(self.service))}"
        message = "'An order is cancelled by PATCH with status cancelled; see openapi/openapi.yaml'"
        say()
        say("What to type next:")
        for words in (
            here,
            "git log --stat",
            f"{self.command} request-changes {EVICTED} --message {message}",
            f"{self.command} clean",
            f"rm -r {shlex.quote(str(self.folder))}        # when you have seen enough",
        ):
            say(f"  {words}")
        for sentence in strayed:
            tell(f"this did not go as told: {sentence}", Tone.BAD)
        return ExitCode.SHORT if strayed else ExitCode.DONE

    def type(self, *words: str, expect: ExitCode = ExitCode.DONE, apart: bool = True) -> None:
        """Type a command line, as a person in the service's folder would. Shortfall when it ends otherwise."""
        if apart:
            say()
        say(f"$ {self.command} {shlex.join(words)}", Tone.WAITING)
        sys.stdout.flush()
        code = _run(words)
        if code != expect:
            raise Shortfall(f"`{shlex.join(words)}` ended with {code}, not with {int(expect)} as the demo tells it")

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

    def _strayed(self) -> Iterable[str]:
        """What is otherwise than told, as sentences: read from the repository, not from what was printed."""
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


def tell_chapter(title: str, text: str = "") -> None:
    """A heading of the story."""
    say()
    say(f"== {title}")
    if text:
        say(text)


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
            f"{folder} is not an empty folder", hint="the demo makes its own repository, and touches no other"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _command() -> str:
    """What the person types to get here: the clone's ``./inv`` by its path, or the installed command."""
    started = Path(sys.argv[0])
    return shlex.quote(str(started.resolve().parent / "inv")) if started.name == "tasks.py" else "orchestra"
