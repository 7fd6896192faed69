"""Read the output of other programs: the session id, the usage and errors.

A parser is chosen by the program's name. Formats: codex ``exec --json`` (events thread.started, item.completed,
turn.completed, turn.failed), gemini ``-o stream-json`` (init, message, result), opencode ``run --format json`` (text,
step_finish, error), qwen ``-o stream-json`` (system, assistant, result, as the Claude client). Any other output is
plain text, of which the last line counts.

Invariant: a line of unknown shape is skipped; no output raises. Success is never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from orchestra.sessions.runners.protocol import Alert, AlertKind, Reader
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.usage import add, dollars

_LONGEST = 2_000
_LOGIN = re.compile(r"\b40[13]\b|unauthorized|api key not valid|invalid api key|incorrect api key", re.IGNORECASE)
_BUSY = re.compile(
    r"\b(429|5\d\d)\b|rate.?limit|resource.?exhausted|overloaded|quota|usage limit|connection|disconnected"
    r"|econnrefused|econnreset|etimedout|fetch failed|timed out|error sending request",
    re.IGNORECASE,
)
Json = dict[str, Any]


@dataclass
class Parser:
    """Sum up JSON lines with ``read`` (None: plain text)."""

    read: Callable[[SessionResult, Json], SessionResult] | None = None
    summary: SessionResult = field(default_factory=SessionResult)

    def feed(self, line: bytes) -> Alert | None:
        """Read one line."""
        text = line.decode("utf-8", "replace").strip()
        if self.read is None:
            self.summary = replace(self.summary, text=text[:_LONGEST]) if text else self.summary
            return None
        value = as_object(text)
        if value is None:
            return None
        before = self.summary
        try:
            self.summary = self.read(before, value)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None  # not the shape that this program's events had when this was written
        if not self.summary.is_error:
            self.summary = replace(self.summary, fault="")
            return None
        fault = fault_of(self.summary.reason)
        self.summary = replace(self.summary, fault=fault)
        is_new = fault and (before.fault, before.reason) != (fault, self.summary.reason)
        return Alert(AlertKind(fault), self.summary.reason[:200]) if is_new else None

    def result(self) -> SessionResult:
        """Return the summary of the lines so far."""
        return self.summary


def fault_of(reason: str) -> str:
    """Return the kind of fault that a program's own words name: login, busy, or "" for any other."""
    if _LOGIN.search(reason):
        return "login"
    return "busy" if _BUSY.search(reason) else ""


def as_object(text: str) -> Json | None:
    """Return the JSON object that a line holds, or None."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parser_of(argv: Sequence[str]) -> Reader:
    """Choose by the first known program among the first words of the argv, such as in ``npx codex``."""
    for word in argv[:3]:
        name = PurePath(word).name.partition("@")[0]
        if name in _READERS:
            return Parser(_READERS[name])
    return Parser()


def _codex(summary: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    if kind == "thread.started":
        return replace(summary, session_id=str(event["thread_id"]))
    if kind == "item.completed" and event["item"].get("type", event["item"].get("item_type")) == "agent_message":
        return replace(summary, text=str(event["item"]["text"])[:_LONGEST])
    if kind == "turn.completed":
        used = event["usage"]
        tokens = Usage(None, used["input_tokens"], used["output_tokens"], used.get("cached_input_tokens", 0))
        usage = replace(tokens, turns=summary.usage.turns + 1)
        return replace(summary, usage=usage, of_session=True, is_error=False, reason="")
    if kind in ("turn.failed", "error"):
        message = event["error"]["message"] if kind == "turn.failed" else event["message"]
        return replace(summary, is_error=True, reason=str(message)[:_LONGEST])
    return summary


def _gemini(summary: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    if kind == "init":
        return replace(summary, session_id=str(event["session_id"]))
    if kind == "message" and event.get("role") == "assistant":
        before = summary.text if event.get("delta") else ""
        return replace(summary, text=(before + str(event["content"]))[:_LONGEST])
    if kind == "result":
        stats = event.get("stats") or {}
        used = Usage(None, stats.get("input_tokens", 0), stats.get("output_tokens", 0), stats.get("cached", 0), 1)
        failed = event.get("status") != "success"
        reason = str((event.get("error") or {}).get("message", event.get("status"))) if failed else ""
        return replace(summary, usage=add(summary.usage, used), is_error=failed, reason=reason[:_LONGEST])
    return summary


def _opencode(summary: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    summary = replace(summary, session_id=str(event.get("sessionID", summary.session_id)))
    if kind == "text":
        return replace(summary, text=str(event["part"]["text"])[:_LONGEST])
    if kind == "step_finish":
        part = event["part"]
        tokens = part["tokens"]
        used = Usage(
            dollars(part.get("cost")), tokens["input"], tokens["output"], tokens.get("cache", {}).get("read", 0), 1
        )
        return replace(summary, usage=add(summary.usage, used))
    if kind == "error":
        error = event.get("error") or {}
        reason = (error.get("data") or {}).get("message") or error.get("name") or "error"
        return replace(summary, is_error=True, reason=str(reason)[:_LONGEST])
    return summary


def _qwen(summary: SessionResult, event: Json) -> SessionResult:
    kind = event.get("type")
    if kind == "system":
        return replace(summary, session_id=str(event["session_id"]))
    if kind == "assistant" and not event.get("parent_tool_use_id"):
        said = [block["text"] for block in event["message"]["content"] if block.get("type") == "text"]
        return replace(summary, text=str(said[-1])[:_LONGEST]) if said else summary
    if kind == "result":
        used, answer = event.get("usage") or {}, str(event.get("result") or "")
        failed = bool(event.get("is_error")) or answer.startswith("[API Error: ")  # which it calls a success
        tokens = Usage(
            None, used.get("input_tokens", 0), used.get("output_tokens", 0), used.get("cache_read_input_tokens", 0)
        )
        usage = replace(tokens, turns=summary.usage.turns + int(event.get("num_turns", 0)))
        reason = str((event.get("error") or {}).get("message") or answer or "error") if failed else ""
        return replace(summary, usage=usage, of_session=True, is_error=failed, reason=reason[:_LONGEST])
    return summary


_READERS: dict[str, Callable[[SessionResult, Json], SessionResult]] = {
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
    "qwen": _qwen,
}
