"""Parse the strict subset of YAML that a blueprint may use into a tree with positions.

The work is bounded for any input: the tree is built from the parser's event stream without recursion, under caps
on bytes, depth and values (an alias costs as many values as it stands for); libyaml's own composer overflows the C
stack on 100,000 nested brackets. Refuses: more than one document, duplicate keys, keys that are not strings, tags
other than ``!append``, text that is not UTF-8. Scalars follow YAML 1.2 (see ``node``); ``<<`` merges as YAML 1.1 says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from orchestra.blueprint.model import Origin
from orchestra.blueprint.problems import problem
from orchestra.blueprint.yaml_input import Refused, decode, read_limited, refuse_unprintable, refused
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Node, Scalar, kind
from orchestra.errors import Problem

MAX_BYTES: Final = 5_000_000
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 50_000
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTAINER_ENDS: Final = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


@dataclass(frozen=True, slots=True)
class Tree:
    """The content of a file; ``root`` is None where the text could not be read to its end."""

    root: MapNode | None
    problems: tuple[Problem, ...]


def load_tree(file: Path) -> Tree:
    """Return the tree of one file. Never raises for a missing file or for its content."""
    try:
        return parse_tree(decode(read_limited(file, MAX_BYTES), file), file)
    except Refused as stop:
        return Tree(None, (stop.problem,))


def parse_tree(text: str, file: Path) -> Tree:
    """Return the tree of ``text``; ``file`` only names it in the problems."""
    builder = _Builder(file)
    try:
        refuse_unprintable(text, file)
        for event in _events(text, file):
            builder.take(event)
        return Tree(builder.document(), tuple(builder.problems))
    except Refused as stop:
        return Tree(None, (*builder.problems, stop.problem))


# Events


def _events(text: str, file: Path) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise Refused(_explain(error, text, file)) from None
    except yaml.YAMLError as error:
        raise refused(file, f"is not YAML: {' '.join(str(error).split())}", None) from None


def _explain(error: yaml.MarkedYAMLError, text: str, file: Path) -> Problem:
    """Return libyaml's error as a problem with a hint."""
    lines = text.splitlines()
    mark = error.problem_mark
    if mark is None or (error.context_mark and mark.line >= len(lines)):
        mark = error.context_mark  # noticed at the end of the file only: the start is more helpful
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line_text = lines[line - 1] if line <= len(lines) else ""
    indent = line_text[: len(line_text) - len(line_text.lstrip())]
    if "\t" in indent:
        message = "tab in the indentation: YAML allows spaces only"
        return Problem(file, line, indent.index("\t") + 1, message, "replace each tab by two spaces")
    complaint = error.problem or "not YAML"
    context = f" ({error.context}{_since(error)})" if error.context else ""
    return Problem(file, line, column, f"is not YAML: {complaint}{context}", _yaml_hint(complaint, line_text, column))


def _since(error: yaml.MarkedYAMLError) -> str:
    return f", which starts on line {error.context_mark.line + 1}" if error.context_mark else ""


_HINTS: Final = {
    "mapping values are not allowed": "quote a value that contains a colon and a space, or fix the indentation",
    "alphabetic or numeric character": "a value that begins with * or & needs quotes",
    "expected '-' indicator": "align the keys of one item, and the dashes of one list",
    "not find expected": "look for a missing quote, bracket, colon or dash, or a line indented too far or too little",
    "unexpected end of stream": "a quote that opens here is never closed",
    "unknown escape character": "use single quotes, or double the backslash",
}


_BRACES: Final = 'quote it; a value that begins with a template needs quotes around the whole: "{{ agent.name }}"'


def _yaml_hint(complaint: str, line_text: str, column: int) -> str | None:
    character = line_text[column - 1 : column]
    if character == "\t":
        return "replace the tab by spaces"
    if character in ("@", "`", "%"):
        return f"a value that begins with {character} needs quotes"
    return next((hint for phrase, hint in _HINTS.items() if phrase in complaint), None)


# Building


@dataclass(slots=True)
class _Frame:
    """A list or map that is still open."""

    origin: Origin
    is_map: bool
    anchor: str | None
    append: bool = False
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merges: list[Entry] = field(default_factory=list)
    pending: tuple[str, Origin] | None = None  # the key whose value comes next
    skip: bool = False  # the key was refused: drop the value that comes next
    values_before: int = 0


@dataclass(slots=True)
class _Anchored:
    node: Node | None  # None while it is still open
    values: int  # values that an alias to it expands to


class _Builder:
    """Takes events one by one; ``problems`` are those that reading can go on after."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Anchored] = {}
        self.values = 0
        self.documents = 0
        self.root: Node | None = None

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._open(event)
        elif isinstance(event, _CONTAINER_ENDS):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._stop(self._origin(event), "a second YAML document", "one blueprint per file: delete ---")

    def document(self) -> MapNode:
        if self.root is None or (isinstance(self.root, Scalar) and self.root.is_null):
            raise refused(self.file, "is empty", "a blueprint begins with: version: 1")
        if not isinstance(self.root, MapNode):
            message = f"contains {kind(self.root)} instead of a map"
            raise self._stop(self.root.origin, message, "a blueprint begins with: version: 1")
        return self.root

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        return Origin(self.file, mark.line + 1, mark.column + 1) if mark else Origin(self.file, 1, 1)

    def _stop(self, at: Origin, message: str, hint: str | None = None) -> Refused:
        return Refused(problem(at, message, hint))

    def _note(self, at: Origin, message: str, hint: str | None = None) -> None:
        self.problems.append(problem(at, message, hint))

    def _spend(self, values: int, at: Origin) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            subject = "its aliases expand to" if values > 1 else "it contains"
            raise self._stop(at, f"too large: {subject} more than {MAX_VALUES:,} values")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        origin = self._origin(event)
        self._spend(1, origin)
        self._check_tag(event.tag, origin, is_list=False)
        node = Scalar(event.value, event.style or "", origin)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(node, 1)
        self._add(node)

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        origin = self._origin(event)
        self._spend(1, origin)
        if len(self.stack) >= MAX_DEPTH:
            raise self._stop(origin, f"nested more than {MAX_DEPTH} levels deep")
        is_map = isinstance(event, yaml.MappingStartEvent)
        append = self._check_tag(event.tag, origin, is_list=not is_map)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(None, 0)
        self.stack.append(_Frame(origin, is_map, event.anchor, append, values_before=self.values - 1))

    def _close(self) -> None:
        frame = self.stack.pop()
        node: Node
        if frame.is_map:
            node = MapNode(self._merged(frame), frame.origin)
        else:
            node = ListNode(tuple(frame.items), frame.origin, frame.append)
        if frame.anchor:
            self.anchors[frame.anchor] = _Anchored(node, self.values - frame.values_before)
        self._add(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        origin = self._origin(event)
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            hint = "an alias (*) needs an anchor (&) above it; quote the value if the star belongs to it"
            raise self._stop(origin, f"unknown alias *{event.anchor}", hint)
        if anchored.node is None:
            raise self._stop(origin, f"the alias *{event.anchor} is inside the value that it refers to")
        self._spend(anchored.values, origin)
        self._add(anchored.node, origin)

    def _check_tag(self, tag: str | None, origin: Origin, *, is_list: bool) -> bool:
        """Return True for the tag ``!append``; any other tag is a problem."""
        if tag is None:
            return False
        if tag == "!append" and is_list:
            return True
        if tag == "!append":
            self._note(origin, "!append works on lists only", 'write the value as a list: !append ["..."]')
        else:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._note(
                origin, f"unknown tag {shown}", "the only supported tag is !append; quote a text that begins with !"
            )
        return False

    def _add(self, node: Node, at: Origin | None = None) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if not frame.is_map:
            frame.items.append(node)
        elif frame.pending is None and not frame.skip:
            self._key(frame, node, at or node.origin)
        else:
            self._value(frame, node)

    def _key(self, frame: _Frame, node: Node, at: Origin) -> None:
        frame.skip = True
        if not isinstance(node, Scalar):
            self._note(at, f"a key must be a string, not {kind(node)}", _BRACES)
        elif not isinstance(node.value, str):
            self._note(at, f"the key {node.text or '(nothing)'} is not a string", f'quote it: "{node.text}"')
        elif node.plain and node.text == "<<":
            frame.pending, frame.skip = ("<<", at), False
        elif node.text in frame.entries:
            first = frame.entries[node.text].key.line
            self._note(at, f'duplicate key "{node.text}" (first on line {first})', "keep one of the two")
        else:
            frame.pending, frame.skip = (node.text, at), False

    def _value(self, frame: _Frame, node: Node) -> None:
        pending, frame.pending, frame.skip = frame.pending, None, False
        if pending is None:
            return
        text, origin = pending
        if text == "<<" and not isinstance(node, Scalar):
            frame.merges.append(Entry(origin, node))
        elif text == "<<":
            self._note(origin, f"<< merges a map, not {kind(node)}", "write <<: *anchor, with the anchor on a map")
        else:
            frame.entries[text] = Entry(origin, node)

    def _merged(self, frame: _Frame) -> dict[str, Entry]:
        """Return the entries: own keys first, then those that ``<<`` brings; of several maps the earlier one wins
        (YAML 1.1 merge type)."""
        entries = dict(frame.entries)
        for merge in frame.merges:
            sources = merge.node.items if isinstance(merge.node, ListNode) else (merge.node,)
            for source in sources:
                if isinstance(source, MapNode):
                    for key, entry in source.entries.items():
                        entries.setdefault(key, entry)
                else:
                    self._note(merge.key, f"<< merges maps, not {kind(source)}", "write <<: [*one, *other]")
        return entries
