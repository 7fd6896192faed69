"""What was found wrong with a composed document, each finding at the place that has to be changed.

Invariant: a check that asks for a value another check has already refused is told there is none, so that one slip
makes one problem. Refuses: to decide what is wrong; that is for the checks.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.blueprint.model import Key, Origin
from orchestra.blueprint.problem_text import problem
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Node, Scalar, find
from orchestra.errors import Problem


class Findings:
    """Problems of one document, and the reading of what is still sound of it."""

    def __init__(self, root: MapNode, problems: list[Problem]) -> None:
        self.root = root
        self.problems = problems
        self._unsound: set[Key] = set()

    # Reading

    def node(self, path: Key) -> Node | None:
        return find(self.root, path)

    def text(self, path: Key) -> str | None:
        """The scalar there as typed; None where it is absent, no scalar, or already refused."""
        node = self.node(path)
        if isinstance(node, Scalar) and not node.is_null and path not in self._unsound:
            return node.text
        return None

    def texts(self, path: Key) -> Iterator[tuple[Key, str]]:
        """The sound scalars of the list there, each with its path."""
        for child in self.children(path):
            text = self.text(child)
            if text is not None:
                yield child, text

    def children(self, path: Key) -> Iterator[Key]:
        """The paths of a list's items or a map's values; none where there is no list or map."""
        node = self.node(path)
        if isinstance(node, ListNode):
            yield from ((*path, number) for number in range(len(node.items)))
        elif isinstance(node, MapNode):
            yield from ((*path, key) for key in node.entries)

    def label(self, path: Key) -> str:
        """What a person calls that value: ``agent "api": scope[0]``, ``merge.strategy``."""
        if len(path) > 1 and path[0] in ("agents", "profiles"):
            return ": ".join(part for part in (self._owner(path), _dotted(path[2:])) if part)
        return _dotted(path)

    def _owner(self, path: Key) -> str:
        if path[0] == "profiles":
            return f'profile "{path[1]}"'
        name = find(self.root, (*path[:2], "name"))
        number = int(path[1]) + 1
        return f'agent "{name.text[:63]}"' if isinstance(name, Scalar) and name.text else f"agent {number}"

    # Writing

    def at_value(self, path: Key, message: str, hint: str | None = None, *, line: int = 1) -> None:
        """``line`` counts from 1 inside the value; it moves the place where the value is a ``|`` block."""
        node = self.node(path) or self.root
        place = node.origin
        if isinstance(node, Scalar) and node.style == "|":
            place = Origin(place.file, place.line + line, 1)
        self._add(path, place, self.label(path), message, hint)

    def at_key(self, path: Key, message: str, hint: str | None = None) -> None:
        """A problem with the last key of ``path``."""
        parent = self.node(path[:-1])
        place = parent.entries[str(path[-1])].key if isinstance(parent, MapNode) else self.root.origin
        self._add(path, place, self.label(path[:-1]), message, hint)

    def at_missing(self, path: Key, key: str, hint: str | None = None) -> None:
        """A key that the map at ``path`` must have."""
        node = self.node(path)
        deleted = node.deleted.get(key) if isinstance(node, MapNode) else None
        place = deleted or (node or self.root).origin
        message = f'"{key}" is empty' if deleted else f'missing "{key}"'
        self._add((*path, key), place, self.label(path), message, hint)

    def _add(self, path: Key, place: Origin, label: str, message: str, hint: str | None) -> None:
        self._unsound.add(path)
        self.problems.append(problem(place, f"{label}: {message}" if label else message, hint))


def _dotted(path: Key) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
