"""The reference of a blueprint's keys, written out of the JSON Schema as Markdown.

Invariant: every key that the schema knows is there once, in the schema's order, with its type, default, meaning and an
example. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from orchestra.blueprint.schema import load_schema

_TYPES: Final = {
    "array": "list",
    "object": "map",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
_PATTERNS: Final = (
    " Patterns are git's :(top,glob) pathspecs, relative to the repository's root: * stays inside one folder, **"
    " crosses folders, a plain path means that file or everything below that folder."
)
_DURATION: Final = " A duration: 90s, 15m, 1h30m, 2d, or a number of seconds; at most 30d."
_TOP: Final = (
    "version name title description extends target remote requires starter protected stages overlap never standards"
    " templates"
)
_NAMED: Final = {
    "worktrees": "worktrees",
    "worktrees.setup": "worktrees.setup",
    "gates": "gates.NAME",
    "runner": "runner",
    "limits": "limits",
    "slots": "slots",
    "merge": "merge",
    "verdicts": "verdicts",
    "agents": "agents[]",
    "profiles": "profiles.NAME",
}


def key_reference() -> str:
    """All of it: first what stands at the top, then each map below with a heading of its own."""
    root, defs = load_schema()["properties"], load_schema()["$defs"]
    setup = root["worktrees"]["properties"]["setup"]
    top = {key: root[key] for key in _TOP.split()}
    assert {*top, *(name.split(".")[0] for name in _NAMED)} == {*root}, "a key of the schema has no place here"
    sections = [
        ("At the top", None, top),
        ("`worktrees`", root["worktrees"], root["worktrees"]["properties"]),
        ("`worktrees.setup`", setup, setup["properties"]),
        ("`gates.NAME`", root["gates"], defs["gate"]["properties"]),
        ("`runner`", root["runner"], root["runner"]["properties"]),
        ("`limits`", root["limits"], root["limits"]["properties"]),
        ("`slots`", root["slots"], root["slots"]["properties"]),
        ("`merge`", root["merge"], root["merge"]["properties"]),
        ("`verdicts`", root["verdicts"], root["verdicts"]["properties"]),
        ("`agents[]`", root["agents"], defs["agent"]["properties"]),
    ]
    parts = [part for title, owner, keys in sections for part in _section(title, owner, keys)]
    return "\n".join([*parts, *_profiles(root["profiles"], defs)])


def _section(title: str, owner: dict[str, Any] | None, keys: dict[str, Any]) -> Iterator[str]:
    yield f"### {title}\n"
    if owner is not None:
        yield f"{_meaning(owner)}\n"
    for key, schema in keys.items():
        yield from _entry(key, _followed(schema))
    yield ""


def _profiles(owner: dict[str, Any], defs: dict[str, Any]) -> Iterator[str]:
    keys = ", ".join(f"`{key}`" for key in defs["profile"]["properties"])
    yield "### `profiles.NAME`\n"
    yield f"{_meaning(owner)} {_followed(owner['additionalProperties'])['description']}\n"
    yield f"Keys, all as for an agent: {keys}."


def _entry(key: str, schema: dict[str, Any]) -> Iterator[str]:
    facts = [_type(schema)]
    if "default" in schema and schema["default"] not in ([], {}, ""):
        facts.append(f"default `{_value(schema['default'])}`")
    line = f"- **`{key}`** ({', '.join(facts)}): {_meaning(schema)}"
    choices = [f"  - `{choice}`: {meaning}" for choice, meaning in _choices(schema)]
    yield line if choices else f"{line} For instance `{key}: {_value(schema['examples'][0])}`."
    yield from choices


def _choices(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from zip(schema.get("enum", ()), schema.get("enumDescriptions", ()), strict=True)


def _meaning(schema: dict[str, Any]) -> str:
    text = str(schema["description"]).replace(_PATTERNS, " [Patterns](#scopes-and-other-patterns).")
    text = text.replace(_DURATION, "")
    default = schema.get("default")
    told = str(default).lower() if isinstance(default, bool) else str(default)
    return text.removesuffix(f" Default: {told}.")


def _type(schema: dict[str, Any]) -> str:
    if "title" in schema and schema["title"] == "a duration":
        return "[duration](#durations)"
    if "enum" in schema:
        return "one of these"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_TYPES[name] for name in types if name != "null")


def _value(value: Any) -> str:
    """As YAML on one line."""
    flow = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return flow.removesuffix("\n").removesuffix("\n...")


def _followed(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = load_schema()["$defs"][found["$ref"].removeprefix("#/$defs/")]
    return found
