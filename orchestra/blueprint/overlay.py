"""Merge one tree over another, by the rules that ``extends`` and ``from`` share.

Maps merge deep (the lower one's keys first), lists replace unless tagged ``!append``, null deletes. The total work of
one blueprint is bounded, since lists could double at each level.
"""

from __future__ import annotations

from typing import Final

from orchestra.blueprint.model import Origin
from orchestra.blueprint.problems import problem
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Node, Scalar, count, kind, map_inside
from orchestra.errors import Problem

MAX_MERGED: Final = 200_000
"""Values visited by all merges of one blueprint; fifty agents with profiles need about 10,000."""


class Layers:
    """Merges trees; what cannot be merged is added to ``problems``."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        self._merged = 0

    def over(self, base: Node | None, top: Node) -> Node:
        """Return ``top`` over ``base`` (None: over nothing)."""
        if base is None or not self._afford(1, top.origin):
            return top
        if isinstance(base, MapNode) and isinstance(top, MapNode):
            return self._maps(base, top)
        if isinstance(top, ListNode) and top.append:
            return self._append(base, top)
        return top

    def maps(self, base: MapNode | None, top: MapNode) -> MapNode:
        """Merge two maps, as ``over`` does."""
        return top if base is None or not self._afford(1, top.origin) else self._maps(base, top)

    def _maps(self, base: MapNode, top: MapNode) -> MapNode:
        self._merged += len(base.entries)
        entries = dict(base.entries)
        for key, entry in top.entries.items():
            below = entries.get(key)
            entries[key] = Entry(entry.key, self.over(below.node, entry.node)) if below else entry
        return MapNode(entries, top.origin)

    def _append(self, base: Node, top: ListNode) -> Node:
        if isinstance(base, ListNode):
            joined = ListNode((*base.items, *top.items), top.origin, base.append)
            return joined if self._afford(count(joined), top.origin) else top
        if not (isinstance(base, Scalar) and base.is_null):
            message = f"!append needs a list to append to, but {base.origin} has {kind(base)}"
            self.problems.append(problem(top.origin, message, "remove !append to replace it"))
            return base
        return top

    def _afford(self, values: int, at: Origin) -> bool:
        before, self._merged = self._merged, self._merged + values
        if before <= MAX_MERGED < self._merged:
            self.problems.append(problem(at, f"too large: merging takes more than {MAX_MERGED:,} steps"))
        return self._merged <= MAX_MERGED


def prune(node: MapNode) -> MapNode:
    """Return the map without what was set to null, at any depth; ``deleted`` remembers where that was written."""
    entries: dict[str, Entry] = {}
    deleted: dict[str, Origin] = {}
    for key, entry in node.entries.items():
        if isinstance(entry.node, Scalar) and entry.node.is_null:
            deleted[key] = entry.key
        else:
            entries[key] = Entry(entry.key, map_inside(entry.node, prune))
    return MapNode(entries, node.origin, deleted)
