"""Count the git processes that code under test starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def recorded_git_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield a list that holds the arguments of each git process once the body has ended, without git's own children."""
    trace, processes = folder / "git-trace", list[str]()
    with monkeypatch.context() as patch:
        patch.setenv("GIT_TRACE2_EVENT", str(trace))
        yield processes
    starts = [line for line in trace.read_text("utf-8").splitlines() if '"event":"start"' in line]
    trace.unlink()
    own = (line for line in starts if "/" not in line.split('"sid":"')[1].split('"')[0])
    for line in own:
        words = json.loads(line)["argv"]
        processes.append(" ".join(word for at, word in enumerate(words) if "-c" not in words[max(0, at - 1) : at + 1]))
