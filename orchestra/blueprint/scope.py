"""Parse and match scope patterns: git's ``:(top,glob)`` pathspecs, matched by a regular expression.

The result is what ``git ls-files ':(top,glob)PATTERN'`` says, byte for byte (gitglossary(7), pathspec;
wildmatch.c with WM_PATHNAME), in bounded time for any file name. ``*`` and ``?`` stay inside a folder, ``**``
between slashes crosses folders, a pattern without wildcards is a file or all below that folder, and a file whose name
*is* the pattern matches it whatever the wildcards say. Refused, because they would match nothing or something else:
absolute paths, ``..``, ``!``, ``{a,b}``, ``a**``, a slash at the end of a wildcard pattern, Windows' backslashes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from orchestra.blueprint.model import Scope

Mask = int
"""A set of bytes: bit n is set where byte n is in it."""


class Wild(Enum):
    STAR = "*"  # any run of bytes but slashes
    FOLDERS = "**/"  # any number of whole folders, also zero
    BELOW = "**"  # at the end: everything below
    SELF_OR_BELOW = ""  # at the end of a plain path: the file itself, or all below the folder


Token = Mask | Wild
_SPECIAL = b"*?[\\"
_ESCAPABLE = b"*?[]\\!^-"
_SLASH = 1 << ord("/")
_ANY: Mask = ((1 << 256) - 1) & ~_SLASH & ~1
_MOST_WILDCARDS = 24
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(1, 32), 127])),
    "digit": string.digits,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "lower": string.ascii_lowercase,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}
"""The POSIX classes that wildmatch.c knows, which are ASCII only."""


class BadPattern(ValueError):  # noqa: N818
    """The pattern is refused; the text completes the sentence "the pattern ..."."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def check_pattern(pattern: str) -> None:
    """Check a pattern. Raises BadPattern."""
    # As text
    if not pattern.strip():
        raise BadPattern("is empty", "** is everything")
    if pattern != pattern.strip():
        raise BadPattern("begins or ends with a space")
    if re.search(r"[\x00-\x1f\x7f]", pattern):
        raise BadPattern("contains a control character")
    if pattern.startswith("!"):
        raise BadPattern('begins with "!"', "write scope: {include: [...], exclude: [...]}")
    if pattern.startswith(":"):
        raise BadPattern('begins with ":"', "write the bare path: :(top,glob) is understood")
    if pattern.startswith(("/", "~")) or re.match(r"[A-Za-z]:[/\\]", pattern):
        bare = pattern.lstrip("/") if pattern.startswith("/") else ""
        write = f': write "{bare}"' if bare else ""
        raise BadPattern("is absolute", f"patterns are relative to the repository's root{write}")
    if re.search(r"\{[^{}/]*,[^{}/]*\}", pattern):
        raise BadPattern("contains {a,b}, which git takes literally", "write one pattern for each")
    # As a path
    parts = pattern.split("/")
    if ".." in parts:
        raise BadPattern('contains ".."', "patterns are relative to the repository's root and stay inside it")
    if "." in parts or "" in parts[:-1]:
        tidy = "/".join(part for part in parts if part not in ("", "."))
        raise BadPattern("contains an empty part or a single dot", f'write "{tidy or "**"}"')
    if parts[0].casefold() == ".git":
        raise BadPattern("names .git, which git never tracks")
    if pattern.endswith("/") and not is_literal(pattern):
        raise BadPattern("ends with a slash after a wildcard, and matches nothing", f'write "{pattern}**"')
    # As tokens
    tokens = _parse(pattern)
    if sum(1 for token in tokens if isinstance(token, Wild) or token.bit_count() > 1) > _MOST_WILDCARDS:
        raise BadPattern(f"has more than {_MOST_WILDCARDS} wildcards", "split it into several patterns")


def is_literal(pattern: str) -> bool:
    """Return True where git sees no wildcard, so that the pattern also stands for all below a folder of that name."""
    return not any(byte in _SPECIAL for byte in pattern.encode())


# Parsing


@dataclass(frozen=True, slots=True)
class Parsed:
    """A pattern as sequences of tokens; a path matches where it matches one of them."""

    alternatives: tuple[tuple[Token, ...], ...]


@lru_cache(maxsize=4096)
def parse_pattern(pattern: str) -> Parsed:
    """Parse a pattern, cached. Raises BadPattern."""
    check_pattern(pattern)
    literal = _literal(pattern.encode("utf-8", "surrogateescape"))
    return Parsed((literal,) if is_literal(pattern) else (_parse(pattern), literal))


def _literal(data: bytes) -> tuple[Token, ...]:
    """Return the pattern as a plain path, which git tries first, also for wildcards (dir.c, match_pathspec_item)."""
    tail = Wild.BELOW if data.endswith(b"/") else Wild.SELF_OR_BELOW
    return (*(1 << byte for byte in data), tail)


def _parse(pattern: str) -> tuple[Token, ...]:
    data = pattern.encode("utf-8", "surrogateescape")
    tokens: list[Token] = []
    at = 0
    while at < len(data):
        token, at = _token(data, at)
        if token is not Wild.STAR or not tokens or tokens[-1] is not Wild.STAR:
            tokens.append(token)
    return tuple(tokens)


def _token(data: bytes, at: int) -> tuple[Token, int]:
    byte = data[at : at + 1]
    if byte == b"*":
        return _stars(data, at)
    if byte == b"?":
        return _ANY, at + 1
    if byte == b"[":
        return _bracket(data, at)
    if byte == b"\\":
        if not data[at + 1 : at + 2] or data[at + 1] not in _ESCAPABLE:
            raise BadPattern("contains a backslash that escapes no wildcard", "folders are separated by /")
        return 1 << data[at + 1], at + 2
    return 1 << data[at], at + 1


def _stars(data: bytes, at: int) -> tuple[Token, int]:
    """Return the token of a run of stars, which is ``**`` between slashes or the pattern's ends.

    Next to anything else git before 2.41 reads it as ``*`` or ``**``, depending on where its strings are in memory
    (wildmatch.c: "prev_p < text").
    """
    end = at
    while data[end : end + 1] == b"*":
        end += 1
    if end - at == 1:
        return Wild.STAR, end
    if data[max(at - 1, 0) : at] not in (b"", b"/") or data[end : end + 1] not in (b"", b"/"):
        raise BadPattern(
            "contains ** next to something other than a slash", "** crosses folders between slashes only: src/**/*.ts"
        )
    return (Wild.BELOW, end) if end == len(data) else (Wild.FOLDERS, end + 1)


def _bracket(data: bytes, at: int) -> tuple[Token, int]:
    """Return ``[...]`` as wildmatch.c reads it: a leading ] is itself, ^ or ! negates, classes and ranges are known."""
    start = at + 1
    negated = data[start : start + 1] in (b"!", b"^")
    at = start + negated
    mask, previous, first = 0, 0, True
    while first or data[at : at + 1] != b"]":
        first = False
        if at >= len(data):
            raise BadPattern("contains a [ that is never closed", "a literal one is written \\[")
        if data[at : at + 2] == b"[:" and b"]" in data[at + 2 :]:
            class_mask, at = _named_class(data, at)
            mask, previous = mask | class_mask, 0
            continue
        byte = data[at]
        if byte == ord("-") and previous and data[at + 1 : at + 2] not in (b"", b"]"):
            last, at = _bracket_byte(data, at + 1)
            mask, previous = mask | sum(1 << each for each in range(previous, last + 1)), 0
            continue
        byte, at = _bracket_byte(data, at)
        mask, previous = mask | 1 << byte, byte
    mask = (_ANY & ~mask if negated else mask) & _ANY
    if not mask:
        raise BadPattern("holds a [...] that matches nothing")
    return mask, at + 1


def _bracket_byte(data: bytes, at: int) -> tuple[int, int]:
    at += data[at : at + 1] == b"\\"
    if at >= len(data):
        raise BadPattern("contains a [ that is never closed", "a literal one is written \\[")
    return data[at], at + 1


def _named_class(data: bytes, at: int) -> tuple[Mask, int]:
    end = data.index(b"]", at + 2)
    if data[end - 1 : end] != b":" or end - 1 < at + 2:
        return 1 << ord("["), at + 1  # no ":]" at its end: an ordinary set that contains a bracket
    name = data[at + 2 : end - 1].decode("latin-1")
    if name not in _CLASSES:
        raise BadPattern(f"contains [:{name}:], which is no class", f"classes: {', '.join(_CLASSES)}")
    return sum(1 << ord(character) for character in _CLASSES[name]), end + 1


# Matching


class Matcher:
    """Says whether a path is in a scope. Paths are relative to the root, with ``/``, as git prints them with -z."""

    def __init__(self, scope: Scope) -> None:
        self._include = compile_patterns(scope.include)
        self._exclude = compile_patterns(scope.exclude)

    def matches(self, path: str) -> bool:
        data = path.encode("utf-8", "surrogateescape")
        return self._include.match(data) is not None and self._exclude.match(data) is None


def compile_patterns(patterns: Sequence[str]) -> re.Pattern[bytes]:
    """Return an expression that matches, from its start, the paths (bytes) of any pattern. Raises BadPattern."""
    sources = [_expression(tokens) for pattern in patterns for tokens in parse_pattern(pattern).alternatives]
    return re.compile(b"|".join(sources) if sources else b"(?!)", re.DOTALL)


def _expression(tokens: Sequence[Token]) -> bytes:
    """Return the expression of one alternative.

    It never backtracks into what has matched: of several ways to match a run between wildcards the leftmost is as good
    as any later one, so each is an atomic group, and a hostile file name costs no more than quadratic time.
    """
    groups = list(_split(tokens, Wild.FOLDERS))
    first, *later_groups = groups
    source = _run(first)
    for number, group in enumerate(later_groups, start=1):
        if number < len(later_groups):
            source += b"(?>(?:[^/]+/)*?" + _run(group) + b")"
        else:
            source += b"(?:[^/]+/)*?" + _run(group)
    return b"(?:" + source + rb"\Z)"


def _run(tokens: Sequence[Token]) -> bytes:
    """Return the expression of tokens without ``**/``: folder by folder, each an atomic group."""
    source = b""
    folders: list[list[Token]] = [[]]
    for token in tokens:
        folders[-1].append(token)
        if token == _SLASH:
            folders.append([])
    for part in folders:
        pieces = list(_split(part, Wild.STAR))
        first, *later_pieces = (b"".join(map(_one, piece)) for piece in pieces)
        inner = b"".join(b"(?>[^/]*?" + piece + b")" for piece in later_pieces[:-1])
        last = b"[^/]*" + later_pieces[-1] if later_pieces else b""
        ends = part and part[-1] == _SLASH
        source += b"(?>" + first + inner + last + b")" if ends else first + inner + last
    return source


def _one(token: Token) -> bytes:
    if token is Wild.BELOW:
        return b".+"
    if token is Wild.SELF_OR_BELOW:
        return b"(?:/.+)?"
    assert isinstance(token, int)  # noqa: S101 - STAR and FOLDERS are where runs are split
    if token.bit_count() == 1:
        return re.escape(bytes([token.bit_length() - 1]))
    return b"[" + b"".join(b"\\x%02x" % byte for byte in range(256) if token >> byte & 1) + b"]"


def _split(tokens: Sequence[Token], at: Wild) -> Iterator[Sequence[Token]]:
    start = 0
    for index, token in enumerate(tokens):
        if token is at:
            yield tokens[start:index]
            start = index + 1
    yield tokens[start:]
