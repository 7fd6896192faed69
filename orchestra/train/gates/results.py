"""Gate results that are kept: a pass is a fact about a tree, so it holds for every candidate with that tree.

Invariant: only passes are kept, each in one file that is written whole or not at all and says itself what it is about;
a damaged or foreign one counts as absent. Red and interrupted runs are never kept: they are run again. Deleting the
folder costs time and nothing else.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.fleet import write_atomically


@dataclass(frozen=True, slots=True)
class Pass:
    """A gate passed on a tree. ``seconds`` is how long it took, ``at`` a POSIX timestamp, ``log`` where it was told."""

    key: str
    gate: str
    tree: str
    seconds: float
    at: float
    log: str


class Results:
    """The passes of one repository, by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, tree: str) -> Pass | None:
        """The pass with that key on that tree, or None."""
        try:
            found = Pass(**json.loads((self._folder / f"{key}.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if (found.key, found.tree) == (key, tree) else None

    def keep(self, found: Pass) -> None:
        write_atomically(self._folder / f"{found.key}.json", json.dumps(asdict(found)) + "\n")

    def forget_older_than(self, days: float) -> None:
        """Drop what nobody has used for so long; a pass that is used again is kept anew."""
        border = time.time() - days * 86_400
        for path in self._folder.glob("*.json"):
            if path.stat().st_mtime < border:
                path.unlink(missing_ok=True)
