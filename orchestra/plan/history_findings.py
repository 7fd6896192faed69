"""Find from history the paths that agents are likely to need beyond those that they may change.

Files that changed with files of an agent are likely to change with its work. Every figure is a count of commits.
Past commits say nothing about new folders, so an agent whose files do not exist yet gets no finding here. A file that
merges by rule (``merge.conflicts`` union or regenerate) is no hot file, since several agents may change it safely.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Blueprint
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import Claims, PathIndex, merge_by_rule
from orchestra.text import format_list

RELEASE_FILE = re.compile(
    r"(^|/)((change(s|log)|history|news|release(s|[-_]?notes)?|_{0,2}version_{0,2})(\.\w+)?"
    r"|(\.changeset|changelog\.d|changes\.d|newsfragments)/.*)$",
    re.IGNORECASE,
)
"""Change logs and version files: releases change them, so they do not show which files belong together."""
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
    released = frozenset(filter(RELEASE_FILE.search, owners))
    units = unowned_units(owners)
    owned: Counter[AgentName] = Counter()
    changed: Counter[str] = Counter()
    by_outsiders: Counter[tuple[str, frozenset[AgentName]]] = Counter()
    for commit in commits:
        present = [path for path in commit if path in owners and path not in released]
        touching_agents = _NO_AGENTS.union(*(owners[path] for path in present if path not in shared))
        owned.update(touching_agents)
        touched = {*present, *(units[path] for path in present if path in units)}
        changed.update(touched)
        by_outsiders.update(
            (path, outsiders) for path in touched if (outsiders := touching_agents - owners.get(path, _NO_AGENTS))
        )
    together: defaultdict[str, Counter[AgentName]] = defaultdict(Counter)
    for (path, agents), number in by_outsiders.items():
        together[path].update(dict.fromkeys(agents, number))
    demands = [
        PathDemand(path, changed[path], owners.get(path, _NO_AGENTS), likely)
        for path, counts in together.items()
        if (likely := _likely(counts, owned))
    ]
    return tuple(sorted(demands, key=lambda w: (-sum(candidate.together for candidate in w.likely), w.path)))


def unowned_units(owners: Mapping[str, frozenset[AgentName]]) -> dict[str, str]:
    """Return each file without owner, in a folder of such files -> the topmost such folder, with ``/``."""

    def folders(path: str) -> Iterable[str]:  # a/b/c -> a/, a/b/
        parts = path.split("/")[:-1]
        return ("/".join(parts[: count + 1]) + "/" for count in range(len(parts)))

    mixed = {folder for path, path_owners in owners.items() if path_owners for folder in folders(path)}
    units: dict[str, str] = {}
    for path in owners:
        top = next((folder for folder in folders(path) if folder not in mixed), None)
        if top is not None:
            units[path] = top
    return units


def _likely(counts: Mapping[AgentName, int], owned: Mapping[AgentName, int]) -> tuple[Likely, ...]:
    likely = [
        Likely(agent, number, owned[agent])
        for agent, number in counts.items()
        if number >= FEWEST_COMMITS and number >= LIKELY_SHARE * owned[agent]
    ]
    return tuple(sorted(likely, key=lambda candidate: (-candidate.together / candidate.agent_commits, candidate.agent)))


MOST = 10
"""Of each kind, the most likely first."""
_MOST_AGENTS = 4


def history_findings(
    blueprint: Blueprint, demands: Sequence[PathDemand], tree: Claims, index: PathIndex
) -> Iterator[Finding]:
    """Yield hot files, then paths outside every scope, then protected files that agents are likely to need."""
    harmless = index.of(merge_by_rule(blueprint.merge.conflicts))
    hot = [demand for demand in demands if _is_hot(demand, tree) and demand.path not in harmless]
    named = {demand.path for demand in hot}
    spoken_of = named | tree.protected
    outside = _topmost([demand for demand in demands if not demand.owners and demand.path not in spoken_of])
    needed = [demand for demand in demands if demand.path in tree.protected and not demand.owners]
    yield from (_hot(blueprint, demand) for demand in hot[:MOST])
    yield from (_outside(blueprint, demand, merges=demand.path in harmless) for demand in outside[:MOST])
    yield from (_needed(blueprint, demand) for demand in needed[:MOST])


def _is_hot(demand: PathDemand, tree: Claims) -> bool:
    if demand.path.endswith("/") or demand.path in tree.protected:
        return False
    # A file that several agents own is reported as an overlap of scopes.
    return len(demand.owners) == 1 or (not demand.owners and len(demand.likely) > 1)


def _topmost(demands: Sequence[PathDemand]) -> list[PathDemand]:
    """Return the demands without the files of folders that are listed as a whole."""
    folders = tuple(demand.path for demand in demands if demand.path.endswith("/"))
    return [demand for demand in demands if demand.path in folders or not demand.path.startswith(folders)]


def _hot(blueprint: Blueprint, demand: PathDemand) -> Finding:
    if demand.owners:
        owners = sorted(demand.owners)
        message = f"{demand.path} is in the scope of {format_list(owners)}, and changed in {_when(demand)}"
        advice = f"write in the other agents' tasks that {owners[0]} owns it and what they may rely on"
        key = ("agents", _number(blueprint, owners[0]), "scope")
    else:
        message = f"{demand.path} is outside all scopes, and changed in {_when(demand)}"
        first = _first(blueprint, demand)
        advice = (
            f"give it one owner: add it to the scope of {first}, which lands first, and mention that in the other tasks"
        )
        key = ("agents", _number(blueprint, first), "scope")
    severity = Severity.NOTE if demand.owners else Severity.WARNING
    agents = tuple(sorted({*demand.owners, *(likely.agent for likely in demand.likely)}))
    return Finding(severity, Code.HOT_FILE, message, advice, place(blueprint, *key), agents, (demand.path,))


def _outside(blueprint: Blueprint, demand: PathDemand, *, merges: bool) -> Finding:
    """Return the finding; ``merges``: a rule merges the changes of several agents, so that several may own it."""
    first = demand.likely[0].agent
    pattern = f"{demand.path}**" if demand.path.endswith("/") else demand.path
    if merges:
        advice = f"add it to the scope of each agent that is to write to it: `merge.conflicts` merges {pattern}"
    elif len(demand.likely) > 1:
        advice = f"give each its own part of {pattern}, or all of it to {first}; or write in the tasks that it stays"
    else:
        advice = (
            f"add the part of {pattern} that {first} needs to its scope, or write in its task that it stays unchanged"
        )
    return Finding(
        Severity.NOTE if merges else Severity.WARNING,
        Code.OUTSIDE_SCOPES,
        f"{pattern} is outside all scopes, and changed in {_when(demand)}",
        advice,
        place(blueprint, "agents", _number(blueprint, first), "scope"),
        tuple(likely.agent for likely in demand.likely),
        (demand.path,),
    )


def _needed(blueprint: Blueprint, demand: PathDemand) -> Finding:
    first = _first(blueprint, demand)
    before_others = ", which lands first" if len(demand.likely) > 1 else ""
    return Finding(
        Severity.NOTE,
        Code.PROTECTED_NEEDED,
        f"{demand.path} is protected and no agent may edit it, but it changed in {_when(demand)}",
        f"make the change before you spawn, or give it to one agent: `may_edit: [{demand.path}]` for "
        f"{first}{before_others}",
        place(blueprint, "agents", _number(blueprint, first), "may_edit"),
        tuple(likely.agent for likely in demand.likely),
        (demand.path,),
    )


def _when(demand: PathDemand) -> str:
    """Return ``3 of 9 commits on files of api and 2 of 6 commits on files of auth``."""
    shown = [
        f"{likely.together} of {likely.agent_commits} commits on files of {likely.agent}"
        for likely in demand.likely[:_MOST_AGENTS]
    ]
    uncounted = len(demand.likely) - len(shown)
    return format_list([*shown, *([f"those of {uncounted} more agents"] if uncounted else [])])


def _first(blueprint: Blueprint, demand: PathDemand) -> str:
    """Return the likely agent that lands first: later agents then start from its change instead of a conflict."""
    names = {likely.agent for likely in demand.likely}
    return next(name for name in blueprint.merge_order if name in names)


def _number(blueprint: Blueprint, name: str) -> int:
    return next(number for number, agent in enumerate(blueprint.agents) if agent.name == name)
