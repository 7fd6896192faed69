"""What other programs print: enough of it to know the session, the money and whether it went wrong.

A parser is chosen by the program's name. Formats: codex ``exec --json`` (events thread.started, item.completed,
turn.completed, turn.failed), gemini ``-o stream-json`` (init, message, result), opencode ``run --format json`` (text,
step_finish, error). Anything else is plain text, of which the last line is kept.

Invariant: a line that is not understood is passed over; no output can break a fleet. Refuses to guess success.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from orchestra.sessions.runners.protocol import Alert, Reader
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.usage import add, dollars

_LONGEST = 2_000
Json = dict[str, Any]


@dataclass
class Parser:
    """Sums up JSON lines with ``read`` (None: plain text)."""

    read: Callable[[SessionResult, Json], SessionResult] | None = None
    found: SessionResult = field(default_factory=SessionResult)

    def feed(self, line: bytes) -> Alert | None:
        """One line."""
        text = line.decode("utf-8", "replace").strip()
        if self.read is None:
            self.found = replace(self.found, text=text[:_LONGEST]) if text else self.found
            return None
        value = as_object(text)
        if value is not None:
            try:
                self.found = self.read(self.found, value)
            except (KeyError, TypeError, ValueError, AttributeError):
                return None  # not the shape that this program's events had when this was written
        return None

    def result(self) -> SessionResult:
        """So far."""
        return self.found


def as_object(text: str) -> Json | None:
    """The JSON object that a line is, or None."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parser_of(argv: Sequence[str]) -> Reader:
    """By the first word of the argv that is a program we know; ``npx codex`` and a path count."""
    for word in argv[:3]:
        name = PurePath(word).name.partition("@")[0]
        if name in _READERS:
            return Parser(_READERS[name])
    return Parser()


def _codex(found: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    if kind == "thread.started":
        return replace(found, session_id=str(event["thread_id"]))
    if kind == "item.completed" and event["item"].get("type", event["item"].get("item_type")) == "agent_message":
        return replace(found, text=str(event["item"]["text"])[:_LONGEST])
    if kind == "turn.completed":
        used = event["usage"]
        more = Usage(None, used["input_tokens"], used["output_tokens"], used.get("cached_input_tokens", 0), 1)
        return replace(found, usage=add(found.usage, more), is_error=False, reason="")
    if kind in ("turn.failed", "error"):
        message = event["error"]["message"] if kind == "turn.failed" else event["message"]
        return replace(found, is_error=True, reason=str(message)[:_LONGEST])
    return found


def _gemini(found: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    if kind == "init":
        return replace(found, session_id=str(event["session_id"]))
    if kind == "message" and event.get("role") == "assistant":
        before = found.text if event.get("delta") else ""
        return replace(found, text=(before + str(event["content"]))[:_LONGEST])
    if kind == "result":
        stats = event.get("stats") or {}
        used = Usage(None, stats.get("input_tokens", 0), stats.get("output_tokens", 0), 0, 1)
        failed = event.get("status") != "success"
        reason = str((event.get("error") or {}).get("message", event.get("status"))) if failed else ""
        return replace(found, usage=add(found.usage, used), is_error=failed, reason=reason[:_LONGEST])
    return found


def _opencode(found: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    found = replace(found, session_id=str(event.get("sessionID", found.session_id)))
    if kind == "text":
        return replace(found, text=str(event["part"]["text"])[:_LONGEST])
    if kind == "step_finish":
        part = event["part"]
        tokens = part["tokens"]
        used = Usage(
            dollars(part.get("cost")), tokens["input"], tokens["output"], tokens.get("cache", {}).get("read", 0), 1
        )
        return replace(found, usage=add(found.usage, used))
    if kind == "error":
        error = event.get("error") or {}
        reason = (error.get("data") or {}).get("message") or error.get("name") or "error"
        return replace(found, is_error=True, reason=str(reason)[:_LONGEST])
    return found


_READERS: dict[str, Callable[[SessionResult, Json], SessionResult]] = {
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
}
