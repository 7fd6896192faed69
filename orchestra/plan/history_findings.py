"""Findings from history: paths that agents are likely to need beyond those that they may change.

Each finding states the number of commits. A file that merges by rule (``merge.conflicts`` union or regenerate) is no
hot file, since several agents may change it safely. At most ``MOST`` findings of a kind are returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.blueprint.model import Blueprint
from orchestra.plan.change_history import PathDemand
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import Claims, PathIndex, merge_by_rule
from orchestra.text import format_list

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
    yield from (_outside(blueprint, demand) for demand in outside[:MOST])
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


def _outside(blueprint: Blueprint, demand: PathDemand) -> Finding:
    first = demand.likely[0].agent
    pattern = f"{demand.path}**" if demand.path.endswith("/") else demand.path
    if len(demand.likely) > 1:
        advice = f"give each its own part of {pattern}, or all of it to {first}; or write in the tasks that it stays"
    else:
        advice = (
            f"add the part of {pattern} that {first} needs to its scope, or write in its task that it stays unchanged"
        )
    return Finding(
        Severity.WARNING,
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
