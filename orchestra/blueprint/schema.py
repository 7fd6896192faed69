"""The composed document against ``schemas/blueprint.schema.json``: each violation as a Problem at the right place.

The same file serves editors: what ``validate`` refuses by it, a language server underlines. Where the schema allows a
string, a scalar is what was typed (``PORT: 3000`` is "3000", ``run: true`` is "true", which an editor wants quoted): no
value is turned into a number and back. The type null is for editors only: what is null has been taken away by now.
Refuses: to guess among alternatives; the schema branches by if/then only, so that each violation is the one of the
branch that was meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.extends import VERSION
from orchestra.blueprint.findings import Findings
from orchestra.blueprint.model import Key
from orchestra.blueprint.near import did_you_mean, nearest
from orchestra.blueprint.node import ListNode, MapNode, Node, Plain, Scalar
from orchestra.blueprint.precheck import Schema, holds

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

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


@cache
def load_schema() -> Schema:
    """The shipped schema."""
    file = shipped_data_folder() / "schemas" / "blueprint.schema.json"
    return cast(Schema, json.loads(file.read_text(encoding="utf-8")))


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load_schema())


def check(root: MapNode, findings: Findings) -> dict[str, Plain]:
    """The document as plain values, its violations added to ``findings``."""
    data = typed(root, load_schema())
    assert isinstance(data, dict)  # noqa: S101 - a map stays a map
    if not holds(data, load_schema(), load_schema()):
        for error in _validator().iter_errors(data):
            _report(error, findings)
    return data


# Values as the schema wants them


def typed(node: Node, schema: Schema) -> Plain:
    """The tree as plain values; a scalar is its text wherever ``schema`` allows a string."""
    schema = _followed(schema)
    if isinstance(node, Scalar):
        return node.text if "string" in _types(schema) and not node.is_null else node.value
    if isinstance(node, ListNode):
        return [typed(item, schema.get("items", {})) for item in node.items]
    return {key: typed(entry.node, _of_key(key, schema)) for key, entry in node.entries.items()}


def _followed(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = load_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _of_key(key: str, schema: Schema) -> Schema:
    own = schema.get("properties", {}).get(key)
    if own is None:
        own = schema.get("additionalProperties")
    return own if isinstance(own, dict) else {}


def _types(schema: Schema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


# Violations as problems


def _report(error: ValidationError, findings: Findings) -> None:
    path = cast(Key, tuple(error.absolute_path))
    keyword = str(error.validator)
    schema = cast(Schema, error.schema)
    if path == ("version",) and findings.text(path) not in (None, VERSION):
        return  # said of the very file that set it
    if path[:1] == ("profiles",) and isinstance(error.instance, str) and "<<" in error.instance:
        return  # judged where an agent fills it in
    if error.schema is False:
        _report_unfit(path, findings)
    elif "propertyNames" in error.absolute_schema_path:
        _report_key(error, path, schema, findings)
    elif keyword == "additionalProperties":
        _report_unknown(path, schema, findings)
    elif keyword == "required":
        _report_missing(error, path, schema, findings)
    elif keyword == "pattern" and error.instance == "" and "minLength" in schema:
        return  # said by minLength already
    else:
        message, hint = _describe(keyword, error.validator_value, error.instance, schema)
        findings.at_value(path, message, hint)


def _report_key(error: ValidationError, path: Key, schema: Schema, findings: Findings) -> None:
    shown = _shown(error.instance)
    wanted = schema.get("title", "shorter")
    message = f"{shown} must be {wanted}" if error.validator == "pattern" else f"{shown} is empty or too long"
    findings.at_key((*path, str(error.instance)), message)


def _report_unknown(path: Key, schema: Schema, findings: Findings) -> None:
    node = findings.node(path)
    assert isinstance(node, MapNode)  # noqa: S101 - only maps have additionalProperties
    known = schema["properties"]
    for key in node.entries:
        if key not in known:
            otherwise = f"known keys: {', '.join(known)} (keys of your own begin with x-)"
            findings.at_key((*path, key), f"unknown key {_shown(key)}", did_you_mean(key, known, otherwise=otherwise))


def _report_missing(error: ValidationError, path: Key, schema: Schema, findings: Findings) -> None:
    node = findings.node(path)
    assert isinstance(node, MapNode)  # noqa: S101 - only maps require keys
    known = _at(path).get("properties", {})
    for key in cast("list[str]", error.validator_value):
        if key in node.entries or _is_mistyped(key, node.entries, known):
            continue
        example = _followed(known.get(key, {})).get("examples", [None])[0]
        hint = f"for instance {key}: {json.dumps(example, ensure_ascii=False)}" if example is not None else None
        findings.at_missing(path, key, hint)


def _is_mistyped(missing: str, present: Iterable[str], known: Iterable[str]) -> bool:
    """Whether an unknown key is what the missing one was meant to be: one slip, one message."""
    return any(key not in known and nearest(key, known) == missing for key in present)


def _report_unfit(path: Key, findings: Findings) -> None:
    """Every key of the gate that its kind does not have: jsonschema does not tell which one a ``false`` refused."""
    gate = findings.node(path)
    assert isinstance(gate, MapNode)  # noqa: S101 - only keys of gates are refused by false
    other, branch = ("builtin", "then") if "builtin" in gate.entries else ("run", "else")
    for key in _at(path)[branch]["properties"]:
        if key in gate.entries:
            findings.at_key((*path, key), f'"{key}" does not go with "{other}"')


def _describe(keyword: str, limit: Any, value: Any, schema: Schema) -> tuple[str, str | None]:
    """A violation in words, without its place."""
    if keyword == "type":
        return f"must be {_wanted(schema)}, not {_found(value)}", _type_hint(limit, value)
    if keyword in ("enum", "const"):
        allowed = [str(one) for one in (limit if keyword == "enum" else [limit])]
        return f"must be {_or(allowed)}, not {_shown(value)}", did_you_mean(str(value), allowed)
    if schema.get("title") == "a duration":
        return _duration_problem(str(value)), None
    if keyword == "pattern":
        return _pattern_problem(value, schema), None
    return _size_problem(keyword, limit, value), None


def _pattern_problem(value: str, schema: Schema) -> str:
    if not value.strip():
        return "is blank"
    return f"{_shown(value)} is not {schema.get('title', 'allowed here')}"


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
    return str(title) if title else _or([_TYPES[name] for name in _types(schema) if name != "null"])


def _found(value: Any) -> str:
    if isinstance(value, str):
        return f"the string {_shown(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a map" if isinstance(value, dict) else "nothing"


def _type_hint(wanted: str | list[str], value: Any) -> str | None:
    if wanted == "boolean" and isinstance(value, str) and value.lower() in _YES_NO:
        return f"write {_YES_NO[value.lower()]}"
    if "array" in wanted and isinstance(value, str) and len(value) <= _LONGEST_SHOWN and "\n" not in value:
        return f"write a list: [{json.dumps(value, ensure_ascii=False)}]"
    if wanted in ("integer", "number") and isinstance(value, str) and value.strip("0123456789.") == "":
        return "a number is written without quotes and leading zeros"
    return None


def _shown(value: Any) -> str:
    text = str(value)
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return json.dumps(cut, ensure_ascii=False)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _at(path: Key) -> Schema:
    """The schema of the value at ``path``."""
    schema = load_schema()
    for step in path:
        schema = _followed(schema.get("items", {}) if isinstance(step, int) else _of_key(step, schema))
    return schema
