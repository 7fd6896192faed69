"""Apply profiles: partial agents that many agents share.

``from: NAME|[NAMES]`` lays an agent over its profiles by the merge rules of ``extends``; ``with`` gives parameters,
and ``<<param>>`` in the string values that came from a profile is replaced. After ``expand`` no agent has
``with``, and none ``from`` unless no profile was usable, which is a problem. Every value keeps the origin of its text,
and the length of text is bounded. An agent's own text is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orchestra.blueprint.model import Origin
from orchestra.blueprint.overlay import Layers
from orchestra.blueprint.problems import problem
from orchestra.blueprint.yaml_tree import Entry, ListNode, MapNode, Node, Scalar, count, kind
from orchestra.errors import Problem
from orchestra.text import did_you_mean, nearest

RESERVED: Final = ("name", "number", "title", "stage")
_PARAMETER = re.compile(r"(\\?)<<([A-Za-z_][A-Za-z0-9_-]*)>>")
_LONGEST_TEXT: Final = 200_000
_MAX_VALUES: Final = 100_000
_DEEPEST: Final = 16


def expand(root: MapNode, problems: list[Problem]) -> MapNode:
    """Return the document with every agent expanded. The schema refuses agents that are not maps."""
    agents = root.entries.get("agents")
    if agents is None or not isinstance(agents.node, ListNode):
        return root
    profiles = _Profiles(root, problems)
    values = 0
    expanded: list[Node] = []
    for number, agent in enumerate(agents.node.items, start=1):
        expanded_agent = _expand_agent(agent, number, profiles) if isinstance(agent, MapNode) else agent
        values += count(expanded_agent)
        if values > _MAX_VALUES:
            problems.append(problem(agent.origin, f"too large: the agents hold more than {_MAX_VALUES:,} values"))
            break
        expanded.append(expanded_agent)
    entry = Entry(agents.key, ListNode(tuple(expanded), agents.node.origin))
    return MapNode({**root.entries, "agents": entry}, root.origin)


def _expand_agent(agent: MapNode, number: int, profiles: _Profiles) -> MapNode:
    agent_part = agent.without("from")
    if _is_absent(agent.get("from")):
        if not _is_absent(agent.get("with")):
            profiles.note(agent.entries["with"].key, 'with: sets parameters of a profile, but there is no "from"')
        return agent.without("from", "with")
    bases = profiles.bases(agent)
    if bases is None:
        return agent.without("with")  # with its `from`, so that keys of the profile are not reported as missing
    merged = profiles.layers.maps(bases, agent_part)
    filled = _Parameters(merged, number, profiles.problems).fill()
    return MapNode(filled.entries, agent.origin)


def _is_absent(node: Node | None) -> bool:
    return node is None or (isinstance(node, Scalar) and node.is_null)


class _Profiles:
    """The declared profiles, each merged with what it builds on and marked as its own text."""

    def __init__(self, root: MapNode, problems: list[Problem]) -> None:
        declared = root.get("profiles")
        entries = declared.entries if isinstance(declared, MapNode) else {}
        # The schema accepts null as a profile: it removes an inherited one.
        self.declared: Mapping[str, Entry] = {name: e for name, e in entries.items() if not _is_absent(e.node)}
        self.problems = problems
        self.layers = Layers(problems)
        self._merged: dict[str, MapNode | None] = {}

    def note(self, at: Origin, message: str, hint: str | None = None) -> None:
        self.problems.append(problem(at, message, hint))

    def bases(self, user: MapNode, chain: tuple[str, ...] = ()) -> MapNode | None:
        """Return the merged profiles that ``from`` of an agent or a profile names; None where none is usable."""
        result: MapNode | None = None
        for name in self._names(user.get("from")):
            profile = self._profile(name, chain)
            if profile is not None:
                result = self.layers.maps(result, profile)
        return result

    def _names(self, source: Node | None) -> list[Scalar]:
        if source is None or _is_absent(source):
            return []
        items = source.items if isinstance(source, ListNode) else (source,)
        names = [item for item in items if isinstance(item, Scalar) and item.text]
        for item in items if names else ():  # where there is none, the schema says so
            if item not in names:
                self.note(item.origin, f"from: must be the name of a profile, not {kind(item)}")
        return names

    def _profile(self, name: Scalar, chain: tuple[str, ...]) -> MapNode | None:
        entry = self.declared.get(name.text)
        if entry is None:
            profile_names = ", ".join(self.declared)
            otherwise = f"available: {profile_names}" if profile_names else "declare it under profiles:"
            self.note(
                name.origin, f'no profile "{name.text}"', did_you_mean(name.text, self.declared, otherwise=otherwise)
            )
            return None
        if name.text in chain:
            loop = " -> ".join((*chain[chain.index(name.text) :], name.text))
            self.note(name.origin, f"circular profiles: {loop}")
            return None
        if len(chain) >= _DEEPEST:
            self.note(name.origin, f"profiles are nested more than {_DEEPEST} deep")
            return None
        if name.text not in self._merged:
            self._merged[name.text] = self._merge(name.text, entry.node, (*chain, name.text))
        return self._merged[name.text]

    def _merge(self, name: str, node: Node, chain: tuple[str, ...]) -> MapNode | None:
        if not isinstance(node, MapNode):
            return None  # the schema says so
        profile_part = _marked(node.without("from", "name"), name)
        return self.layers.maps(self.bases(node, chain), profile_part)


def _marked(node: MapNode, profile: str) -> MapNode:
    entries = {key: Entry(entry.key, _marked_value(entry.node, profile)) for key, entry in node.entries.items()}
    return MapNode(entries, node.origin)


def _marked_value(node: Node, profile: str) -> Node:
    if isinstance(node, Scalar):
        return replace(node, profile=profile)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_marked_value(item, profile) for item in node.items))
    return _marked(node, profile)


class _Parameters:
    """Fills the parameters of one agent. A parameter's value may hold parameters where a profile wrote it."""

    def __init__(self, agent: MapNode, number: int, problems: list[Problem]) -> None:
        self.agent = agent
        self.problems = problems
        name = agent.get("name")
        self.name = name.text if isinstance(name, Scalar) else f"number {number}"
        self.refused: set[str] = set()  # given, but not as text: reported once
        self.given = self._given(agent.get("with"))
        self.sources: dict[str, Scalar] = {**self.given, "number": Scalar(str(number), "", agent.origin)}
        for key in ("title", "stage", "name"):
            node = agent.get(key)
            if isinstance(node, Scalar) and not _is_absent(node):
                self.sources[key] = node
        self.sources.setdefault("title", Scalar(self.name, "", agent.origin))
        self.used: set[str] = set()
        self.missing: dict[str, tuple[str, Origin]] = {}  # by parameter: the profile that uses it, and where first
        self._texts: dict[str, str] = {}  # each parameter is filled in once, however often it is used

    def fill(self) -> MapNode:
        filled = self._map(self.agent.without("with"))
        unused = {key for key, node in self.given.items() if key not in self.used and node.profile is None}
        for key in sorted(unused):
            meant = nearest(key, self.missing.keys() | self.used - set(RESERVED))
            message = f'unused parameter "{key}"'
            if meant in self.missing:
                profile, place = self.missing.pop(meant)  # one mistake, one message
                message += f', but "{profile}" uses <<{meant}>> (line {place.line})'
            hint = f'did you mean "{meant}"?' if meant else f"remove it, or use <<{key}>> in the profile"
            self._note(self._key("with", key), message, hint)
        for key, (profile, place) in self.missing.items():
            self._note_missing(key, profile, place)
        return filled

    def _note_missing(self, parameter: str, profile: str, place: Origin) -> None:
        """Report a missing parameter: at the profile where a similar one is given, else at the agent."""
        meant = nearest(parameter, self.sources)
        literal = f"(a literal one is written \\<<{parameter}>>)"
        if meant:
            hint = f"did you mean <<{meant}>>? {literal}"
            self._note(place, f'the profile "{profile}" uses <<{parameter}>>, which is not given', hint)
        else:
            hint = f"give it a value: with: {{{parameter}: ...}} {literal}"
            at = self._key("with") if "with" in self.agent.entries else self.agent.origin
            self._note(
                at, f'no value for <<{parameter}>>, which the profile "{profile}" uses on line {place.line}', hint
            )

    def _given(self, source: Node | None) -> dict[str, Scalar]:
        if source is None or _is_absent(source):
            return {}
        if not isinstance(source, MapNode):
            self._note(source.origin, f"with: must be a map of parameters, not {kind(source)}")
            return {}
        given = {}
        for key, entry in source.entries.items():
            if key in RESERVED:
                self._note(entry.key, f'with: "{key}" is set from the agent\'s {key} and cannot be a parameter')
            elif isinstance(entry.node, Scalar) and not entry.node.is_null:
                given[key] = entry.node
            elif not isinstance(entry.node, Scalar):
                self.refused.add(key)
                self._note(entry.node.origin, f"with: {key} must be a string or a number, not {kind(entry.node)}")
        return given

    def _key(self, *path: str) -> Origin:
        """Return the place of the last key of the path, in the agent."""
        node: Node = self.agent
        place = self.agent.origin
        for key in path:
            if isinstance(node, MapNode):
                place, node = node.entries[key].key, node.entries[key].node
        return place

    def _note(self, at: Origin, message: str, hint: str | None = None) -> None:
        self.problems.append(problem(at, f'agent "{self.name}": {message}', hint))

    def _filled(self, node: Node) -> Node:
        if isinstance(node, Scalar):
            if node.profile is None or "<<" not in node.text:
                return node
            return replace(node, text=self._text(node, ()), profile=None)
        if isinstance(node, ListNode):
            return replace(node, items=tuple(self._filled(item) for item in node.items))
        return self._map(node)

    def _map(self, node: MapNode) -> MapNode:
        entries = {key: Entry(entry.key, self._filled(entry.node)) for key, entry in node.entries.items()}
        return MapNode(entries, node.origin)

    def _text(self, node: Scalar, chain: tuple[str, ...]) -> str:
        """Return the text with its parameters filled in; what cannot be filled is reported and stays."""
        if node.profile is None:
            return node.text
        parts: list[str] = []
        length, end = 0, 0
        for match in _PARAMETER.finditer(node.text):
            parts.append(node.text[end : match.start()])
            parts.append(self._value(node, match, chain))
            end = match.end()
            length += len(parts[-2]) + len(parts[-1])
            if length > _LONGEST_TEXT:
                self._note(node.origin, f"with its parameters the text is longer than {_LONGEST_TEXT:,} characters")
                return ""
        return "".join((*parts, node.text[end:]))

    def _value(self, node: Scalar, match: re.Match[str], chain: tuple[str, ...]) -> str:
        escaped, name = match.groups()
        if escaped:
            return match.group()[1:]
        source = self.sources.get(name)
        if name in self.refused:
            return match.group()
        if source is None:
            self.missing.setdefault(name, (node.profile or "", _inside(node, match.start())))
        elif name in chain or len(chain) >= _DEEPEST:
            loop = " -> ".join((*chain[chain.index(name) if name in chain else 0 :], name))
            self._note(_inside(node, match.start()), f"circular or too deeply nested parameters: {loop}")
        else:
            self.used.add(name)
            if name not in self._texts:
                self._texts[name] = self._text(source, (*chain, name))
            return self._texts[name]
        return match.group()


def _inside(node: Scalar, index: int) -> Origin:
    """Return the place of a character of the text: exact to the line in a ``|`` block, else where the text begins."""
    if node.style != "|":
        return node.origin
    line = node.origin.line + 1 + node.text.count("\n", 0, index)
    return Origin(node.origin.file, line, 1)
