"""The quick validation agrees with jsonschema."""

from __future__ import annotations

import copy
import random
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestra.blueprint.fast_validate import KEYWORDS, holds
from orchestra.blueprint.schema import load_schema
from tests.blueprint.test_fuzz import SEEDS, VALUES, holders
from tests.blueprint.test_schema import FOR_EDITORS, SAME_IN_DRAFT_07, schemas

SCHEMA = load_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "examples", *FOR_EDITORS}
DOCUMENTS = [yaml.safe_load(seed) for seed in SEEDS.values()]


def quick(document: Any) -> bool:
    return holds(document, SCHEMA, SCHEMA)


def test_every_keyword_of_the_schema_is_understood() -> None:
    for path, schema in schemas(SCHEMA):
        assert set(schema) <= KEYWORDS | ANNOTATIONS, path
        assert set(schema.get("patternProperties", {})) <= {"^x-"}, "x- keys are gone before, and so are not looked at"
        assert all(isinstance(one, str) for one in schema.get("enum", [])), path
    assert KEYWORDS | ANNOTATIONS == SAME_IN_DRAFT_07 | FOR_EDITORS, "keywords that no schema uses are supported"


@given(chance=st.randoms(use_true_random=False), value=VALUES, times=st.integers(1, 2))
def test_agrees_with_jsonschema(chance: random.Random, value: Any, times: int) -> None:
    document = copy.deepcopy(chance.choice(DOCUMENTS))
    for _ in range(times):
        holder = chance.choice([one for one in holders(document) if one])
        place = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        others = [found for one in DOCUMENTS for found in holders(one)]
        holder[place] = chance.choice([value, copy.deepcopy(chance.choice(others)), holder[place]])
        if isinstance(holder, dict) and chance.random() < 0.3:
            holder[chance.choice(["run", "builtin", "policy", "from", "task", "kind", "A B"])] = holder.pop(place)
    assert quick(document) == VALIDATOR.is_valid(document)


def test_agrees_with_jsonschema_on_every_leaf() -> None:
    """Each value of each document exchanged for one of each kind, and taken away."""
    for document in DOCUMENTS:
        for holder in holders(document):
            for place in list(holder) if isinstance(holder, dict) else range(len(holder)):
                kept = holder[place]
                for value in (None, True, 0, -1, 1.5, 10**9, "", " ", "x", "union", "5m", [], ["x"], {}, {"run": "x"}):
                    holder[place] = value
                    assert quick(document) == VALIDATOR.is_valid(document), (place, value)
                holder[place] = kept
