"""How many uncommitted files each worktree holds: the expensive part of a status, read within a time budget.

On a big repository one ``git status`` takes seconds, and a fleet has many worktrees. So status shows what it could look
at in its time, and of the others the last known figure with its age; a live view looks in the background.

Invariant: the file of figures (``trees.json`` of the fleet) is only for display. Clean, stop and merge look for
themselves, and ``look_at_all`` never reads it. A file that cannot be read and figures from the future count as absent.
"""

from __future__ import annotations

import json
import math
import queue
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import OrchestraError
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.review.branch_status import read_uncommitted

_AT_ONCE = 4
_REST_PER_LOOK = 66.0  # a background round takes 1.5 % of a core
_SHORTEST_REST_S, _LONGEST_REST_S = 0.05, 60.0


@dataclass(frozen=True, slots=True)
class DirtyFiles:
    """``files``: changed or untracked and not ignored, None: not known; ``at``: POSIX time of the look, None: never.

    ``there`` False: the worktree is missing, or git cannot read it. ``earlier``: the figure is not of this look.
    """

    files: int | None = None
    at: float | None = None
    there: bool = True
    earlier: bool = False

    def age_s(self, now: float) -> float | None:
        return None if self.at is None else max(0.0, now - self.at)


Trees = Mapping[AgentName, DirtyFiles]
Look = Callable[[Fleet, Sequence[Agent]], Trees]
"""Read the figures of the agents that have a worktree."""


def look_at_all(fleet: Fleet, agents: Sequence[Agent]) -> Trees:
    """Read every worktree now, however long it takes."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        looks = list(pool.map(lambda agent: _look(fleet, agent), agents))
    trees = {agent.name: tree for agent, tree in zip(agents, looks, strict=True)}
    _write_known(fleet, trees)
    return trees


def look_within(patience_s: float) -> Look:
    """Return a look at as many as ``patience_s`` allows, the oldest figures first; the others as last known."""

    def look(fleet: Fleet, agents: Sequence[Agent]) -> Trees:
        deadline = time.monotonic() + patience_s
        known = _read_known(fleet)
        waiting: queue.SimpleQueue[Agent] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[AgentName, DirtyFiles]] = queue.SimpleQueue()
        for agent in sorted(agents, key=lambda agent: known.get(agent.name, DirtyFiles()).at or -math.inf):
            waiting.put(agent)

        def work() -> None:
            with suppress(queue.Empty):
                while time.monotonic() < deadline:
                    agent = waiting.get_nowait()
                    done.put((agent.name, _look(fleet, agent)))

        for _ in range(_AT_ONCE):
            threading.Thread(target=work, daemon=True).start()  # not waited for when the time is up
        fresh: dict[AgentName, DirtyFiles] = {}
        with suppress(queue.Empty):
            while len(fresh) < len(agents):
                name, tree = done.get(timeout=max(0.0, deadline - time.monotonic()))
                fresh[name] = tree
        _write_known(fleet, fresh)
        return {agent.name: fresh.get(agent.name) or _last_known(fleet, agent, known) for agent in agents}

    return look


class BackgroundLooks:
    """Looks at one worktree after another in the background, for as long as the process lives."""

    def __init__(self) -> None:
        self._request: tuple[Fleet, Sequence[Agent]] | None = None
        self._known: dict[AgentName, DirtyFiles] = {}

    def __call__(self, fleet: Fleet, agents: Sequence[Agent]) -> Trees:
        """Return what is known by now; never wait."""
        is_first, self._request = self._request is None, (fleet, tuple(agents))
        if is_first:
            self._known = dict(_read_known(fleet))
            threading.Thread(target=self._go_round, daemon=True).start()
        return {agent.name: _last_known(fleet, agent, self._known) for agent in agents}

    def _go_round(self) -> None:
        while (request := self._request) is not None:
            fleet, agents = request
            oldest = min(agents, key=lambda one: self._known.get(one.name, DirtyFiles()).at or -math.inf, default=None)
            before = _git_cpu_s()
            if oldest is not None:
                self._known[oldest.name] = _look(fleet, oldest)
                _write_known(fleet, {oldest.name: self._known[oldest.name]})
            cost = _REST_PER_LOOK * (_git_cpu_s() - before)
            time.sleep(min(_LONGEST_REST_S, max(_SHORTEST_REST_S, cost)))


def _git_cpu_s() -> float:
    """Return the CPU seconds of the git commands so far, which do nearly all of a look's work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _look(fleet: Fleet, agent: Agent) -> DirtyFiles:
    paths = read_uncommitted(fleet, agent)
    return DirtyFiles(at=time.time(), there=False) if paths is None else DirtyFiles(len(paths), time.time())


def _last_known(fleet: Fleet, agent: Agent, known: Trees) -> DirtyFiles:
    """Return the last figure if the worktree still exists, which costs no git process to know."""
    if not fleet.has_worktree(agent):
        return DirtyFiles(at=time.time(), there=False)
    tree = known.get(agent.name)
    return replace(tree, earlier=True) if tree is not None else DirtyFiles()


def _read_known(fleet: Fleet) -> Trees:
    """Return the figures of earlier looks."""
    now = time.time()
    try:
        rows = json.loads(read_regular(fleet.folder / "trees.json") or b"null")
        figures = {AgentName(name): (int(row["files"]), float(row["at"])) for name, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return {name: DirtyFiles(files, at) for name, (files, at) in figures.items() if files >= 0 and 0 <= at <= now}


def _write_known(fleet: Fleet, trees: Trees) -> None:
    """Add figures to the file. Two writers at once may lose each other's figures, which are then read again."""
    rows = {name: tree for name, tree in {**_read_known(fleet), **trees}.items() if tree.files is not None}
    with suppress(OSError, OrchestraError):
        text = json.dumps({name: {"files": tree.files, "at": tree.at} for name, tree in rows.items()})
        if fleet.folder.is_dir():
            write_atomically(fleet.folder / "trees.json", text + "\n")
