"""What history says the agents will touch: files that were changed together with what they own.

Invariant: pure; every figure is a count of commits. Past commits say nothing about new folders, so that an agent
whose files do not exist yet gets no finding here. Refuses: reading git (``survey`` has), scope decisions (``scopes``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName

FEWEST_COMMITS = 3
"""Fewer commits together may be chance."""
LIKELY_SHARE = 0.2
"""Of the commits that touched what an agent owns: from here on it is likely that the agent will want the path too."""
_NOBODY: frozenset[AgentName] = frozenset()


@dataclass(frozen=True, slots=True)
class Likely:
    """``agent`` is likely to touch a path: ``together`` of the ``own`` commits on what the agent owns did."""

    agent: AgentName
    together: int
    own: int

    def __str__(self) -> str:
        return f"{self.agent} ({self.together} of {self.own} commits)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tracked file, or a folder (it ends with ``/``) of which nobody owns anything, and who is likely to touch it.

    ``owners`` may touch it already; ``likely`` are others, the likeliest first. ``commits`` changed it.
    """

    path: str
    commits: int
    owners: frozenset[AgentName]
    likely: tuple[Likely, ...]


def wanted_paths(
    commits: Sequence[Collection[str]],
    owners: Mapping[str, frozenset[AgentName]],
    shared: Collection[str] = frozenset(),
) -> tuple[Wanted, ...]:
    """Every tracked path that somebody who does not own it is likely to touch, the most wanted first.

    ``owners`` has every tracked path -> the agents who may touch it; paths that are gone do not count. ``shared`` are
    paths that say nothing of whose work a commit was, whoever owns them: lock files, project settings.
    """
    units = unowned_units(owners)
    owned: Counter[AgentName] = Counter()
    changed: Counter[str] = Counter()
    together: Counter[tuple[str, frozenset[AgentName]]] = Counter()
    for commit in commits:
        present = [path for path in commit if path in owners]
        everybody = _NOBODY.union(*(owners[path] for path in present if path not in shared))
        owned.update(everybody)
        touched = {*present, *(units[path] for path in present if path in units)}
        changed.update(touched)
        together.update((path, others) for path in touched if (others := everybody - owners.get(path, _NOBODY)))
    found = [
        Wanted(path, changed[path], owners.get(path, _NOBODY), likely)
        for path, counts in _by_agent(together).items()
        if (likely := _likely(counts, owned))
    ]
    return tuple(sorted(found, key=lambda w: (-sum(one.together for one in w.likely), w.path)))


def unowned_units(owners: Mapping[str, frozenset[AgentName]]) -> dict[str, str]:
    """Each file that nobody owns and that lies in a folder of such files -> the topmost such folder, with ``/``."""
    mixed = {folder for path, who in owners.items() if who for folder in _folders(path)}
    units: dict[str, str] = {}
    for path in owners:
        top = next((folder for folder in _folders(path) if folder not in mixed), None)
        if top is not None:
            units[path] = top
    return units


def _folders(path: str) -> Iterable[str]:
    """``a/b/c`` -> ``a/``, ``a/b/``."""
    parts = path.split("/")[:-1]
    return ("/".join(parts[: count + 1]) + "/" for count in range(len(parts)))


def _by_agent(together: Mapping[tuple[str, frozenset[AgentName]], int]) -> dict[str, Counter[AgentName]]:
    counts: defaultdict[str, Counter[AgentName]] = defaultdict(Counter)
    for (path, others), number in together.items():
        for agent in others:
            counts[path][agent] += number
    return counts


def _likely(counts: Mapping[AgentName, int], owned: Mapping[AgentName, int]) -> tuple[Likely, ...]:
    found = [
        Likely(agent, number, owned[agent])
        for agent, number in counts.items()
        if number >= FEWEST_COMMITS and number >= LIKELY_SHARE * owned[agent]
    ]
    return tuple(sorted(found, key=lambda one: (-one.together / one.own, one.agent)))
