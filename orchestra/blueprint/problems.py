"""Problems of a blueprint: short messages at the place to change, and the reading of values that are still sound.

A message and its hint are one line without control characters, bounded in length; the number of problems is bounded
too. A check cannot read a value that another check has refused, so that one mistake makes one problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from orchestra.blueprint.model import Key, Origin
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Node, Scalar, find
from orchestra.errors import Problem

MOST_PROBLEMS: Final = 200
_LONGEST: Final = 500


def problem(at: Origin, message: str, hint: str | None = None) -> Problem:
    """Return a Problem at that place."""
    return Problem(at.file, at.line, at.column, _one_line(message), _one_line(hint) if hint else None)


def _one_line(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut)


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once, even where many agents have it from one profile; after 200 the others are counted."""
    by_body: dict[tuple[str, int, int, str], Problem] = {}
    for each in problems:
        body = re.sub(r'^(agent|profile) ("[^"]*"|[0-9]+): ', "", each.message)
        by_body.setdefault((str(each.file), each.line, each.column, body), each)
    ordered = sorted(by_body.values(), key=lambda each: (str(each.file), each.line, each.column, each.message))
    if len(ordered) > MOST_PROBLEMS:
        first = ordered[MOST_PROBLEMS]
        message = f"and {len(ordered) - MOST_PROBLEMS:,} more problems from here on"
        ordered[MOST_PROBLEMS:] = [Problem(first.file, first.line, first.column, message)]
    return ordered


class Findings:
    """The problems of one document, and its values that no check has refused."""

    def __init__(self, root: MapNode, problems: list[Problem]) -> None:
        self.root = root
        self.problems = problems
        self._unsound: set[Key] = set()

    # Reading

    def node(self, path: Key) -> Node | None:
        return find(self.root, path)

    def text(self, path: Key) -> str | None:
        """Return the scalar there as typed; None where it is absent, no scalar, or already refused."""
        node = self.node(path)
        if isinstance(node, Scalar) and not node.is_null and path not in self._unsound:
            return node.text
        return None

    def texts(self, path: Key) -> Iterator[tuple[Key, str]]:
        """Yield the sound scalars of the list there, each with its path."""
        for child in self.children(path):
            text = self.text(child)
            if text is not None:
                yield child, text

    def children(self, path: Key) -> Iterator[Key]:
        """Yield the paths of a list's items or a map's values; none where there is no list or map."""
        node = self.node(path)
        if isinstance(node, ListNode):
            yield from ((*path, number) for number in range(len(node.items)))
        elif isinstance(node, MapNode):
            yield from ((*path, key) for key in node.entries)

    def label(self, path: Key) -> str:
        """Return the name of a value in messages: ``agent "api": scope[0]``, ``merge.strategy``."""
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
        """Report a problem with a value. ``line`` counts from 1 inside the value, and applies to a ``|`` block."""
        node = self.node(path) or self.root
        place = node.origin
        if isinstance(node, Scalar) and node.style == "|":
            place = Origin(place.file, place.line + line, 1)
        self._add(path, place, self.label(path), message, hint)

    def at_key(self, path: Key, message: str, hint: str | None = None) -> None:
        """Report a problem with the last key of ``path``."""
        parent = self.node(path[:-1])
        place = parent.entries[str(path[-1])].key if isinstance(parent, MapNode) else self.root.origin
        self._add(path, place, self.label(path[:-1]), message, hint)

    def at_missing(self, path: Key, key: str, hint: str | None = None) -> None:
        """Report a key that the map at ``path`` must have."""
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
