"""How many uncommitted files each worktree holds: the expensive part of a status, read within a time budget.

On a big repository one ``git status`` takes seconds, and a fleet has many worktrees. So status shows what it could look
at in its time, and of the rest the last known figure with its age; a live view goes round in the background.

Invariant: the file of figures (``trees.json`` of the fleet) is for showing. Nothing that could lose work rests on it:
clean, stop and merge look for themselves, and ``look_at_all`` never reads it. Refuses a figure from the future, which
says that a clock was set, and a file it cannot read or write: then nothing is known, and that is shown.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import OrchestraError
from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.review.branch_status import has_worktree, read_uncommitted

_AT_ONCE = 4
_REST_PER_LOOK = 66.0  # a background round takes 1.5 % of a core
_SHORTEST_REST_S, _LONGEST_REST_S = 0.05, 60.0


@dataclass(frozen=True, slots=True)
class DirtyFiles:
    """``files``: changed or untracked and not ignored, None: not known; ``at``: POSIX time of the look, None: never.

    ``there`` False: the worktree is gone, or git cannot read it. ``earlier``: the figure is not of this look.
    """

    files: int | None = None
    at: float | None = None
    there: bool = True
    earlier: bool = False

    def age_s(self, now: float) -> float | None:
        return None if self.at is None else max(0.0, now - self.at)


Trees = Mapping[AgentName, DirtyFiles]
Look = Callable[[Fleet, Sequence[Agent]], Trees]
"""How a status comes to its figures, for the agents that have a worktree."""


def look_at_all(fleet: Fleet, agents: Sequence[Agent]) -> Trees:
    """Every worktree, now, however long it takes."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(
            zip((agent.name for agent in agents), pool.map(lambda one: _look(fleet, one), agents), strict=True)
        )
    _remember(fleet, found)
    return found


def look_within(patience_s: float) -> Look:
    """As many as can be looked at in that time, in seconds, the oldest figures first; of the others what is known."""

    def look(fleet: Fleet, agents: Sequence[Agent]) -> Trees:
        deadline = time.monotonic() + patience_s
        known = _known(fleet)
        waiting = sorted(agents, key=lambda agent: known.get(agent.name, DirtyFiles()).at or -math.inf)
        done: queue.SimpleQueue[tuple[AgentName, DirtyFiles]] = queue.SimpleQueue()
        todo = iter(waiting)
        for _ in range(_AT_ONCE):
            # Daemons: what is still being read when the time is up is not waited for.
            threading.Thread(target=_work_off, args=(fleet, todo, done, deadline), daemon=True).start()
        fresh: dict[AgentName, DirtyFiles] = {}
        with suppress(queue.Empty):
            while len(fresh) < len(agents):
                name, tree = done.get(timeout=max(0.0, deadline - time.monotonic()))
                fresh[name] = tree
        _remember(fleet, fresh)
        return {agent.name: fresh.get(agent.name) or _seen(fleet, agent, known) for agent in agents}

    return look


_lock = threading.Lock()


def _work_off(
    fleet: Fleet, todo: Iterator[Agent], done: queue.SimpleQueue[tuple[AgentName, DirtyFiles]], deadline: float
) -> None:
    while time.monotonic() < deadline:
        with _lock:
            agent = next(todo, None)
        if agent is None:
            return
        done.put((agent.name, _look(fleet, agent)))


class BackgroundLooks:
    """Looks at one worktree after another in the background, for as long as the process lives; see ``__call__``."""

    def __init__(self) -> None:
        self._wanted: tuple[Fleet, Sequence[Agent]] | None = None
        self._found: dict[AgentName, DirtyFiles] = {}
        self._begun = False

    def __call__(self, fleet: Fleet, agents: Sequence[Agent]) -> Trees:
        """What is known by now; never waits."""
        self._wanted = fleet, tuple(agents)
        if not self._begun:
            self._begun = True
            self._found = dict(_known(fleet))
            threading.Thread(target=self._go_round, daemon=True).start()
        return {agent.name: _seen(fleet, agent, self._found) for agent in agents}

    def _go_round(self) -> None:
        while self._wanted is not None:
            fleet, agents = self._wanted
            oldest = min(agents, key=lambda one: self._found.get(one.name, DirtyFiles()).at or -math.inf, default=None)
            before = _cpu_s()
            if oldest is not None:
                self._found[oldest.name] = _look(fleet, oldest)
                _remember(fleet, {oldest.name: self._found[oldest.name]})
            cost = _REST_PER_LOOK * (_cpu_s() - before)
            time.sleep(min(_LONGEST_REST_S, max(_SHORTEST_REST_S, cost)))


def _cpu_s() -> float:
    """Of the git commands so far, which do nearly all of a look's work."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _look(fleet: Fleet, agent: Agent) -> DirtyFiles:
    found = read_uncommitted(fleet, agent)
    return DirtyFiles(at=time.time(), there=False) if found is None else DirtyFiles(len(found), time.time())


def _seen(fleet: Fleet, agent: Agent, known: Trees) -> DirtyFiles:
    """The last figure, if the worktree is still there; that is free to know."""
    if not has_worktree(fleet, agent):
        return DirtyFiles(at=time.time(), there=False)
    tree = known.get(agent.name)
    return replace(tree, earlier=True) if tree is not None else DirtyFiles()


def _known(fleet: Fleet) -> Trees:
    """The figures of earlier looks."""
    try:
        rows = json.loads((fleet.folder / "trees.json").read_bytes())
        read = {AgentName(name): DirtyFiles(int(row["files"]), float(row["at"])) for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}
    now = time.time()
    return {name: tree for name, tree in read.items() if tree.files is not None and _is_sane(tree, now)}


def _is_sane(tree: DirtyFiles, now: float) -> bool:
    return tree.files is not None and tree.files >= 0 and tree.at is not None and 0 <= tree.at <= now


def _remember(fleet: Fleet, found: Trees) -> None:
    """Two that write at once may lose one another's figures, which are looked at again then."""
    rows = {name: tree for name, tree in {**_known(fleet), **found}.items() if tree.files is not None}
    with suppress(OSError, OrchestraError):
        text = json.dumps({name: {"files": tree.files, "at": tree.at} for name, tree in rows.items()})
        if fleet.folder.is_dir():
            write_atomically(fleet.folder / "trees.json", text + "\n")
