"""A violation of the schema in a newcomer's words: what stands there, what has to, and how to write it.

Invariant: pure; a hint is right for the value it is about, or there is none. Refuses: places and keys, which ``schema``
knows.
"""

from __future__ import annotations

import json
import re
from typing import Any

from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.fast_validate import Schema
from orchestra.text import did_you_mean

_TYPES = {
    "array": "a list",
    "object": "a map",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_LONGEST_SHOWN = 40
_DASHES = 'each item of a list begins with a dash, or the list stands in brackets: ["..."]'


def types_of(schema: Schema) -> list[str]:
    """The JSON types that a value may have."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def describe(keyword: str, limit: Any, value: Any, schema: Schema) -> tuple[str, str | None]:
    """A violation in words, without its place."""
    if keyword == "type":
        return f"must be {_wanted(schema)}, not {_found(value)}", _type_hint(schema, value)
    if keyword in ("enum", "const"):
        allowed = [str(one) for one in (limit if keyword == "enum" else [limit])]
        return f"must be {_or(allowed)}, not {shown(value)}", did_you_mean(str(value), allowed)
    if schema.get("title") == "a duration":
        return _duration_problem(str(value)), None
    if keyword == "pattern":
        return _pattern_problem(value, schema), _name_hint(value, schema)
    return _size_problem(keyword, limit, value), None


def _pattern_problem(value: str, schema: Schema) -> str:
    if not value.strip():
        return "is blank"
    return f"{shown(value)} is not {schema.get('title', 'allowed here')}"


def _name_hint(value: str, schema: Schema) -> str | None:
    """A name that would do, made of the one that does not."""
    tidy = "-".join(re.findall("[A-Za-z0-9]+", value))
    return f'for instance "{tidy}"' if tidy and re.search(schema["pattern"], tidy) and tidy != value else None


def _size_problem(keyword: str, limit: Any, value: Any) -> str:
    sizes = {
        "minItems": "is empty",
        "minLength": "is empty",
        "maxItems": f"holds more than {limit}",
        "maxLength": f"is longer than {limit:,} characters",
        "minimum": f"must be at least {limit}, not {value}",
        "maximum": f"must be at most {limit:,}, not {value}",
        "exclusiveMinimum": f"must be more than {limit}, not {value}",
    }
    return sizes[keyword]


def _duration_problem(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError as error:
        return str(error)
    return "is not a duration"


def _wanted(schema: Schema) -> str:
    title = schema.get("title")
    return str(title) if title else _or([_TYPES[name] for name in types_of(schema) if name != "null"])


def _found(value: Any) -> str:
    if isinstance(value, str):
        return f"the string {shown(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a map" if isinstance(value, dict) else "nothing"


def _type_hint(schema: Schema, value: Any) -> str | None:
    wanted = types_of(schema)
    if isinstance(value, str):
        return _text_hint(schema, value)
    if isinstance(value, dict) and "array" in wanted:
        return 'each item of a list begins with a dash: "- name: api"' if _items_are_maps(schema) else _DASHES
    if isinstance(value, dict) and "string" in wanted:
        return "a text that holds a colon and a blank, or begins with a brace, needs quotes"
    return None


def _text_hint(schema: Schema, text: str) -> str | None:
    wanted = types_of(schema)
    short = len(text) <= _LONGEST_SHOWN and "\n" not in text
    if "boolean" in wanted and text.lower() in _YES_NO:
        return f"write {_YES_NO[text.lower()]}"
    if "array" in wanted and short:
        return f"write a list: {json.dumps(re.split(', *', text), ensure_ascii=False)}"
    if "object" in wanted and "run" in schema.get("properties", {}) and short:
        return f"write {{run: {json.dumps(text, ensure_ascii=False)}}}"
    if {"integer", "number"} & {*wanted} and (number := re.fullmatch(r"[^\d-]*?0*(\d+(?:\.\d+)?)\D*", text)):
        return f"write {number[1]}, without quotes, signs and units"
    return None


def _items_are_maps(schema: Schema) -> bool:
    return "$ref" in schema.get("items", {})


def shown(value: Any) -> str:
    """A value quoted, and cut where it is long."""
    text = str(value)
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return json.dumps(cut, ensure_ascii=False)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
