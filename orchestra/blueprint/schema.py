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
from typing import TYPE_CHECKING, cast

from orchestra.blueprint.catalog import shipped_data_folder
from orchestra.blueprint.compose import VERSION
from orchestra.blueprint.fast_validate import Schema, holds
from orchestra.blueprint.model import Key
from orchestra.blueprint.problem_collector import Findings
from orchestra.blueprint.schema_messages import describe, shown, types_of
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Node, Plain, Scalar
from orchestra.text import nearest

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
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
"""What other tools call a key of ours: no slip of the finger, so no resemblance finds it."""


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
        return node.text if "string" in types_of(schema) and not node.is_null else node.value
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
        message, hint = describe(keyword, error.validator_value, error.instance, schema)
        findings.at_value(path, message, hint)


def _report_key(error: ValidationError, path: Key, schema: Schema, findings: Findings) -> None:
    name = shown(error.instance)
    wanted = schema.get("title", "shorter")
    message = f"{name} must be {wanted}" if error.validator == "pattern" else f"{name} is empty or too long"
    findings.at_key((*path, str(error.instance)), message)


def _report_unknown(path: Key, schema: Schema, findings: Findings) -> None:
    node = findings.node(path)
    assert isinstance(node, MapNode)  # noqa: S101 - only maps have additionalProperties
    known = schema["properties"]
    for key in node.entries:
        if key not in known:
            meant = _meant(key, known)
            listing = f"known keys: {', '.join(known)} (keys of your own begin with x-)"
            hint = f'did you mean "{meant}"?' if meant else listing
            findings.at_key((*path, key), f"unknown key {shown(key)}", hint)


def _meant(key: str, known: Iterable[str]) -> str | None:
    """The known key that this one was meant to be, None where nobody can tell."""
    words = (ours for ours, others in _OTHER_WORDS.items() if ours in known and key.casefold() in others.split())
    return next(words, None) or nearest(key, known)


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
    return any(key not in known and _meant(key, known) == missing for key in present)


def _report_unfit(path: Key, findings: Findings) -> None:
    """Every key of the gate that its kind does not have: jsonschema does not tell which one a ``false`` refused."""
    gate = findings.node(path)
    assert isinstance(gate, MapNode)  # noqa: S101 - only keys of gates are refused by false
    other, branch = ("builtin", "then") if "builtin" in gate.entries else ("run", "else")
    for key in _at(path)[branch]["properties"]:
        if key in gate.entries:
            findings.at_key((*path, key), f'"{key}" does not go with "{other}"')


def _at(path: Key) -> Schema:
    """The schema of the value at ``path``."""
    schema = load_schema()
    for step in path:
        schema = _followed(schema.get("items", {}) if isinstance(step, int) else _of_key(step, schema))
    return schema
