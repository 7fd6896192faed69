"""What a rehearsal found red, for the merge that comes after it: believed once.

A pass is a fact about a tree. A red is one too, but it may also have been the machine's doing, and then it must not
stand in the way for long. So a red is kept by a rehearsal alone, where a gate said so itself as often as its retries
ask for (not by running out of time, which depends on the load), under the same key as a pass. The next merge takes
all of them at its beginning and leaves none behind, and the next rehearsal forgets them: ask again by either.

Invariant: a red is believed by at most one merge, also when that one is killed. Refuses: to keep what only a machine
said (signals, full disks, set-ups that fail), and what is a day old.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestra.files import write_atomically

_BELIEVED_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RehearsedFailure:
    """A gate failed on a tree, ``times`` times. Otherwise as ``results.Pass``; ``detail`` is what the run said."""

    key: str
    gate: str
    tree: str
    seconds: float
    at: float
    log: str
    detail: str = ""
    times: int = 1


class RehearsedFailures:
    """The reds of one repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keeps = False
        self._believed: dict[str, RehearsedFailure] = {}

    def begin(self, *, rehearsed: bool) -> None:
        """Start a train: a rehearsal tests again and stores what it finds; a merge uses what is stored."""
        self._keeps = rehearsed
        self._believed = {} if rehearsed else {red.key: red for red in map(_read, self._folder.glob("*.json")) if red}
        for path in self._folder.glob("*.json"):
            with suppress(OSError):
                path.unlink()

    def find(self, key: str, tree: str, retries: int) -> RehearsedFailure | None:
        """The red with that key on that tree, if it was asked as often as a gate with so many retries wants."""
        failure = self._believed.get(key)
        return failure if failure and failure.tree == tree and failure.times > retries else None

    def keep(self, red: RehearsedFailure) -> None:
        """Note one more red run of that key; nothing in a merge, which leaves none behind."""
        if self._keeps:
            path = self._folder / f"{red.key}.json"
            before = _read(path)
            write_atomically(path, json.dumps(asdict(replace(red, times=before.times + 1 if before else 1))) + "\n")


def _read(path: Path) -> RehearsedFailure | None:
    """One that is whole and not too old; a damaged one counts as absent."""
    try:
        failure = RehearsedFailure(**json.loads(path.read_text("utf-8")))
        return failure if time.time() - float(failure.at) < _BELIEVED_S and int(failure.times) > 0 else None
    except (OSError, ValueError, TypeError):
        return None
