"""Findings from history: what the agents are likely to want beyond what they may touch.

Invariant: pure; each finding says how many commits it rests on. A file that merges by rule (``merge.conflicts`` union
or regenerate) is no hot file, since several may touch it without harm. Refuses: more than ``MOST`` findings of a kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.blueprint.model import Blueprint
from orchestra.plan.change_history import Wanted
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.ownership import Claims, PathIndex, merge_by_rule

MOST = 10
"""Of each kind, the most wanted first; what comes after is wanted ever less."""
_MOST_AGENTS = 4


def history_findings(
    blueprint: Blueprint, wanted: Sequence[Wanted], tree: Claims, index: PathIndex
) -> Iterator[Finding]:
    """Hot files, then what is outside every scope, then protected files that agents will ask for."""
    harmless = index.of(merge_by_rule(blueprint.merge.conflicts))
    hot = [want for want in wanted if _is_hot(want, tree) and want.path not in harmless]
    named = {want.path for want in hot}
    spoken_of = named | tree.protected
    outside = _topmost([want for want in wanted if not want.owners and want.path not in spoken_of])
    needed = [want for want in wanted if want.path in tree.protected and not want.owners]
    yield from (_hot(blueprint, want) for want in hot[:MOST])
    yield from (_outside(blueprint, want) for want in outside[:MOST])
    yield from (_needed(blueprint, want) for want in needed[:MOST])


def _is_hot(want: Wanted, tree: Claims) -> bool:
    if want.path.endswith("/") or want.path in tree.protected:
        return False
    # What several own already is an overlap of scopes, which is told as that.
    return len(want.owners) == 1 or (not want.owners and len(want.likely) > 1)


def _topmost(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Without the files of folders that are there as a whole."""
    folders = tuple(want.path for want in wanted if want.path.endswith("/"))
    return [want for want in wanted if want.path in folders or not want.path.startswith(folders)]


def _hot(blueprint: Blueprint, want: Wanted) -> Finding:
    if want.owners:
        owners = sorted(want.owners)
        what = f"{want.path} is in the scope of {_and(owners)}, and was changed in {_when(want)}"
        advice = f"say in the others' tasks that {owners[0]} owns it, and what they may rely on there"
        key = ("agents", _number(blueprint, owners[0]), "scope")
    else:
        what = f"{want.path} is in nobody's scope, and was changed in {_when(want)}"
        first = _first(blueprint, want)
        advice = f"give it one owner: add it to the scope of {first}, who lands first, and say so in the others' tasks"
        key = ("agents", _number(blueprint, first), "scope")
    severity = Severity.NOTE if want.owners else Severity.WARNING
    agents = tuple(sorted({*want.owners, *(one.agent for one in want.likely)}))
    return Finding(severity, Code.HOT_FILE, what, advice, place(blueprint, *key), agents, (want.path,))


def _outside(blueprint: Blueprint, want: Wanted) -> Finding:
    first = want.likely[0].agent
    pattern = f"{want.path}**" if want.path.endswith("/") else want.path
    if len(want.likely) > 1:
        advice = f"give each its own part of {pattern}, or all of it to {first}, or say in the tasks that it stays"
    else:
        advice = f"add what {first} will need of {pattern} to its scope, or say in its task that it stays as it is"
    return Finding(
        Severity.WARNING,
        Code.OUTSIDE_SCOPES,
        f"{pattern} is in nobody's scope, and was changed in {_when(want)}",
        advice,
        place(blueprint, "agents", _number(blueprint, first), "scope"),
        tuple(one.agent for one in want.likely),
        (want.path,),
    )


def _needed(blueprint: Blueprint, want: Wanted) -> Finding:
    first = _first(blueprint, want)
    before_others = ", who lands first" if len(want.likely) > 1 else ""
    return Finding(
        Severity.NOTE,
        Code.PROTECTED_NEEDED,
        f"{want.path} is protected and nobody may edit it, but it was changed in {_when(want)}",
        f"make the change before you spawn, or give it to one agent: `may_edit: [{want.path}]` for "
        f"{first}{before_others}",
        place(blueprint, "agents", _number(blueprint, first), "may_edit"),
        tuple(one.agent for one in want.likely),
        (want.path,),
    )


def _when(want: Wanted) -> str:
    """``3 of 9 commits on files of api and 2 of 6 commits on files of auth``."""
    shown = [f"{one.together} of {one.own} commits on files of {one.agent}" for one in want.likely[:_MOST_AGENTS]]
    more = len(want.likely) - len(shown)
    return _and([*shown, *([f"those of {more} more agents"] if more else [])])


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _first(blueprint: Blueprint, want: Wanted) -> str:
    """Of the agents likely to touch it the one who lands first: later ones then meet its change, not a conflict."""
    names = {one.agent for one in want.likely}
    return next(name for name in blueprint.merge_order if name in names)


def _number(blueprint: Blueprint, name: str) -> int:
    return next(number for number, agent in enumerate(blueprint.agents) if agent.name == name)
