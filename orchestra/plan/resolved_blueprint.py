"""Write a composed blueprint as YAML lines, each value with its origin as a comment.

The YAML reads back as the same document; a scalar that could be read as another type is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.load import Resolved
from orchestra.blueprint.model import Key, Origin
from orchestra.blueprint.yaml_tree import Plain

# Words that a YAML reader may not take as a string (yaml.org/type, 1.1's booleans among them).
_NO_STRINGS = re.compile(r"(?i)(true|false|null|yes|no|on|off|y|n|\.inf|\.nan)\Z")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*\Z")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def draw_resolved(resolved: Resolved, home: Path) -> list[str]:
    """Return the lines; places below ``home`` are shown relative to it."""
    return list(_Drawing(resolved.origins, home).mapping(resolved.document, (), ""))


@dataclass(frozen=True, slots=True)
class _Drawing:
    origins: Mapping[Key, Origin]
    home: Path

    def mapping(self, values: Mapping[str, Plain], key: Key, indent: str) -> Iterator[str]:
        for name, value in values.items():
            yield from self.value(value, (*key, name), indent, f"{indent}{_scalar(name)}:")

    def value(self, value: Plain, key: Key, indent: str, start: str) -> Iterator[str]:
        """Return Yield the lines of one value; ``start`` precedes it on its first line."""
        if isinstance(value, dict) and value:
            yield from self.below(start, self.mapping(value, key, f"{indent}  "), f"{indent}  ")
        elif isinstance(value, list) and value:
            yield start
            for number, item in enumerate(value):
                yield from self.value(item, (*key, number), f"{indent}  ", f"{indent}  -")
        elif isinstance(value, str) and _is_block(value):
            chomp = "" if value.endswith("\n") else "-"
            yield f"{start} |{chomp}{self.place(key)}"
            yield from (f"{indent}  {line}".rstrip(" ") if not line else f"{indent}  {line}" for line in _lines(value))
        else:
            yield f"{start} {_scalar(value)}{self.place(key)}"

    @staticmethod
    def below(start: str, lines: Iterator[str], indent: str) -> Iterator[str]:
        """Yield a map below its key; a map that is a list's item begins on the line of its dash."""
        if start.endswith("-"):
            yield f"{start} {next(lines).removeprefix(indent)}"
        else:
            yield start
        yield from lines

    def place(self, key: Key) -> str:
        origin = self.origins.get(key)
        if origin is None:
            return ""
        file = origin.file.relative_to(self.home) if origin.file.is_relative_to(self.home) else origin.file
        return f"  # {file}:{origin.line}"


def _is_block(text: str) -> bool:
    """Return True where a literal block shows the text as it is: several lines, the first not indented, at most one
    newline
    at the end."""
    body = text.removesuffix("\n")
    plain = bool(body) and body[0] not in " \n" and not body.endswith("\n")
    return plain and "\n" in text and not _CONTROL.search(text)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _scalar(value: Plain) -> str:
    if isinstance(value, str) and _PLAIN.match(value) and not _NO_STRINGS.match(value):
        return value
    if isinstance(value, str):
        # JSON's escapes are YAML's too, but for what JSON leaves as it is and YAML does not allow in a document.
        return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(value, ensure_ascii=False))
    # 1e-07 is a number in YAML 1.2 and a string in 1.1; 1.0e-07 is one in both.
    return re.sub(r"\A(-?[0-9]+)e", r"\1.0e", json.dumps(value))
