"""Validate the composed document against ``schemas/blueprint.schema.json``; each violation becomes a Problem.

Editors use the same file. Where the schema allows a string, a scalar is what was typed (``PORT: 3000`` is "3000"), so
no value is converted to a number and back. The type null is for editors only: nulls are removed before. The schema
branches by if/then only, so that each violation belongs to the branch that was meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, cast

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.blueprint.compose import VERSION
from orchestra.blueprint.fast_validate import Schema, holds
from orchestra.blueprint.model import Key
from orchestra.blueprint.problems import Findings
from orchestra.blueprint.schema_messages import describe, shown, types_of
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Node, Plain, Scalar
from orchestra.text import nearest

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
        return node.text if "string" in types_of(schema) and not node.is_null else node.value
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
    if path[:1] == ("profiles",) and isinstance(error.instance, str) and "<<" in error.instance:
        return  # checked in each agent, after substitution
    if keyword == "pattern" and error.instance == "" and "minLength" in schema:
        return  # minLength reports it
    if error.schema is False:
        _report_unfit(path, findings)
    elif "propertyNames" in error.absolute_schema_path:
        fault = f"must be {schema.get('title', 'shorter')}" if keyword == "pattern" else "is empty or too long"
        findings.at_key((*path, str(error.instance)), f"{shown(error.instance)} {fault}")
    elif keyword == "additionalProperties":
        _report_unknown(path, schema, findings)
    elif keyword == "required":
        _report_missing(error, path, schema, findings)
    else:
        message, hint = describe(keyword, error.validator_value, error.instance, schema)
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
            findings.at_key((*path, key), f"unknown key {shown(key)}", hint)


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
