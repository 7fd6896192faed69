"""Find the tracked folders and files that an agent may not change, as few as possible.

A program with a sandbox or permissions of its own gets them as paths: it knows neither scopes nor git's patterns. New
files outside every tracked folder stay possible, since builds and tests write theirs; the scope gate judges them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from pathlib import PurePosixPath

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import is_literal
from orchestra.blueprint.scope_overlap import OverlapUndecided, overlap

_MOST = 200  # paths: each is a mount of the sandbox


def closed_paths(
    tracked: Collection[str], is_open: Callable[[str], bool], scope: Scope | None, may_edit: Collection[str]
) -> list[str]:
    """Return the tracked paths that are closed, the shallowest first, at most 200.

    ``is_open``: whether the agent may change that file. A folder is closed as a whole where ``scope`` (None:
    everything) and ``may_edit`` match no path below it, not even of a file that does not exist yet.
    """
    editable = [scope or Scope(("**",)), *([Scope(tuple(may_edit))] if may_edit else [])]
    closed: list[str] = []
    folders = deque([("", sorted(tracked))])
    while folders and len(closed) < _MOST:
        parent, names = folders.popleft()
        children: dict[str, list[str]] = {}
        for name in names:
            rest = name.removeprefix(parent)
            children.setdefault(parent + rest.partition("/")[0] + "/" * ("/" in rest), []).append(name)
        for child, below in children.items():
            if not child.endswith("/"):
                closed += [] if is_open(child) else [child]
            elif _may_hold(child, editable):
                folders.append((child, below))
            else:
                closed.append(child.rstrip("/"))
    return sorted(closed[:_MOST], key=lambda name: (len(PurePosixPath(name).parts), name))


def _may_hold(folder: str, editable: Collection[Scope]) -> bool:
    if not is_literal(folder):
        return True
    below = Scope((f"{folder}**",))
    try:
        return any(overlap(below, scope) is not None for scope in editable)
    except OverlapUndecided:
        return True
