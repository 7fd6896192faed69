"""Read the output of the Claude Code client (``--output-format stream-json``) line by line.

Seen with versions 2.1.197 and 2.1.330: a run may hold several results, of which the last counts; ``subtype: success``
may come with ``is_error: true``; and a settings file that the client rejects is ignored silently, which shows only by a
SessionStart hook that does not answer before ``init``.

Invariant: a line of unknown shape is skipped; no line raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.runners.protocol import Alert, AlertKind
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.usage import add, dollars

GREETING = "orchestra agent"
"""The output of the SessionStart hook of orchestra; a repository may have hooks of its own, which prove nothing."""
_LONGEST = 2_000
_BUSY = frozenset({429, 500, 502, 503, 504, 529})
_FULL = frozenset({429, 529})  # the account or the service is full; the others may be one server's hiccup
_LOGIN = frozenset({401, 403})
_HICCUPS = 3
_NO_CONNECTION = ("connection", "econnrefused", "econnreset", "etimedout", "fetch failed", "timed out", "network")
_SUBTYPES = {
    "error_max_turns": "it reached its limit of turns",
    "error_max_budget_usd": "it reached its cost limit",
    "error_during_execution": "it was interrupted",
}
_LIMITS = {
    "five_hour": "5-hour",
    "seven_day": "7-day",
    "seven_day_opus": "7-day Opus",
    "seven_day_sonnet": "7-day Sonnet",
}
Json = dict[str, Any]


class ClaudeReader:
    """Sum up a session. ``guarded`` False: the start is not checked for orchestra's settings (interactive)."""

    def __init__(self, *, guarded: bool = True) -> None:
        self._guarded = guarded
        self._signalled = False
        self._started = False
        self._summary = SessionResult()
        self._ended = False
        self._messages: dict[str, Usage] = {}

    def feed(self, line: bytes) -> Alert | None:
        """Read one line."""
        event = as_object(line.decode("utf-8", "replace"))
        if event is None:
            return None
        try:
            return self._read(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def result(self) -> SessionResult:
        """Return the summary so far. Without a result, the messages give the tokens, and the cost is unknown."""
        if self._ended:
            return self._summary
        used = Usage()
        for usage in self._messages.values():
            used = add(used, usage)
        return replace(self._summary, usage=used)

    def _read(self, event: Json) -> Alert | None:
        match event.get("type"), event.get("subtype"):
            case "system", "hook_response":
                self._signalled |= event.get("hook_event") == "SessionStart" and GREETING in str(event.get("stdout"))
            case "system", "init":
                return self._init(event)
            case "system", "api_retry":
                return _retry(event)
            case "rate_limit_event", _:
                return self._limit(event["rate_limit_info"])
            case "assistant", _:
                self._note_text(event)
            case "result", _:
                return self._result(event)
        return None

    def _init(self, event: Json) -> Alert | None:
        version = str(event.get("claude_code_version", ""))
        self._summary = replace(self._summary, session_id=str(event["session_id"]), version=version)
        first, self._started = not self._started, True
        if first and self._guarded and not self._signalled:
            return Alert(
                AlertKind.UNGUARDED, "the client did not load orchestra's settings: their SessionStart hook did not run"
            )
        return None

    def _note_text(self, event: Json) -> None:
        message = event["message"]
        used = message.get("usage")
        if isinstance(used, dict):  # a message comes in pieces, each with the message's own usage
            cache = int(used.get("cache_read_input_tokens") or 0) + _written(used)
            tokens = (int(used.get("input_tokens") or 0), int(used.get("output_tokens") or 0))
            self._messages[str(message.get("id"))] = Usage(None, *tokens, cache)
        for block in event["message"]["content"]:
            if block.get("type") == "text" and block.get("text"):
                self._summary = replace(self._summary, text=block["text"][:_LONGEST])

    def _result(self, event: Json) -> Alert | None:
        failed = bool(event.get("is_error")) or event.get("subtype") != "success"
        used = event.get("usage") or {}
        usage = Usage(
            dollars(event.get("total_cost_usd")),
            self._sum("input_tokens", used.get("input_tokens", 0)),
            self._sum("output_tokens", used.get("output_tokens", 0)),
            self._sum("cache_tokens", used.get("cache_read_input_tokens", 0) + _written(used)),
            self._sum("turns", event.get("num_turns", 0)),
        )
        reason, fault = _why(event) if failed else ("", "")
        if failed and event.get("subtype") == "success" and fault != "login" and self._summary.resets_at:
            fault = "limit"
        self._ended = True
        self._summary = replace(
            self._summary,
            is_error=failed,
            reason=reason,
            fault=fault,
            text=str(event.get("result") or self._summary.text)[:_LONGEST],
            session_id=str(event.get("session_id") or self._summary.session_id),
            usage=usage,
        )
        if fault == "login":
            return Alert(AlertKind.LOGIN, reason)
        return Alert(AlertKind.BUSY, reason) if fault == "busy" else None

    def _limit(self, info: Json) -> Alert | None:
        """Read what the API says about the subscription's usage limits; requests beyond a limit may be paid for."""
        rejected = info.get("status") == "rejected" and not info.get("isUsingOverage")
        self._summary = replace(self._summary, resets_at=float(info["resetsAt"]) if rejected else 0.0)
        if not rejected:
            return None
        kind = str(info.get("rateLimitType") or "usage")
        return Alert(
            AlertKind.LIMIT, f"the account's {_LIMITS.get(kind, kind)} limit is reached", until=self._summary.resets_at
        )

    def _sum(self, name: str, value: int) -> int:
        """Add up tokens or turns: a result counts its own only, without those of earlier results of the same run."""
        return int(getattr(self._summary.usage, name)) + int(value)


def _written(used: Json) -> int:
    return int(used.get("cache_creation_input_tokens") or 0)


def _retry(event: Json) -> Alert | None:
    status, attempt = event.get("error_status"), int(event.get("attempt") or 1)
    if status in _LOGIN:
        return Alert(AlertKind.LOGIN, f"the API refuses the login ({status})")
    if status not in _FULL and attempt < _HICCUPS:
        return None  # the client retries it
    answer = f"the API answers {status}" if status else "the API cannot be reached"
    return Alert(AlertKind.BUSY, answer, float(event.get("retry_delay_ms") or 0) / 1000)


def _why(event: Json) -> tuple[str, str]:
    """Return the reason, for a person, and the kind of fault."""
    subtype, status = str(event.get("subtype")), event.get("api_error_status")
    errors = "; ".join(map(str, event.get("errors") or ()))
    if subtype in _SUBTYPES and not (subtype == "error_during_execution" and errors):
        return _SUBTYPES[subtype], "budget" if subtype == "error_max_budget_usd" else ""
    text = str(event.get("result") or errors or subtype)
    reason = text.strip().splitlines()[0][:200] if text.strip() else "the client reports an error"
    if status in _LOGIN or "/login" in text or "Invalid API key" in text:
        return f"the API refuses the login: {reason}", "login"
    if status in _BUSY or (status is None and any(word in text.lower() for word in _NO_CONNECTION)):
        return reason, "busy"
    return reason, ""
