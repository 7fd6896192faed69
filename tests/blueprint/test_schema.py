"""The schema: whole, described, and at one with the model and with draft-07."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from orchestra.blueprint import model
from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.schema import load_schema

SCHEMA = load_schema()
ROOT = SCHEMA["properties"]
DEFS = SCHEMA["$defs"]
SAME_IN_DRAFT_07 = set(
    """$schema $id $ref $defs title description type properties patternProperties additionalProperties required items
    minItems maxItems enum const pattern minLength maxLength minimum maximum exclusiveMinimum propertyNames default
    examples if then else""".split()
)
FOR_EDITORS = {"enumDescriptions", "patternErrorMessage", "errorMessage", "defaultSnippets"}
"""What VS Code and yaml-language-server show; validators take them for annotations."""


def schemas(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with a name for it."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for keyword in ("items", "additionalProperties", "propertyNames", "if", "then", "else"):
        yield from schemas(schema.get(keyword), f"{path}/{keyword}")
    for keyword in ("properties", "patternProperties", "$defs"):
        for key, value in schema.get(keyword, {}).items():
            yield from schemas(value, f"{path}/{keyword}/{key}")


def followed(schema: Any) -> Any:
    return DEFS[schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def described(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a person can write, with its schema."""
    for path, found in schemas(schema):
        if path.endswith(("/then", "/else")):
            continue  # these only take keys away again
        for key, value in found.get("properties", {}).items():
            yield f"{path}/{key}", followed(value)


def test_is_a_schema_of_both_drafts() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_uses_only_keywords_that_mean_the_same_in_draft_07() -> None:
    for path, schema in schemas(SCHEMA):
        assert set(schema) <= SAME_IN_DRAFT_07 | FOR_EDITORS, path
        if "$ref" in schema:
            assert set(schema) == {"$ref"}, f"{path}: draft-07 ignores what stands beside $ref"


@pytest.mark.parametrize(
    ("path", "schema"), list(described(SCHEMA)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_key_is_described_with_examples_that_are_valid(path: str, schema: dict[str, Any]) -> None:
    assert schema.get("description"), path
    assert schema["description"].endswith("."), path
    assert schema.get("examples"), path
    validator = Draft202012Validator({**schema, "$defs": DEFS})
    for example in schema["examples"]:
        assert validator.is_valid(example), (path, example)
    if "default" in schema:
        assert validator.is_valid(schema["default"]), path


def test_every_map_is_closed_but_for_x() -> None:
    for path, schema in schemas(SCHEMA):
        if "properties" in schema and "/then" not in path and "/else" not in path:
            assert schema["additionalProperties"] is False, path
            assert schema["patternProperties"] == {"^x-": {}}, path


def test_an_agents_runner_has_the_keys_of_the_fleets_and_no_defaults_of_its_own() -> None:
    fleets, agents = ROOT["runner"]["properties"], DEFS["agentRunner"]["properties"]
    assert list(agents) == list(fleets)
    assert not [key for key, schema in agents.items() if "default" in schema], "an editor would write them down"


def test_what_one_hovers_over_tells_the_default() -> None:
    for path, schema in described(SCHEMA):
        default = schema.get("default")
        if isinstance(default, (str, int, float)) and default != "":
            default_text = str(default).lower() if isinstance(default, bool) else default
            assert schema["description"].endswith(f" Default: {default_text}."), path


def test_every_choice_is_described() -> None:
    for path, schema in schemas(SCHEMA):
        if "enum" in schema:
            assert len(schema["enumDescriptions"]) == len(schema["enum"]), path
            assert all(one.endswith(".") for one in schema["enumDescriptions"]), path


def test_no_editor_shows_a_regular_expression() -> None:
    for path, schema in schemas(SCHEMA):
        if "pattern" in schema and not path.endswith("/propertyNames"):
            assert schema["patternErrorMessage"].endswith("."), path


def test_the_root_has_no_title() -> None:
    """yaml-language-server heads every hover with the nearest title above it."""
    assert "title" not in SCHEMA


def test_no_key_is_completed_with_a_map_for_a_label() -> None:
    """It offers each example, and a map among others as ``[object Object]``."""
    for path, schema in schemas(SCHEMA):
        if {"array", "string"} & {*([] if isinstance(schema.get("type"), str) else schema.get("type", []))}:
            assert not [one for one in schema.get("examples", []) if isinstance(one, dict)], path


def model_default(owner: type, field: str) -> Any:
    (found,) = [one for one in dataclasses.fields(owner) if one.name == field]
    return found.default_factory() if callable(found.default_factory) else found.default


TWINS: list[tuple[type, dict[str, Any]]] = [
    (model.Worktrees, ROOT["worktrees"]["properties"]),
    (model.Setup, ROOT["worktrees"]["properties"]["setup"]["properties"]),
    (model.Runner, ROOT["runner"]["properties"]),
    (model.Limits, ROOT["limits"]["properties"]),
    (model.Slots, ROOT["slots"]["properties"]),
    (model.Merge, ROOT["merge"]["properties"]),
    (model.Scope, DEFS["agentScope"]["properties"]),
]


@pytest.mark.parametrize(("owner", "properties"), TWINS, ids=lambda value: getattr(value, "__name__", ""))
def test_keys_and_defaults_are_those_of_the_model(owner: type, properties: dict[str, Any]) -> None:
    fields = {one.name.removesuffix("_s"): one.name for one in dataclasses.fields(owner)}
    assert set(properties) == set(fields)
    for key, schema in properties.items():
        default = model_default(owner, fields[key])
        if "default" in schema:
            assert as_model(schema["default"], fields[key]) == default, key
        else:
            nothing = default is None or default is dataclasses.MISSING or dataclasses.is_dataclass(default)
            assert nothing, f"{owner.__name__}.{key} has a default that the schema does not tell"


def as_model(value: Any, field: str) -> Any:
    if field.endswith("_s"):
        return parse_duration(value)
    return tuple(value) if isinstance(value, list) else value


def test_gates_have_the_models_defaults() -> None:
    gate = DEFS["gate"]["properties"]
    run = {one.name.removesuffix("_s") for one in dataclasses.fields(model.RunGate)} - {"name", "is_argv"}
    builtin = {one.name for one in dataclasses.fields(model.BuiltinGate)} - {"name"}
    assert set(gate) == run | builtin
    assert parse_duration(gate["timeout"]["default"]) == model_default(model.RunGate, "timeout_s")
    assert gate["retries"]["default"] == model_default(model.RunGate, "retries")
    assert gate["policy"]["default"] == model_default(model.BuiltinGate, "policy")
    assert gate["untested"]["default"] == model_default(model.BuiltinGate, "untested")
    assert gate["env"]["default"] == {} == dict(model_default(model.RunGate, "env"))


@pytest.mark.parametrize(
    ("schema", "enum"),
    [
        (ROOT["overlap"], model.Overlap),
        (ROOT["runner"]["properties"]["kind"], model.RunnerKind),
        (ROOT["runner"]["properties"]["mode"], model.RunnerMode),
        (DEFS["gate"]["properties"]["builtin"], model.Builtin),
        (DEFS["gate"]["properties"]["policy"], model.Policy),
        (DEFS["gate"]["properties"]["untested"], model.Untested),
        (ROOT["merge"]["properties"]["review"], model.Review),
        (ROOT["merge"]["properties"]["strategy"], model.Strategy),
        (ROOT["merge"]["properties"]["train"], model.Train),
        (ROOT["merge"]["properties"]["guarantee"], model.Guarantee),
        (ROOT["merge"]["properties"]["via"], model.Via),
        (ROOT["merge"]["properties"]["forge"], model.ForgeKind),
        (ROOT["merge"]["properties"]["proposals"]["items"], model.Proposer),
        (ROOT["verdicts"]["properties"]["by-agents"], model.ByAgents),
    ],
)
def test_enums_are_those_of_the_model(schema: dict[str, Any], enum: Any) -> None:
    assert schema["enum"] == [one.value for one in enum]


def test_agents_and_profiles_share_their_keys() -> None:
    assert set(DEFS["agent"]["properties"]) - set(DEFS["profile"]["properties"]) == {"name"}
    agent_fields = {one.name for one in dataclasses.fields(model.Agent)} - {
        "number",
        "branch",
        "directory",
        "adopted",
        "ports",
    }
    assert set(DEFS["agent"]["properties"]) == agent_fields | {"from", "with"}


def test_the_top_level_is_the_models() -> None:
    derived = {"merge_order", "predecessors", "source", "origins"}
    fields = {one.name for one in dataclasses.fields(model.Blueprint)} - derived
    assert set(ROOT) == fields | {"extends", "profiles"}
