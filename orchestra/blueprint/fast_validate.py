"""Validate a document in the few keywords that our schemas use, without importing jsonschema.

The import of jsonschema takes longer than loading a blueprint, and nearly every blueprint is valid (``status`` loads
one each time). ``holds`` accepts nothing that jsonschema refuses; jsonschema then explains a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

Schema = Mapping[str, Any]
_Check = Callable[[Any, Any], bool]


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
_SIZES: Final[dict[str, tuple[type | tuple[type, ...], _Check]]] = {
    "minItems": (list, lambda value, limit: len(value) >= limit),
    "maxItems": (list, lambda value, limit: len(value) <= limit),
    "minLength": (str, lambda value, limit: len(value) >= limit),
    "maxLength": (str, lambda value, limit: len(value) <= limit),
    "pattern": (str, lambda value, limit: _compiled(limit).search(value) is not None),
    "minimum": ((int, float), lambda value, limit: value >= limit),
    "maximum": ((int, float), lambda value, limit: value <= limit),
    "exclusiveMinimum": ((int, float), lambda value, limit: value > limit),
    "required": (dict, lambda value, keys: all(key in value for key in keys)),
    "enum": (object, lambda value, allowed: isinstance(value, str) and value in allowed),
    "const": (object, lambda value, constant: type(value) is type(constant) and value == constant),
}
_STRUCTURE: Final = {"$ref", "type", "items", "if", "propertyNames", "properties", "additionalProperties"}
KEYWORDS: Final = frozenset(_SIZES) | _STRUCTURE | {"then", "else", "patternProperties"}
"""The supported keywords; all others must be annotations."""


def holds(value: Any, schema: Schema, root: Schema) -> bool:
    """Return True where ``value`` is certainly valid; ``root`` holds the ``$defs`` that ``schema`` refers to."""
    if "$ref" in schema:
        return holds(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    types = schema.get("type")
    if types is not None and not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return False
    for keyword, (kinds, check) in _SIZES.items():
        if keyword in schema and isinstance(value, kinds) and not check(value, schema[keyword]):
            return False
    if isinstance(value, list) and "items" in schema and not all(holds(item, schema["items"], root) for item in value):
        return False
    if "if" in schema:
        branch = schema.get("then" if holds(value, schema["if"], root) else "else")
        if branch is not None and not holds(value, branch, root):
            return False
    if not isinstance(value, dict):
        return True
    names = schema.get("propertyNames")
    if names is not None and not all(holds(key, names, root) for key in value):
        return False
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        item_schema = properties.get(key, additional)
        if item_schema is False or (item_schema is not True and not holds(item, item_schema, root)):
            return False
    return True
