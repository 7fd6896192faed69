"""Gate results that are kept: a pass is a fact about a tree, so it holds for every candidate with that tree.

Invariant: only passes are kept here, each in one file that is written whole or not at all and says itself what it is
about; a damaged or foreign one counts as absent. Interrupted runs are never kept, red ones only by ``reds``. Deleting
the folder costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.files import write_atomically
from orchestra.git.refs import CommitId
from orchestra.ledger import Ledger


@dataclass(frozen=True, slots=True)
class GatePass:
    """A gate passed on a tree. ``seconds`` is how long it took, ``at`` a POSIX timestamp, ``log`` its log file."""

    key: str
    gate: str
    tree: str
    seconds: float
    at: float
    log: str


class PassCache:
    """The passes of one repository, by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, tree: str) -> GatePass | None:
        """The pass with that key on that tree, or None."""
        path = self._folder / f"{key}.json"
        try:
            found = GatePass(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if (found.key, found.tree) != (key, tree):
            return None
        with suppress(OSError):  # it has just been of use
            os.utime(path)
        return found

    def keep(self, found: GatePass) -> None:
        write_atomically(self._folder / f"{found.key}.json", json.dumps(asdict(found)) + "\n")


def forget_unused(folder: Path, days: float = 30.0) -> None:
    """Delete the files of ``folder`` that have not been written or used for so long."""
    border = time.time() - days * 86_400
    for path in folder.glob("*"):
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < border:
                path.unlink()


def past_durations(ledger: Ledger) -> dict[str, list[float]]:
    """Gate -> how many seconds its passes took before, as the ledger remembers."""
    found: dict[str, list[float]] = {}
    for event in ledger.events("gate"):
        gate, seconds = event.data.get("gate"), event.data.get("seconds")
        if isinstance(gate, str) and isinstance(seconds, int | float) and event.data.get("outcome") == "passed":
            found.setdefault(gate, []).append(float(seconds))
    return found


def new_log_path(folder: Path, commit: CommitId, gate: str) -> Path:
    """Where a run writes: ``<commit>.<gate>.<n>.log`` in ``folder``, which is made; never a log that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"{commit[:12]}.{gate}.{number}.log").exists():
        number += 1
    return path
