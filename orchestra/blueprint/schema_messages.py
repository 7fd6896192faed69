"""Describe a violation of the schema: the value, what is expected, and how to write it."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.fast_validate import Schema
from orchestra.text import did_you_mean, format_list

_TYPES = {
    "array": "a list",
    "object": "a map",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_SIZES = {
    "minItems": "is empty",
    "minLength": "is empty",
    "maxItems": "has more than {limit} items",
    "maxLength": "is longer than {limit:,} characters",
    "minimum": "must be at least {limit}, not {value}",
    "maximum": "must be at most {limit:,}, not {value}",
    "exclusiveMinimum": "must be more than {limit}, not {value}",
}
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_LONGEST_SHOWN = 40
_DASHES = 'each item of a list begins with a dash, or the list is in brackets: ["..."]'


def types_of(schema: Schema) -> list[str]:
    """Return the JSON types that a value may have."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def shown(value: Any) -> str:
    """Return a value quoted, and cut where it is long."""
    text = str(value)
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return json.dumps(cut, ensure_ascii=False)


def describe(keyword: str, limit: Any, value: Any, schema: Schema) -> tuple[str, str | None]:
    """Return a violation in words, without its place, and a hint."""
    title = schema.get("title")
    if keyword == "type":
        expected = title or format_list((_TYPES[name] for name in types_of(schema) if name != "null"), conjunction="or")
        return f"must be {expected}, not {_describe_value(value)}", _type_hint(schema, value)
    if keyword in ("enum", "const"):
        allowed = [str(choice) for choice in (limit if keyword == "enum" else [limit])]
        return f"must be {format_list(allowed, conjunction='or')}, not {shown(value)}", did_you_mean(
            str(value), allowed
        )
    if title == "a duration":
        try:
            parse_duration(str(value))
        except ValueError as error:
            return str(error), None
        return "is not a duration", None
    if keyword == "pattern":
        tidy = "-".join(re.findall("[A-Za-z0-9]+", value))
        is_valid = tidy and tidy != value and re.search(schema["pattern"], tidy)
        message = f"{shown(value)} is not {title or 'allowed here'}" if value.strip() else "is blank"
        return message, f'for instance "{tidy}"' if is_valid else None
    return _SIZES[keyword].format(limit=limit, value=value), None


def _describe_value(value: Any) -> str:
    if isinstance(value, str):
        return f"the string {shown(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a map" if isinstance(value, dict) else "nothing"


def _type_hint(schema: Schema, value: Any) -> str | None:
    types = types_of(schema)
    if isinstance(value, dict) and "array" in types:
        has_maps = "$ref" in schema.get("items", {})
        return 'each item of a list begins with a dash: "- name: api"' if has_maps else _DASHES
    if isinstance(value, dict) and "string" in types:
        return "quote a text that contains a colon and a space, or begins with a brace"
    return _text_hint(schema, value) if isinstance(value, str) else None


def _text_hint(schema: Schema, value: str) -> str | None:
    types = types_of(schema)
    is_short = len(value) <= _LONGEST_SHOWN and "\n" not in value
    if "boolean" in types and value.lower() in _YES_NO:
        return f"write {_YES_NO[value.lower()]}"
    if "array" in types and is_short:
        return f"write a list: {json.dumps(re.split(', *', value), ensure_ascii=False)}"
    if "object" in types and "run" in schema.get("properties", {}) and is_short:
        return f"write {{run: {json.dumps(value, ensure_ascii=False)}}}"
    if {"integer", "number"} & {*types} and (number := re.fullmatch(r"[^\d-]*?0*(\d+(?:\.\d+)?)\D*", value)):
        return f"write {number[1]}, without quotes, signs and units"
    return None
