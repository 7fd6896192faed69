"""Cost of durability: what an update of refs costs with and without syncing the file system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import git, make_repository, workplace
from timing import Case, compare

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, RefUpdate, update

TITLE = "Durability: syncing objects and refs"
UPDATES = 20


def measure(repeat: int) -> Iterator[Case]:
    """Move one ref to a new commit, ``UPDATES`` times; the file system is the one of the workplace."""
    with workplace() as folder:
        home = make_repository(folder / "main", 200)
        base = git(home, "rev-parse", "HEAD")
        yield compare(
            "a new commit and the move of a ref to it",
            "200 files",
            ("synced", partial(_updates, home, base, sync=True)),
            ("ORCHESTRA_NO_SYNC=1", partial(_updates, home, base, sync=False)),
            repeat,
        )


def _updates(home: Path, base: str, *, sync: bool) -> float:
    os.environ["ORCHESTRA_NO_SYNC"] = "" if sync else "1"
    door, ref = Git(home), RefName("refs/heads/durability")
    door.run("update-ref", "-d", ref)
    old, started = None, time.monotonic()
    for number in range(UPDATES):
        new = CommitId(door.text("commit-tree", "-p", base, "-m", str(number), f"{base}^{{tree}}"))
        update(door, [RefUpdate(ref, new, old)], reason="benchmark")
        old = new
    return (time.monotonic() - started) / UPDATES
