"""A YAML document as a tree that remembers where each key and value was written.

Nodes are immutable and may be shared (aliases, inherited values). Scalars keep the text as typed; YAML 1.2's core
schema decides its type, and only where a type is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestra.blueprint.model import Key, Origin

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS: Mapping[str, bool | None] = (
    dict.fromkeys(_NULL)
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_LONGEST_NUMBER = 32
"""Characters; a longer run of digits is a string (an account number, a hash), and never costs a huge integer."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """``text`` as typed, quotes resolved. Only a plain (unquoted) scalar can be anything but a string."""

    text: str
    style: str  # "" plain, a quote, "|" or ">"
    origin: Origin
    profile: str | None = None  # the profile whose text this is, so that its <<params>> get replaced

    @property
    def plain(self) -> bool:
        return not self.style

    @property
    def value(self) -> str | int | float | bool | None:
        """The value by YAML 1.2's core schema, less its octal, hexadecimal, infinite and zero-led numbers."""
        text = self.text
        if self.plain and text in _WORDS:
            return _WORDS[text]
        if not self.plain or len(text) > _LONGEST_NUMBER:
            return text
        if _INT.match(text):
            return int(text)
        return float(text) if _FLOAT.match(text) and math.isfinite(float(text)) else text

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULL


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    origin: Origin
    append: bool = False  # tagged !append: goes after what it is laid over


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a map; ``key`` is the place of the key."""

    key: Origin
    node: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    entries: Mapping[str, Entry]
    origin: Origin
    deleted: Mapping[str, Origin] = field(default_factory=dict)  # keys that were set to null, for errors to point at

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.node if entry else None

    def without(self, *keys: str) -> MapNode:
        entries = {key: entry for key, entry in self.entries.items() if key not in keys}
        return MapNode(entries, self.origin, self.deleted)


Node = Scalar | ListNode | MapNode


def kind(node: Node) -> str:
    """Return the word for this value in messages: ``a list``, ``a map``, ``a number``..."""
    if isinstance(node, MapNode):
        return "a map"
    if isinstance(node, ListNode):
        return "a list"
    value = node.value
    names = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), "a string")


def plain(node: Node) -> Plain:
    """Return the tree as dicts, lists and scalars, each scalar typed as YAML 1.2 reads it."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def map_inside(node: Node, change: Callable[[MapNode], MapNode]) -> Node:
    """Return the node with ``change`` applied to it, or to the maps in the lists that it consists of."""
    if isinstance(node, MapNode):
        return change(node)
    if isinstance(node, ListNode):
        return ListNode(tuple(map_inside(item, change) for item in node.items), node.origin, node.append)
    return node


def walk(node: Node, path: Key = ()) -> Iterator[tuple[Key, Node]]:
    """Yield each node with its path, parents first, in document order."""
    yield path, node
    if isinstance(node, ListNode):
        for number, item in enumerate(node.items):
            yield from walk(item, (*path, number))
    elif isinstance(node, MapNode):
        for key, entry in node.entries.items():
            yield from walk(entry.node, (*path, key))


def find(root: Node, path: Key) -> Node | None:
    """Return the node at ``path``; None where there is none."""
    node: Node | None = root
    for step in path:
        if isinstance(node, MapNode) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, ListNode) and isinstance(step, int):
            node = node.items[step] if step < len(node.items) else None
        else:
            return None
    return node


def count(node: Node) -> int:
    """Return the number of values in the tree; shared ones count each time they appear."""
    return sum(1 for _ in walk(node))
