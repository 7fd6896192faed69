"""What the Claude Code client says with ``--output-format stream-json``, read line by line.

Rests on what versions 2.1.197 and 2.1.330 were seen to print (client facts, 0 and 2): a run may hold several results,
of which the last counts; ``subtype: success`` may stand beside ``is_error: true``; and a settings file that the client
does not like is ignored without a word, which shows only by the SessionStart hook not answering before ``init``.

Invariant: no line can break the reading; one that is not understood is passed over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.runners.protocol import Alert, AlertKind
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.usage import add, dollars

GREETING = "orchestra agent"
"""What our SessionStart hook says; a repository may have hooks of its own, which prove nothing about ours."""
_LONGEST = 2_000
_BUSY = frozenset({429, 500, 502, 503, 504, 529})
_FULL = frozenset({429, 529})  # the account or the service is full; the others may be one server's hiccup
_LOGIN = frozenset({401, 403})
_HICCUPS = 3
_NO_CONNECTION = ("connection", "econnrefused", "econnreset", "etimedout", "fetch failed", "timed out", "network")
_SUBTYPES = {
    "error_max_turns": "it used up its turns",
    "error_max_budget_usd": "it used up its money",
    "error_during_execution": "it was interrupted",
}
Json = dict[str, Any]


class ClaudeReader:
    """Sums up a session. ``guarded`` False: sessions without our settings are nobody's business (interactive)."""

    def __init__(self, *, guarded: bool = True) -> None:
        self._guarded = guarded
        self._signalled = False
        self._begun = False
        self._found = SessionResult()
        self._ended = False
        self._messages: dict[str, Usage] = {}

    def feed(self, line: bytes) -> Alert | None:
        """One line."""
        event = as_object(line.decode("utf-8", "replace"))
        if event is None:
            return None
        try:
            return self._read(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def result(self) -> SessionResult:
        """So far. Without a result it was cut off: its tokens are those of its messages, its cost is not known."""
        if self._ended:
            return self._found
        used = Usage()
        for usage in self._messages.values():
            used = add(used, usage)
        return replace(self._found, usage=used)

    def _read(self, event: Json) -> Alert | None:
        match event.get("type"), event.get("subtype"):
            case "system", "hook_response":
                self._signalled |= event.get("hook_event") == "SessionStart" and GREETING in str(event.get("stdout"))
            case "system", "init":
                return self._init(event)
            case "system", "api_retry":
                return _retry(event)
            case "assistant", _:
                self._note_text(event)
            case "result", _:
                return self._result(event)
        return None

    def _init(self, event: Json) -> Alert | None:
        version = str(event.get("claude_code_version", ""))
        self._found = replace(self._found, session_id=str(event["session_id"]), version=version)
        first, self._begun = not self._begun, True
        if first and self._guarded and not self._signalled:
            return Alert(
                AlertKind.UNGUARDED, "the client did not take orchestra's settings: its SessionStart hook did not run"
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
                self._found = replace(self._found, text=block["text"][:_LONGEST])

    def _result(self, event: Json) -> Alert | None:
        failed = bool(event.get("is_error")) or event.get("subtype") != "success"
        used = event.get("usage") or {}
        usage = Usage(
            dollars(event.get("total_cost_usd")),
            self._more("input_tokens", used.get("input_tokens", 0)),
            self._more("output_tokens", used.get("output_tokens", 0)),
            self._more("cache_tokens", used.get("cache_read_input_tokens", 0) + _written(used)),
            self._more("turns", event.get("num_turns", 0)),
        )
        reason, fault = _why(event) if failed else ("", "")
        self._ended = True
        self._found = replace(
            self._found,
            is_error=failed,
            reason=reason,
            fault=fault,
            text=str(event.get("result") or self._found.text)[:_LONGEST],
            session_id=str(event.get("session_id") or self._found.session_id),
            usage=usage,
        )
        if fault == "login":
            return Alert(AlertKind.LOGIN, reason)
        return Alert(AlertKind.BUSY, reason) if fault == "busy" else None

    def _more(self, name: str, value: int) -> int:
        """Tokens and turns of a result are its own; those of earlier results of the same run come on top."""
        return int(getattr(self._found.usage, name)) + int(value)


def _written(used: Json) -> int:
    return int(used.get("cache_creation_input_tokens") or 0)


def _retry(event: Json) -> Alert | None:
    status, attempt = event.get("error_status"), int(event.get("attempt") or 1)
    if status in _LOGIN:
        return Alert(AlertKind.LOGIN, f"the API refuses the login ({status})")
    if status not in _FULL and attempt < _HICCUPS:
        return None  # a hiccup is the client's to retry
    what = f"the API answers {status}" if status else "the API cannot be reached"
    return Alert(AlertKind.BUSY, what, float(event.get("retry_delay_ms") or 0) / 1000)


def _why(event: Json) -> tuple[str, str]:
    """The reason, for a person, and what kind of fault it is."""
    subtype, status = str(event.get("subtype")), event.get("api_error_status")
    told = "; ".join(map(str, event.get("errors") or ()))
    if subtype in _SUBTYPES and not (subtype == "error_during_execution" and told):
        return _SUBTYPES[subtype], "budget" if subtype == "error_max_budget_usd" else ""
    said = str(event.get("result") or told or subtype)
    reason = said.strip().splitlines()[0][:200] if said.strip() else "the client reports an error"
    if status in _LOGIN or "/login" in said or "Invalid API key" in said:
        return f"the API refuses the login: {reason}", "login"
    if status in _BUSY or (status is None and any(word in said.lower() for word in _NO_CONNECTION)):
        return reason, "busy"
    return reason, ""
