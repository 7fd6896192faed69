"""Parse the strict subset of YAML that a blueprint may use into a tree with positions.

The work is bounded for any input: by caps on bytes, depth and values (an alias costs as many values as it stands for).
Refuses: what is no regular file, more than one document, duplicate keys, keys that are not strings, tags other than
``!append``, text that is not UTF-8. Scalars follow YAML 1.2 (see ``yaml_tree``); ``<<`` merges as YAML 1.1 says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from orchestra.blueprint.model import Origin
from orchestra.blueprint.problems import problem
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Node, Scalar, kind
from orchestra.errors import Problem
from orchestra.text import did_you_mean

MAX_BYTES: Final = 5_000_000
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 50_000
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|(?<!\\A)\ufeff")
_BRACES: Final = 'quote it; a value that begins with a template needs quotes around the whole: "{{ agent.name }}"'
_HINTS: Final = {
    "mapping values are not allowed": "quote a value that contains a colon and a space, or fix the indentation",
    "alphabetic or numeric character": "a value that begins with * or & needs quotes",
    "expected '-' indicator": "align the keys of one item, and the dashes of one list",
    "not find expected": "look for a missing quote, bracket, colon or dash, or a line indented too far or too little",
    "unexpected end of stream": "a quote that opens here is never closed",
    "unknown escape character": "use single quotes, or double the backslash",
}
"""Part of libyaml's message -> what to do."""


class Refused(Exception):  # noqa: N818 - not an error of the program: the file cannot be read any further
    """The text cannot be read any further; ``problem`` says why and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Tree:
    """The content of a file; ``root`` is None where the text could not be read to its end."""

    root: MapNode | None
    problems: tuple[Problem, ...]


def load_tree(file: Path) -> Tree:
    """Return the tree of one file. Never raises for a missing file or for its content."""
    try:
        return parse_tree(read_text(file, MAX_BYTES), file)
    except Refused as stop:
        return Tree(None, (stop.problem,))


def parse_tree(text: str, file: Path) -> Tree:
    """Return the tree of ``text``; ``file`` only names it in the problems."""
    builder = _Builder(text, file)
    try:
        return Tree(builder.document(), tuple(builder.problems))
    except Refused as stop:
        return Tree(None, (*builder.problems, stop.problem))


# Text


def read_text(file: Path, limit: int) -> str:
    """Return the text of a regular file of at most ``limit`` bytes of UTF-8, with or without a byte order mark.

    Raises Refused.
    """
    try:
        if file.is_dir():
            names = [name for name in names_in_folder(file) if name.endswith((".yaml", ".yml"))]
            hint = f"it contains {', '.join(names[:8])}" if names else None
            raise _refused(file, "is a folder, not a file", hint)
        if file.exists() and not file.is_file():
            raise _refused(file, "is not a regular file", "a pipe or a device cannot be read twice: save it as a file")
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        raise _refused(file, "no such file", did_you_mean(file.name, names_in_folder(file.parent))) from None
    except (OSError, ValueError) as error:
        raise _refused(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > limit:
        raise _refused(file, f"is larger than {limit // 1000:,} kB", "a blueprint is a few kB: is this the right file?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(file, "is UTF-16, not UTF-8", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        byte = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise Refused(Problem(file, *_position(before, len(before)), byte, "save the file as UTF-8")) from None


def names_in_folder(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _refused(file: Path, message: str, hint: str | None = None) -> Refused:
    """Return the refusal of a whole file."""
    return Refused(Problem(file, 1, 1, message, hint))


def _position(text: str, index: int) -> tuple[int, int]:
    """Return line and column, from 1, of a character of the text."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


# YAML


def _events(text: str, file: Path) -> Iterator[yaml.Event]:
    if match := _UNPRINTABLE.search(text):  # what YAML 1.2 does not allow unescaped (its production c-printable)
        message = f"the character U+{ord(match.group()):04X} is not allowed in a YAML file"
        hint = "delete it, or write it as an escape in double quotes"
        raise Refused(Problem(file, *_position(text, match.start()), message, hint))
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise Refused(_explain(error, text, file)) from None
    except yaml.YAMLError as error:
        raise _refused(file, f"is not YAML: {' '.join(str(error).split())}") from None


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
    since = f", which starts on line {error.context_mark.line + 1}" if error.context_mark else ""
    context = f" ({error.context}{since})" if error.context else ""
    character = line_text[column - 1 : column]
    if character == "\t":
        hint: str | None = "replace the tab by spaces"
    elif character in ("@", "`", "%"):
        hint = f"a value that begins with {character} needs quotes"
    else:
        hint = next((hint for phrase, hint in _HINTS.items() if phrase in complaint), None)
    return Problem(file, line, column, f"is not YAML: {complaint}{context}", hint)


class _Builder:
    """Builds the tree by descent over the parser's events, at most ``MAX_DEPTH`` deep.

    ``problems`` are those that reading can go on after; the others are raised as Refused.
    """

    def __init__(self, text: str, file: Path) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._events = _events(text, file)
        self._anchors: dict[str, tuple[Node | None, int]] = {}  # with the values that an alias to it expands to
        self._values = 0

    def document(self) -> MapNode:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _stop(self._origin(event), "a second YAML document", "one blueprint per file: delete ---")
                root = self._node(next(self._events), 0)
        if root is None or (isinstance(root, Scalar) and root.is_null):
            raise _refused(self._file, "is empty", "a blueprint begins with: version: 1")
        if not isinstance(root, MapNode):
            raise _stop(root.origin, f"contains {kind(root)} instead of a map", "a blueprint begins with: version: 1")
        return root

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        return Origin(self._file, mark.line + 1, mark.column + 1) if mark else Origin(self._file, 1, 1)

    def _note(self, at: Origin, message: str, hint: str | None = None) -> None:
        self.problems.append(problem(at, message, hint))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        """Return the value that begins with ``event``, inside ``depth`` lists and maps."""
        origin = self._origin(event)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor or "", origin)
        assert isinstance(event, yaml.NodeEvent)  # noqa: S101 - values begin with nothing else
        values_before = self._values
        self._spend(1, origin)
        append = self._check_tag(event, origin)
        if event.anchor:
            self._anchors[event.anchor] = (None, 0)  # until its end is read
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(event.value, event.style or "", origin)
        elif depth >= MAX_DEPTH:
            raise _stop(origin, f"nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.SequenceStartEvent):
            node = ListNode(tuple(self._node(item, depth + 1) for item in self._children()), origin, append)
        else:
            node = MapNode(self._entries(depth + 1), origin)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._values - values_before)
        return node

    def _children(self) -> Iterator[yaml.Event]:
        """Yield the first event of each value up to the end of the list or map; the caller reads the others."""
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event

    def _entries(self, depth: int) -> dict[str, Entry]:
        """Return a map's own keys, then those that ``<<`` brings; of several maps the earlier one wins (YAML 1.1)."""
        entries: dict[str, Entry] = {}
        merges: list[Entry] = []
        for event in self._children():
            place = self._origin(event)
            key = self._node(event, depth)
            value = self._node(next(self._events), depth)
            if not isinstance(key, Scalar):
                self._note(place, f"a key must be a string, not {kind(key)}", _BRACES)
            elif not isinstance(key.value, str):
                self._note(place, f"the key {key.text or '(nothing)'} is not a string", f'quote it: "{key.text}"')
            elif key.plain and key.text == "<<":
                merges.append(Entry(place, value))
            elif key.text in entries:
                first = entries[key.text].key.line
                self._note(place, f'duplicate key "{key.text}" (first on line {first})', "keep one of the two")
            else:
                entries[key.text] = Entry(place, value)
        for merge in merges:
            for source in merge.node.items if isinstance(merge.node, ListNode) else (merge.node,):
                if isinstance(source, MapNode):
                    for name, entry in source.entries.items():
                        entries.setdefault(name, entry)
                else:
                    hint = "write <<: *anchor, with the anchor on a map"
                    self._note(merge.key, f"<< merges a map or a list of maps, not {kind(source)}", hint)
        return entries

    def _aliased(self, anchor: str, origin: Origin) -> Node:
        if anchor not in self._anchors:
            hint = "an alias (*) needs an anchor (&) above it; quote the value if the star belongs to it"
            raise _stop(origin, f"unknown alias *{anchor}", hint)
        node, values = self._anchors[anchor]
        if node is None:
            raise _stop(origin, f"the alias *{anchor} is inside the value that it refers to")
        self._spend(values, origin)
        return node

    def _spend(self, values: int, at: Origin) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            subject = "its aliases expand to" if values > 1 else "it contains"
            raise _stop(at, f"too large: {subject} more than {MAX_VALUES:,} values")

    def _check_tag(self, event: yaml.NodeEvent, origin: Origin) -> bool:
        """Return True for the tag ``!append`` on a list; any other tag is a problem."""
        tag = getattr(event, "tag", None)
        if tag == "!append" and isinstance(event, yaml.SequenceStartEvent):
            return True
        if tag == "!append":
            self._note(origin, "!append works on lists only", 'write the value as a list: !append ["..."]')
        elif tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            hint = "the only supported tag is !append; quote a text that begins with !"
            self._note(origin, f"unknown tag {shown}", hint)
        return False


def _stop(at: Origin, message: str, hint: str | None = None) -> Refused:
    return Refused(problem(at, message, hint))
