"""Trailers at the end of a commit message, by git's own rule.

Invariant: the message keeps every other byte; adding twice is the same as adding once. The rule is the one of
``git interpret-trailers --no-divider`` (git-scm.com/docs/git-interpret-trailers): the last paragraph is a trailer
block when it is not the title and all its lines are trailers, or one of them is git's own and at least a quarter are.
Refuses: to decode. Our keys and values are ASCII, so they fit every encoding that git allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TRAILER = re.compile(rb"([A-Za-z0-9-]+)[ \t]*:")
_GENERATED = (b"Signed-off-by: ", b"(cherry picked from commit ")


def add_trailers(message: bytes, trailers: Mapping[str, str]) -> bytes:
    """``message`` with each of ``trailers`` set: earlier lines with the same key in its trailer block are dropped."""
    body, block = _split(message)
    ours = {key.lower().encode(): f"{key}: {value}\n".encode("ascii") for key, value in trailers.items()}
    remaining = b"".join(line for line in _unfolded(block) if _key(line) not in ours)
    return body + remaining + b"".join(ours.values())


def trailer_values(message: bytes, key: str) -> tuple[str, ...]:
    """The values of ``key`` in the trailer block, in order."""
    lower_key = key.lower().encode()
    lines = (line for line in _unfolded(_split(message)[1]) if _key(line) == lower_key)
    return tuple(line.partition(b":")[2].strip().decode("utf-8", "replace") for line in lines)


def split_trailers(message: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the message without its trailer block, and the trailers, one a line (a folded one has several)."""
    body, block = _split(message)
    return body.rstrip(b"\n") + b"\n", tuple(_unfolded(block))


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Everything before the trailer block, the empty line included, and the block (or nothing)."""
    text = message.rstrip(b" \t\r\n\v\f")
    if not text:
        return b"\n", b""
    text += b"\n"
    lines = re.findall(rb"[^\n]*\n", text)
    start = len(lines)
    while start > 0 and lines[start - 1].strip():
        start -= 1
    if start == 0 or not any(line.strip() for line in lines[:start]) or not _is_block(lines[start:]):
        return text + b"\n", b""
    return b"".join(lines[:start]), b"".join(lines[start:])


def _is_block(lines: list[bytes]) -> bool:
    generated, trailers, plain_lines, previous = False, 0, 0, False
    for line in lines:
        if line[:1] in b" \t" and previous:
            continue  # a folded value
        is_generated = line.startswith(_GENERATED)
        generated = generated or is_generated
        previous = is_generated or _TRAILER.match(line) is not None
        trailers, plain_lines = trailers + previous, plain_lines + (not previous)
    return trailers > 0 and (plain_lines == 0 or (generated and trailers * 3 >= plain_lines))


def _unfolded(block: bytes) -> list[bytes]:
    items: list[bytes] = []
    for line in re.findall(rb"[^\n]*\n", block):
        if items and line[:1] in b" \t":
            items[-1] += line
        else:
            items.append(line)
    return items


def _key(line: bytes) -> bytes:
    match = _TRAILER.match(line)
    return match[1].lower() if match else b""
