"""What is kept of sessions on disk, below the fleet's folder, and how it is written.

    supervisor.json  supervisor.lock  supervisor.log     who runs the queue; the lock is held for its whole life
    control.lock                                         held while a session changes hands: queued, started, stopped
    limits.json  weather.json  clients.json              what start said; the back-off; what ``claude agents`` said
    agents/AGENT/order.json                              the session that is wanted next (queued)
    agents/AGENT/events.jsonl                            hook events, one O_APPEND write each
    agents/AGENT/settings.json  policy.json              for the client and its hooks
    agents/AGENT/runs/N/  order.json launch.json run.json prompt.txt out.log err.log record.json stop.json digest.json

Invariant: a file is whole or absent, whoever is killed when; what cannot be read counts as absent. Each value here is
a fact (somebody ordered, started, ended, stopped) or a digest of a run that is over, never a state.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine.process import Ending, ending
from orchestra.engine.process_tree import ProcessId
from orchestra.files import write_atomically
from orchestra.sessions.state import Digest, Stop, Usage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Order:
    """One session that is wanted: everything a runner needs, so that the supervisor needs no blueprint.

    ``argv`` and ``resume_argv`` (kind command) still hold the placeholders; ``env`` is laid over the supervisor's own.
    ``session_id`` names the client's session; ``resume`` says that it exists already.
    """

    id: str
    at: float
    agent: AgentName
    number: int
    kind: RunnerKind
    mode: RunnerMode
    home: str  # the main checkout
    worktree: str
    base: str  # the commit that the branch was cut from
    prompt: str
    session_id: str
    resume: bool = False
    argv: tuple[str, ...] = ()
    resume_argv: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    model: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    timeout_s: float | None = None
    attempt: int = 0  # how often it was queued again because the API or the machine refused it
    not_before: float = 0.0  # POSIX time


@dataclass(frozen=True, slots=True)
class Run:
    """A session that was started. ``cap_usd`` is what it may cost at most, None without a limit."""

    number: int
    started_at: float
    keeper: ProcessId
    mark: str
    cap_usd: float | None = None
    window: str = ""  # tmux: the target that attach takes
    heard: int = 0  # bytes of hook events before it: they belong to earlier runs


@dataclass(frozen=True, slots=True)
class Limits:
    """What the last ``start`` said about the whole fleet."""

    agents: int = 8
    budget_usd: float | None = None
    stagger_s: float = 1.0


class RunFolder:
    """One session's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = int(path.name)
        self.prompt, self.out, self.err = path / "prompt.txt", path / "out.log", path / "err.log"
        self.record = path / "record.json"

    @property
    def order(self) -> Order | None:
        return read_as(_order, self.path / "order.json")

    @property
    def mark(self) -> str | None:
        """Written before the process is started, so that it can be found whatever happens next."""
        return read_as(lambda launch: str(launch["mark"]), self.path / "launch.json")

    @property
    def run(self) -> Run | None:
        return read_as(
            lambda values: Run(**{**values, "keeper": ProcessId(**values["keeper"])}), self.path / "run.json"
        )

    @property
    def ending(self) -> Ending | None:
        return read_as(ending, self.record)

    @property
    def stop(self) -> Stop | None:
        return read_as(lambda values: Stop(**values), self.path / "stop.json")

    @property
    def digest(self) -> Digest | None:
        return read_as(
            lambda values: Digest(**{**values, "usage": Usage(**values["usage"])}), self.path / "digest.json"
        )

    def write(self, name: str, value: Any) -> None:
        """``name``: order, launch, run, stop or digest."""
        write_json(self.path / f"{name}.json", value)


class AgentFolder:
    """One agent's session files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = AgentName(path.name)
        self.order_file, self.events = path / "order.json", path / "events.jsonl"
        self.settings, self.policy = path / "settings.json", path / "policy.json"

    @property
    def order(self) -> Order | None:
        """What is queued."""
        return read_as(_order, self.order_file)

    @property
    def heard(self) -> int:
        """Bytes of hook events so far: what comes later stands behind them, whatever the clock does."""
        return self.events.stat().st_size if self.events.exists() else 0

    def queue(self, order: Order) -> None:
        write_json(self.order_file, order)

    def runs(self) -> list[RunFolder]:
        """Every session, oldest first."""
        try:
            names = [name for name in os.listdir(self.path / "runs") if name.isdigit()]  # noqa: PTH208 - names only
        except OSError:
            return []
        return [RunFolder(self.path / "runs" / name) for name in sorted(names, key=int)]

    def newest(self) -> RunFolder | None:
        """The last session that was ordered; a folder without an order is what a kill left, and nothing else."""
        return next((run for run in reversed(self.runs()) if (run.path / "order.json").exists()), None)

    def take(self, order: Order) -> RunFolder:
        """Make the queued ``order`` a run: one rename."""
        runs = self.runs()
        run = RunFolder(self.path / "runs" / str(runs[-1].number + 1 if runs else 1))
        run.path.mkdir(parents=True)
        run.prompt.write_text(order.prompt, "utf-8")
        self.order_file.replace(run.path / "order.json")
        return run


class FleetFolder:
    """The files of all sessions of a fleet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.supervisor_log = path / "supervisor.log"

    def agent(self, name: str) -> AgentFolder:
        return AgentFolder(self.path / "agents" / name)

    def agents(self) -> list[AgentFolder]:
        """Every agent with a folder, by name."""
        try:
            names = sorted(os.listdir(self.path / "agents"))  # noqa: PTH208
        except OSError:
            return []
        return [self.agent(name) for name in names]

    @property
    def limits(self) -> Limits:
        return read_as(lambda values: Limits(**values), self.path / "limits.json") or Limits()

    @property
    def supervisor(self) -> ProcessId | None:
        """Who runs the queue, alive or not."""
        return read_as(lambda values: ProcessId(**values), self.path / "supervisor.json")

    def write(self, name: str, value: Any) -> None:
        write_json(self.path / f"{name}.json", value)

    def read(self, name: str) -> dict[str, Any] | None:
        return read_json(self.path / f"{name}.json")

    @contextmanager
    def control(self) -> Iterator[None]:
        """Hold the fleet's sessions still: nothing is started, queued or stopped by anybody else meanwhile."""
        with self._flock("control.lock") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def supervising(self) -> Iterator[bool]:
        """Be the one supervisor while the body runs; False when there is one. The kernel frees a dead one's lock."""
        with self._flock("supervisor.lock") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _flock(self, name: str) -> Iterator[int]:
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield handle
        finally:
            os.close(handle)


def _order(values: dict[str, Any]) -> Order:
    typed = {"kind": RunnerKind(values["kind"]), "mode": RunnerMode(values["mode"])}
    lists = {name: tuple(values[name]) for name in ("argv", "resume_argv")}
    return Order(**{**values, **typed, **lists})


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None when there is no file, or nothing readable in it."""
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else None  # a pipe would hold us up
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_as(make: Callable[[dict[str, Any]], _T], path: Path) -> _T | None:
    """What ``make`` makes of the object in a file; None, too, for one of another shape, as of another version."""
    values = read_json(path)
    try:
        return make(values) if values is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    plain = value if isinstance(value, Mapping) else asdict(value)
    write_atomically(path, json.dumps(plain, indent=1, default=str) + "\n")
