"""Results of gates that are kept for later runs: passes for good, failures of a rehearsal for one merge.

A pass is a fact about a tree, so it holds for every candidate with that tree. A failure may have been the machine's
fault. So only a rehearsal keeps failures, where the gate itself failed (no timeout, signal or full disk). The next
merge takes all of them when it starts and leaves none behind, also when it is killed; the next rehearsal deletes them.

Each result is one file that is written whole; a damaged one counts as absent. Deleting the folder costs only time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from orchestra.files import read_regular, write_atomically
from orchestra.git.refs import CommitId
from orchestra.ledger import Ledger

_LONGEST_FAILURE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class GatePass:
    """A gate passed on a tree. ``seconds`` is how long it took, ``at`` a POSIX timestamp, ``log`` its log file."""

    key: str
    gate: str
    tree: str
    seconds: float
    at: float
    log: str


@dataclass(frozen=True, slots=True)
class RehearsedFailure(GatePass):
    """A gate failed on a tree, ``times`` times; ``detail`` and ``failed_tests`` are those of the last run.

    A failed test is its name, file and message.
    """

    detail: str = ""
    times: int = 1
    failed_tests: Sequence[Sequence[str]] = ()


Result = TypeVar("Result", bound=GatePass)


class PassCache:
    """The passes of one repository, by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, tree: str) -> GatePass | None:
        """Return the pass with that key on that tree, or None."""
        path = self._folder / f"{key}.json"
        result = _read(path, GatePass)
        if result is None or (result.key, result.tree) != (key, tree):
            return None
        with suppress(OSError):  # mark it as used
            os.utime(path)
        return result

    def keep(self, result: GatePass) -> None:
        _write(self._folder, result)


class RehearsedFailures:
    """The failures of one repository that the last rehearsal found."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rehearsed = False
        self._known: dict[str, RehearsedFailure] = {}

    def begin(self, *, rehearsed: bool) -> None:
        """Start a train: a rehearsal tests again and stores what it finds; a merge uses what is stored."""
        self._rehearsed = rehearsed
        paths = list(self._folder.glob("*.json"))
        failures = () if rehearsed else (_read(path, RehearsedFailure) for path in paths)
        self._known = {failure.key: failure for failure in failures if failure is not None}
        for path in paths:
            with suppress(OSError):
                path.unlink()

    def find(self, key: str, tree: str, retries: int) -> RehearsedFailure | None:
        """Return the failure with that key on that tree, if the gate ran as often as its ``retries`` require."""
        failure = self._known.get(key)
        if failure is None or failure.tree != tree or failure.times <= retries:
            return None
        return failure if time.time() - failure.at < _LONGEST_FAILURE_S else None

    def keep(self, failure: RehearsedFailure) -> None:
        """Count one more failure of that key; a merge keeps none."""
        if self._rehearsed:
            before = _read(self._folder / f"{failure.key}.json", RehearsedFailure)
            _write(self._folder, replace(failure, times=before.times + 1 if before else 1))


def _read(path: Path, kind: type[Result]) -> Result | None:
    try:
        result = kind(**json.loads(read_regular(path) or b"null"))
    except (ValueError, TypeError, RecursionError):
        return None
    is_sound = isinstance(result.at, int | float)
    if isinstance(result, RehearsedFailure):
        is_sound = is_sound and isinstance(result.times, int) and _are_texts(result.failed_tests)
    return result if is_sound else None


def _are_texts(rows: object) -> bool:
    """Return whether these are failed tests as they are stored: name, file and message of each."""
    if not isinstance(rows, list | tuple):
        return False
    return all(isinstance(row, list) and [type(text) for text in row] == [str, str, str] for row in rows)


def _write(folder: Path, result: GatePass) -> None:
    write_atomically(folder / f"{result.key}.json", json.dumps(asdict(result)) + "\n")


def list_passes(folder: Path) -> list[GatePass]:
    """Return the passes that are kept in the ``gates`` folder of a repository, by gate and newest first."""
    passes = (_read(path, GatePass) for path in (folder / "results").glob("*.json"))
    return sorted(filter(None, passes), key=lambda each: (each.gate, -each.at))


def delete_results(folder: Path, gate: str | None) -> int:
    """Delete the passes and rehearsed failures of ``gate``, or all; return how many there were."""
    deleted = 0
    for path in (*(folder / "results").glob("*.json"), *(folder / "reds").glob("*.json")):
        result = _read(path, RehearsedFailure if path.parent.name == "reds" else GatePass)
        if gate is None or (result is not None and result.gate == gate):
            with suppress(FileNotFoundError):
                path.unlink()
                deleted += 1
    return deleted


def forget_unused(folder: Path, days: float = 30.0) -> None:
    """Delete the files of ``folder`` that were not written or used for that long."""
    border = time.time() - days * 86_400
    for path in folder.glob("*"):
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < border:
                path.unlink()


def past_durations(ledger: Ledger) -> dict[str, list[float]]:
    """Return gate -> how many seconds each of its recorded passes took."""
    durations: dict[str, list[float]] = {}
    for event in ledger.events("gate"):
        gate, seconds = event.data.get("gate"), event.data.get("seconds")
        if isinstance(gate, str) and isinstance(seconds, int | float) and event.data.get("outcome") == "passed":
            durations.setdefault(gate, []).append(float(seconds))
    return durations


def new_log_path(folder: Path, commit: CommitId, gate: str) -> Path:
    """Return the first free path ``<commit>.<gate>.<n>.log`` in ``folder``, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"{commit[:12]}.{gate}.{number}.log").exists():
        number += 1
    return path
