"""The session files of a fleet, below its folder, and how they are written.

    supervisor.json  supervisor.lock  supervisor.log     works off the queue; holds the lock for its whole life
    control.lock                                         held while a session is queued, started or stopped
    limits.json  backoff.json  clients.json              set by start; the API back-off; the answer of ``claude agents``
    waiting.json                                         the agents whose windows wait for a person
    agents/AGENT/request.json                            the session that is to be started next (queued)
    agents/AGENT/events.jsonl                            hook events, one O_APPEND write each
    agents/AGENT/settings.json  policy.json              for the client and its hooks
    agents/AGENT/runs/N/  request.json launch.json run.json prompt.txt out.log err.log record.json stop.json result.json
                          loop.json screen.json          how a program is sent back; the tmux window of kind command
                          busy.json                      the last refusal of the API, which the program retries
                          cost.json                      of the client in a window: what it reported (window_line.py)

Invariant: a file is whole or absent, whatever is killed when; a file that cannot be read counts as absent. Each file
records a fact (requested, started, ended, stopped) or sums up a run that is over; none holds a state.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from orchestra.blueprint.model import AgentName, RunnerKind, RunnerMode
from orchestra.engine.job import Ending
from orchestra.engine.process import ending
from orchestra.engine.process_tree import ProcessId
from orchestra.files import read_regular, write_atomically
from orchestra.sessions.state import Busy, SessionResult, Stop, Usage

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*")  # as in schemas/blueprint.schema.json
_NUMBER = re.compile(r"[0-9]{1,9}")
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool, "None": type(None)}
_LONGEST = 64 << 20  # bytes of a JSON file; a longer one counts as absent


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A session to start: all that a runner needs, so that the supervisor needs no blueprint.

    ``argv`` and ``resume_argv`` (kind command) still hold the placeholders; ``env`` is added to the supervisor's own
    environment. ``session_id`` names the client's session; ``resume``: it exists already.
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
    waiting: str | None = None  # kind command in tmux: a pattern of the text at which it waits for a person
    attempt: int = 0  # how often it was queued again because the API refused it
    not_before: float = 0.0  # POSIX time


@dataclass(frozen=True, slots=True)
class Run:
    """A session that was started. ``cap_usd``: its cost limit in US dollars, None without one."""

    number: int
    started_at: float
    keeper: ProcessId
    mark: str
    cap_usd: float | None = None
    window: str = ""  # tmux: the target that attach takes
    events_before: int = 0  # bytes of hook events from earlier runs


@dataclass(frozen=True, slots=True)
class Screen:
    """A tmux window of kind command. ``active_at``: when its text last changed; ``asks``: its line that waits for an
    answer, empty for none."""

    active_at: float
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The fleet's limits, as of the last ``orchestra start``."""

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
    def request(self) -> SessionRequest | None:
        return read_as(_request, self.path / "request.json")

    @property
    def mark(self) -> str | None:
        """The mark of its processes, on disk before the process exists, so that it can always be found."""
        return read_as(lambda launch: str(launch["mark"]), self.path / "launch.json")

    @property
    def run(self) -> Run | None:
        return read_as(_run, self.path / "run.json")

    @property
    def ending(self) -> Ending | None:
        return read_as(lambda values: typed(Ending, asdict(ending(values))), self.record)

    @property
    def stop(self) -> Stop | None:
        return read_as(lambda values: typed(Stop, values), self.path / "stop.json")

    @property
    def screen(self) -> Screen | None:
        return read_as(lambda values: typed(Screen, values), self.path / "screen.json")

    @property
    def busy(self) -> Busy | None:
        return read_as(lambda values: typed(Busy, values), self.path / "busy.json")

    @property
    def result(self) -> SessionResult | None:
        return read_as(_result, self.path / "result.json")

    def write(self, name: str, value: Any) -> None:
        """Write one of the run's files: request, launch, run, screen, busy, stop or result."""
        write_json(self.path / f"{name}.json", value)


class AgentFolder:
    """One agent's session files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = AgentName(path.name)
        self.request_file, self.events = path / "request.json", path / "events.jsonl"
        self.settings, self.policy = path / "settings.json", path / "policy.json"

    @property
    def request(self) -> SessionRequest | None:
        """The queued session, if any; None for one that was copied here from another agent."""
        request = read_as(_request, self.request_file)
        return request if request is not None and request.agent == self.name else None

    @property
    def events_size(self) -> int:
        """Bytes of hook events so far: later events come after them, whatever the clock does."""
        try:
            return self.events.lstat().st_size
        except OSError:
            return 0

    def queue(self, request: SessionRequest) -> None:
        write_json(self.request_file, request)

    def runs(self) -> list[RunFolder]:
        """Return every session, oldest first."""
        try:
            names = [name for name in os.listdir(self.path / "runs") if _NUMBER.fullmatch(name)]  # noqa: PTH208
        except OSError:
            return []
        return [RunFolder(self.path / "runs" / name) for name in sorted(names, key=int)]

    def newest(self) -> RunFolder | None:
        """Return the last run. A folder without a request is what a kill left behind, not a run."""
        return next((run for run in reversed(self.runs()) if os.path.exists(run.path / "request.json")), None)  # noqa: PTH110

    def error(self) -> str:
        """Return why the session files cannot be read; empty when they can, or do not exist."""
        for folder in (self.path, self.path / "runs"):
            try:
                os.listdir(folder)  # noqa: PTH208
            except (FileNotFoundError, NotADirectoryError):
                return ""
            except OSError as error:
                return f"{error.strerror}: {folder}"
        return ""

    def take(self, request: SessionRequest) -> RunFolder:
        """Turn the queued ``request`` into a run, by one rename."""
        runs = self.runs()
        run = RunFolder(self.path / "runs" / str(runs[-1].number + 1 if runs else 1))
        run.path.mkdir(parents=True)
        run.prompt.write_text(request.prompt, "utf-8")
        self.request_file.replace(run.path / "request.json")
        return run


class FleetFolder:
    """The files of all sessions of a fleet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.supervisor_log = path / "supervisor.log"

    def agent(self, name: str) -> AgentFolder:
        return AgentFolder(self.path / "agents" / name)

    def agents(self) -> list[AgentFolder]:
        """Return every agent that has a folder, by name; what else is there does not belong to orchestra."""
        try:
            with os.scandir(self.path / "agents") as entries:
                names = [e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return [self.agent(name) for name in sorted(names)]

    @property
    def limits(self) -> Limits:
        return read_as(lambda values: typed(Limits, values), self.path / "limits.json") or Limits()

    @property
    def supervisor(self) -> ProcessId | None:
        """The process that works off the queue, or the last one that did."""
        return read_as(lambda values: typed(ProcessId, values), self.path / "supervisor.json")

    def write(self, name: str, value: Any) -> None:
        write_json(self.path / f"{name}.json", value)

    def read(self, name: str) -> dict[str, Any] | None:
        return read_json(self.path / f"{name}.json")

    @contextmanager
    def control(self) -> Iterator[None]:
        """Hold the control lock: no other process starts, queues or stops a session of the fleet meanwhile."""
        with self._flock("control.lock") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def supervising(self) -> Iterator[bool]:
        """Hold the supervisor's lock; yields False when another process has it. The kernel frees a dead one's lock."""
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


def _request(values: dict[str, Any]) -> SessionRequest:
    enums = {"kind": RunnerKind(values["kind"]), "mode": RunnerMode(values["mode"])}
    lists = {name: tuple(map(str, values[name])) for name in ("argv", "resume_argv")}
    env = None if values.get("env") is None else {str(name): str(value) for name, value in values["env"].items()}
    return typed(SessionRequest, {**values, **enums, **lists, "env": env})


def _run(values: dict[str, Any]) -> Run:
    return typed(Run, {**values, "keeper": typed(ProcessId, values["keeper"])})


def _result(values: dict[str, Any]) -> SessionResult:
    return typed(SessionResult, {**values, "usage": typed(Usage, values["usage"])})


def typed(make: Callable[..., _T], values: Mapping[str, Any]) -> _T:
    """Build the dataclass ``make`` from JSON; raises TypeError for a value of another type than declared, or NaN."""
    value = make(**values)
    for field in fields(value):  # type: ignore[arg-type]
        names = str(field.type).split(" | ")
        content = getattr(value, field.name)
        is_wrong = all(name in _TYPES for name in names) and not any(isinstance(content, _TYPES[n]) for n in names)
        if is_wrong or (isinstance(content, float) and not math.isfinite(content)):
            raise TypeError(f"{field.name} must be {field.type}")
    return value


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None when it is missing or unreadable."""
    try:
        value = json.loads(read_regular(path, most=_LONGEST) or b"null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_as(make: Callable[[dict[str, Any]], _T], path: Path) -> _T | None:
    """Return ``make(object in the file)``; None for a missing file and for another shape, as of another version."""
    values = read_json(path)
    try:
        return make(values) if values is not None else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON object atomically."""
    plain = value if isinstance(value, Mapping) else asdict(value)
    write_atomically(path, json.dumps(plain, indent=1, default=str) + "\n")
