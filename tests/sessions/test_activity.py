"""What the output of other programs says they do."""

from __future__ import annotations

import json

import pytest

from orchestra.sessions.runners.activity import newest_activity
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.usage import total


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            {"type": "item.started", "item": {"type": "command_execution", "command": "/bin/bash -lc 'npm test'"}},
            "npm test",
        ),
        (
            {"type": "item.completed", "item": {"type": "file_change", "changes": [{"kind": "add", "path": "a"}]}},
            "add a",
        ),
        ({"type": "item.completed", "item": {"type": "agent_message", "text": "Hm."}}, ""),
        ({"type": "tool_use", "part": {"tool": "bash", "state": {"input": {"command": "ls"}}}}, "bash ls"),
        ({"type": "tool_use", "tool_name": "write_file", "parameters": {"file_path": "a"}}, "write_file a"),
        ({"type": "item.started", "item": None}, ""),
    ],
)
def test_the_newest_event_that_says_something(event: dict[str, object], text: str) -> None:
    assert newest_activity(b"not json\n" + json.dumps(event).encode() + b"\n{torn") == text


def test_a_program_that_counts_a_whole_session_is_not_added_up() -> None:
    first = SessionResult(session_id="s", usage=Usage(None, 10, 1, 0, 1, 1), of_session=True)
    second = SessionResult(session_id="s", usage=Usage(None, 30, 3, 0, 1, 1), of_session=True)
    other = SessionResult(session_id="t", usage=Usage(None, 5, 5, 0, 1, 1), of_session=True)
    assert total([first, second, other]) == Usage(None, 35, 8, 0, 3, 3)


def test_an_error_of_gemini_says_what_it_means() -> None:
    reader = parser_of(("gemini",))
    for status, fault in ((429, "busy"), (401, "login")):
        error = {"type": "unknown", "message": f'[API Error: {{"error":{{"message":"no","code":{status}}}}}]'}
        alert = reader.feed(json.dumps({"type": "result", "status": "error", "error": error}).encode())
        assert alert is not None
        assert (str(alert.kind), reader.result().fault) == (fault, fault)
    reader.feed(b'{"type": "result", "status": "success", "stats": {}}')
    assert (reader.result().is_error, reader.result().fault) == (False, "")


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("exceeded retry limit, last status: 429 Too Many Requests", "busy"),
        ("stream disconnected before completion", "busy"),
        ("unexpected status 401 Unauthorized: no key", "login"),
        ("the model does not exist", ""),
    ],
)
def test_an_error_says_what_it_means_for_the_fleet(message: str, fault: str) -> None:
    reader = parser_of(("codex",))
    line = json.dumps({"type": "turn.failed", "error": {"message": message}}).encode()
    alert = reader.feed(line)
    assert (str(alert.kind) if alert is not None else "") == fault
    assert reader.feed(line) is None  # the same again says nothing new
    assert reader.result().fault == fault
