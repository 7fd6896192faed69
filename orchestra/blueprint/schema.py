"""Validate the composed document against ``schemas/blueprint.schema.json``; each violation becomes a Problem in words.

Editors use the same file. Where the schema allows a string, a scalar is what was typed (``PORT: 3000`` is "3000"), so
no value is converted to a number and back. The type null is for editors only: nulls are removed before. The schema
branches by if/then only, so that each violation belongs to the branch that was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.blueprint.compose import VERSION
from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.fast_validate import Schema, holds
from orchestra.blueprint.model import Key
from orchestra.blueprint.problems import Findings
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Node, Plain, Scalar
from orchestra.text import did_you_mean, format_list, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_OTHER_WORDS = {
    "merge_after": "after depends_on dependencies needs requires",
    "task": "prompt instructions assignment goal",
    "scope": "files paths path folders owns include",
    "done_when": "acceptance acceptance_criteria criteria checks definition_of_done",
    "protected": "readonly read_only forbidden",
    "run": "cmd command script",
    "max_budget_usd": "budget max_cost",
    "title": "label summary",
}
"""The words of other tools for our keys, which are too different for a search by similarity."""
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


@cache
def load_schema() -> Schema:
    """Return the shipped schema."""
    file = shipped_data_folder() / "schemas" / "blueprint.schema.json"
    return cast(Schema, json.loads(file.read_text(encoding="utf-8")))


def check(root: MapNode, findings: Findings) -> dict[str, Plain]:
    """Return the document as plain values, its violations added to ``findings``."""
    data = typed(root, load_schema())
    assert isinstance(data, dict)  # noqa: S101 - a map stays a map
    if not holds(data, load_schema(), load_schema()):
        from jsonschema import Draft202012Validator

        for error in Draft202012Validator(load_schema()).iter_errors(data):
            _report(error, findings)
    return data


# Values as the schema wants them


def typed(node: Node, schema: Schema) -> Plain:
    """Return the tree as plain values; a scalar is its text wherever ``schema`` allows a string."""
    schema = _followed(schema)
    if isinstance(node, Scalar):
        return node.text if "string" in _types_of(schema) and not node.is_null else node.value
    if isinstance(node, ListNode):
        return [typed(item, schema.get("items", {})) for item in node.items]
    return {key: typed(entry.node, _of_key(key, schema)) for key, entry in node.entries.items()}


def _followed(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = load_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _of_key(key: str, schema: Schema) -> Schema:
    value_schema = schema.get("properties", {}).get(key)
    if value_schema is None:
        value_schema = schema.get("additionalProperties")
    return value_schema if isinstance(value_schema, dict) else {}


# Violations as problems


def _report(error: ValidationError, findings: Findings) -> None:
    path = cast(Key, tuple(error.absolute_path))
    keyword = str(error.validator)
    schema = cast(Schema, error.schema)
    if path == ("version",) and findings.text(path) not in (None, VERSION):
        return  # compose reports it at the file that set it
    inside_profile = path[:1] == ("profiles",) and path[2:]  # below profiles: NAME:
    if inside_profile and isinstance(error.instance, str) and "<<" in error.instance:
        return  # checked in each agent, after substitution
    if keyword == "pattern" and error.instance == "" and "minLength" in schema:
        return  # minLength reports it
    if error.schema is False:
        _report_unfit(path, findings)
    elif "propertyNames" in error.absolute_schema_path:
        fault = f"must be {schema.get('title', 'shorter')}" if keyword == "pattern" else "is empty or too long"
        findings.at_key((*path, str(error.instance)), f"{_shown(error.instance)} {fault}")
    elif keyword == "additionalProperties":
        _report_unknown(path, schema, findings)
    elif keyword == "required":
        _report_missing(error, path, schema, findings)
    else:
        message, hint = _describe(keyword, error.validator_value, error.instance, schema)
        findings.at_value(path, message, hint)


def _report_unknown(path: Key, schema: Schema, findings: Findings) -> None:
    node = findings.node(path)
    assert isinstance(node, MapNode)  # noqa: S101 - only maps have additionalProperties
    known_keys = schema["properties"]
    for key in node.entries:
        if key not in known_keys:
            meant = _meant(key, known_keys)
            listing = f"available: {', '.join(known_keys)} (your own keys begin with x-)"
            hint = f'did you mean "{meant}"?' if meant else listing
            findings.at_key((*path, key), f"unknown key {_shown(key)}", hint)


def _meant(key: str, known_keys: Iterable[str]) -> str | None:
    """Return the known key that this one was meant to be, else None."""
    words = (
        known_key
        for known_key, synonyms in _OTHER_WORDS.items()
        if known_key in known_keys and key.casefold() in synonyms.split()
    )
    return next(words, None) or nearest(key, known_keys)


def _report_missing(error: ValidationError, path: Key, schema: Schema, findings: Findings) -> None:
    node = findings.node(path)
    assert isinstance(node, MapNode)  # noqa: S101 - only maps require keys
    properties = _at(path).get("properties", {})
    unknown = {_meant(key, properties) for key in node.entries if key not in properties}
    for key in cast("list[str]", error.validator_value):
        if key in node.entries or key in unknown:
            continue  # an unknown key that was meant to be this one is reported already
        example = _followed(properties.get(key, {})).get("examples", [None])[0]
        hint = f"for instance {key}: {json.dumps(example, ensure_ascii=False)}" if example is not None else None
        findings.at_missing(path, key, hint)


def _report_unfit(path: Key, findings: Findings) -> None:
    """Report every key that this kind of gate does not have; jsonschema does not say which one a ``false`` refused."""
    gate = findings.node(path)
    assert isinstance(gate, MapNode)  # noqa: S101 - only keys of gates are refused by false
    gate_kind, branch = ("builtin", "then") if "builtin" in gate.entries else ("run", "else")
    for key in _at(path)[branch]["properties"]:
        if key in gate.entries:
            findings.at_key((*path, key), f'"{key}" cannot be combined with "{gate_kind}"')


def _at(path: Key) -> Schema:
    """Return the schema of the value at ``path``."""
    schema = load_schema()
    for step in path:
        schema = _followed(schema.get("items", {}) if isinstance(step, int) else _of_key(step, schema))
    return schema


# Messages


def _types_of(schema: Schema) -> list[str]:
    """Return the JSON types that a value may have."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _shown(value: Any) -> str:
    """Return a value quoted, and cut where it is long."""
    text = str(value)
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return json.dumps(cut, ensure_ascii=False)


def _describe(keyword: str, limit: Any, value: Any, schema: Schema) -> tuple[str, str | None]:
    """Return a violation in words, without its place, and a hint."""
    title = schema.get("title")
    if keyword == "type":
        types = (_TYPES[name] for name in _types_of(schema) if name != "null")
        expected = title or format_list(types, conjunction="or")
        words = {str: f"the string {_shown(value)}", bool: str(value).lower(), list: "a list", dict: "a map"}
        words |= {int: f"the number {value}", float: f"the number {value}"}
        return f"must be {expected}, not {words.get(type(value), 'nothing')}", _type_hint(schema, value)
    if keyword in ("enum", "const"):
        allowed = [str(choice) for choice in (limit if keyword == "enum" else [limit])]
        message = f"must be {format_list(allowed, conjunction='or')}, not {_shown(value)}"
        return message, did_you_mean(str(value), allowed)
    if title == "a duration":
        try:
            parse_duration(str(value))
        except ValueError as error:
            return str(error), None
        return "is not a duration", None
    if keyword == "pattern":
        tidy = "-".join(re.findall("[A-Za-z0-9]+", value))
        is_valid = tidy and tidy != value and re.search(schema["pattern"], tidy)
        message = f"{_shown(value)} is not {title or 'allowed here'}" if value.strip() else "is blank"
        return message, f'for instance "{tidy}"' if is_valid else None
    return _SIZES[keyword].format(limit=limit, value=value), None


def _type_hint(schema: Schema, value: Any) -> str | None:
    types = _types_of(schema)
    if isinstance(value, dict) and "array" in types:
        has_maps = "$ref" in schema.get("items", {})
        return 'each item of a list begins with a dash: "- name: api"' if has_maps else _DASHES
    if isinstance(value, dict) and "string" in types:
        return "quote a text that contains a colon and a space, or begins with a brace"
    if not isinstance(value, str):
        return None
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
