"""Estimate from history which paths the agents will change: files that changed together with files they own.

Every figure is a count of commits. Past commits say nothing about new folders, so an agent whose files do not exist
yet gets no finding here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName

FEWEST_COMMITS = 3
"""Fewer common commits may be chance."""
LIKELY_SHARE = 0.2
"""Share of the commits on an agent's files from which on the agent is likely to change the path too."""
_NO_AGENTS: frozenset[AgentName] = frozenset()


@dataclass(frozen=True, slots=True)
class Likely:
    """``agent`` is likely to change a path: ``together`` of the ``agent_commits`` commits on its files did."""

    agent: AgentName
    together: int
    agent_commits: int

    def __str__(self) -> str:
        return f"{self.agent} ({self.together} of {self.agent_commits} commits)"


@dataclass(frozen=True, slots=True)
class PathDemand:
    """A tracked file, or a folder (it ends with ``/``) without owned files, that agents are likely to change.

    ``owners`` may change it already; ``likely`` are others, the likeliest first. ``commits`` changed it.
    """

    path: str
    commits: int
    owners: frozenset[AgentName]
    likely: tuple[Likely, ...]


def path_demands(
    commits: Sequence[Collection[str]],
    owners: Mapping[str, frozenset[AgentName]],
    shared: Collection[str] = frozenset(),
) -> tuple[PathDemand, ...]:
    """Return every tracked path that an agent which does not own it is likely to change, the most likely first.

    ``owners`` has every tracked path -> the agents that may change it; deleted paths do not count. ``shared`` are
    paths that do not tell whose work a commit was: lock files, project settings.
    """
    units = unowned_units(owners)
    owned: Counter[AgentName] = Counter()
    changed: Counter[str] = Counter()
    together: Counter[tuple[str, frozenset[AgentName]]] = Counter()
    for commit in commits:
        present = [path for path in commit if path in owners]
        touching_agents = _NO_AGENTS.union(*(owners[path] for path in present if path not in shared))
        owned.update(touching_agents)
        touched = {*present, *(units[path] for path in present if path in units)}
        changed.update(touched)
        together.update(
            (path, outsiders) for path in touched if (outsiders := touching_agents - owners.get(path, _NO_AGENTS))
        )
    demands = [
        PathDemand(path, changed[path], owners.get(path, _NO_AGENTS), likely)
        for path, counts in _by_agent(together).items()
        if (likely := _likely(counts, owned))
    ]
    return tuple(sorted(demands, key=lambda w: (-sum(candidate.together for candidate in w.likely), w.path)))


def unowned_units(owners: Mapping[str, frozenset[AgentName]]) -> dict[str, str]:
    """Return each file without owner, in a folder of such files -> the topmost such folder, with
    ``/``."""
    mixed = {folder for path, path_owners in owners.items() if path_owners for folder in _folders(path)}
    units: dict[str, str] = {}
    for path in owners:
        top = next((folder for folder in _folders(path) if folder not in mixed), None)
        if top is not None:
            units[path] = top
    return units


def _folders(path: str) -> Iterable[str]:
    """Return ``a/b/c`` -> ``a/``, ``a/b/``."""
    parts = path.split("/")[:-1]
    return ("/".join(parts[: count + 1]) + "/" for count in range(len(parts)))


def _by_agent(together: Mapping[tuple[str, frozenset[AgentName]], int]) -> dict[str, Counter[AgentName]]:
    counts: defaultdict[str, Counter[AgentName]] = defaultdict(Counter)
    for (path, agents), number in together.items():
        for agent in agents:
            counts[path][agent] += number
    return counts


def _likely(counts: Mapping[AgentName, int], owned: Mapping[AgentName, int]) -> tuple[Likely, ...]:
    likely = [
        Likely(agent, number, owned[agent])
        for agent, number in counts.items()
        if number >= FEWEST_COMMITS and number >= LIKELY_SHARE * owned[agent]
    ]
    return tuple(sorted(likely, key=lambda candidate: (-candidate.together / candidate.agent_commits, candidate.agent)))
