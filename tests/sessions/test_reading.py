"""What programs print: the client's stream, other programs' JSON, plain text; money; tails; readable lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.sessions.eviction_message import Conflict, Eviction, fenced, from_train
from orchestra.sessions.logs import event_lines, other_event_lines
from orchestra.sessions.runners.claude_stream import GREETING, ClaudeReader
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.protocol import Alert, AlertKind, Reader
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.tail import Tail, last_line
from orchestra.sessions.usage import is_cumulative, total

HOOKED = {"type": "system", "subtype": "hook_response", "hook_event": "SessionStart", "stdout": f"{GREETING} a"}
INIT = {"type": "system", "subtype": "init", "session_id": "s", "claude_code_version": "2.1.330"}
USED = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 7}
GOOD = {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "session_id": "s",
        "num_turns": 3, "total_cost_usd": 0.5, "usage": USED}  # fmt: skip


def feed(reader: Reader, *events: Any) -> list[Alert]:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return [alert for line in lines if (alert := reader.feed(line)) is not None]


def failed(status: int | None, text: str, **more: Any) -> dict[str, Any]:
    return {**GOOD, "is_error": True, "api_error_status": status, "result": text, **more}


def test_a_good_run() -> None:
    reader = ClaudeReader()
    assert (
        feed(reader, HOOKED, INIT, {"type": "assistant", "message": {"content": [{"type": "text", "text": "Hm."}]}})
        == []
    )
    assert reader.result().text == "Hm."
    assert feed(reader, GOOD) == []
    assert reader.result() == SessionResult(
        text="Done.", session_id="s", version="2.1.330", usage=Usage(0.5, 10, 5, 7, 3)
    )


def test_init_without_our_hook_means_that_the_settings_are_off() -> None:
    assert [alert.kind for alert in feed(ClaudeReader(), INIT)] == [AlertKind.UNGUARDED]
    theirs = {**HOOKED, "stdout": "a hook of the repository's own"}
    assert [alert.kind for alert in feed(ClaudeReader(), theirs, INIT)] == [AlertKind.UNGUARDED]
    assert feed(ClaudeReader(guarded=False), INIT) == []


def test_the_clients_error_is_the_reason() -> None:
    reader = ClaudeReader()
    wrong = {**GOOD, "is_error": True, "subtype": "error_during_execution", "result": None}
    feed(reader, {**wrong, "errors": ["Sandbox required but unavailable: x"]})
    assert reader.result().reason == "Sandbox required but unavailable: x"
    feed(reader, wrong)
    assert reader.result().reason == "it was interrupted"


def test_only_the_first_init_is_checked() -> None:
    assert feed(ClaudeReader(), HOOKED, INIT, INIT) == []


def test_of_several_results_the_last_one_counts_and_tokens_add_up() -> None:
    reader = ClaudeReader()
    feed(reader, HOOKED, INIT, GOOD, {**GOOD, "result": "Really done.", "total_cost_usd": 0.9})
    assert reader.result().text == "Really done."
    assert reader.result().usage == Usage(0.9, 20, 10, 14, 6)


def test_success_with_is_error_is_a_failure() -> None:
    reader = ClaudeReader()
    feed(reader, failed(400, "API Error: 400 bad\nmore"))
    assert (reader.result().is_error, reader.result().reason) == (True, "API Error: 400 bad")


@pytest.mark.parametrize(
    ("event", "fault", "kind"),
    [
        (failed(429, "API Error: 429"), "busy", AlertKind.BUSY),
        (failed(529, "API Error: 529"), "busy", AlertKind.BUSY),
        (failed(None, "API Error: Unable to connect to API (ECONNREFUSED)"), "busy", AlertKind.BUSY),
        (failed(None, "API Error: Connection error."), "busy", AlertKind.BUSY),
        (failed(401, "API Error: 401"), "login", AlertKind.LOGIN),
        (failed(None, "Invalid API key · Please run /login"), "login", AlertKind.LOGIN),
        (failed(400, "API Error: 400"), "", None),
        ({**GOOD, "subtype": "error_max_budget_usd", "is_error": True}, "budget", None),
        ({**GOOD, "subtype": "error_max_turns", "is_error": True}, "", None),
    ],
)
def test_what_kind_of_failure_it_is(event: dict[str, Any], fault: str, kind: AlertKind | None) -> None:
    reader = ClaudeReader()
    alerts = feed(reader, event)
    assert (reader.result().is_error, reader.result().fault) == (True, fault)
    assert [alert.kind for alert in alerts] == ([] if kind is None else [kind])


def test_a_usage_limit_is_read_with_its_reset_time() -> None:
    info = {"status": "rejected", "resetsAt": 1795880609, "rateLimitType": "five_hour"}
    reader = ClaudeReader(guarded=False)
    refused = failed(429, "You've hit your 5-hour limit")
    alerts = feed(reader, {"type": "rate_limit_event", "rate_limit_info": info}, refused)
    assert alerts == [Alert(AlertKind.LIMIT, "the account's 5-hour limit is reached", until=1795880609.0)]
    assert (reader.result().fault, reader.result().resets_at) == ("limit", 1795880609.0)


@pytest.mark.parametrize("info", [{"status": "allowed_warning", "resetsAt": 1}, {"status": "rejected"},
                                  {"status": "rejected", "resetsAt": 1, "isUsingOverage": True}])  # fmt: skip
def test_a_usage_limit_that_refuses_nothing_is_no_limit(info: dict[str, Any]) -> None:
    reader = ClaudeReader(guarded=False)
    feed(reader, {"type": "rate_limit_event", "rate_limit_info": info}, failed(429, "API Error: 429"))
    assert reader.result().fault == "busy"


@pytest.mark.parametrize(
    ("status", "attempt", "kind"),
    [(429, 1, AlertKind.BUSY), (529, 1, AlertKind.BUSY), (500, 1, None), (500, 3, AlertKind.BUSY), (None, 1, None),
     (None, 3, AlertKind.BUSY), (401, 1, AlertKind.LOGIN)],
)  # fmt: skip
def test_retries(status: int | None, attempt: int, kind: AlertKind | None) -> None:
    event = {
        "type": "system",
        "subtype": "api_retry",
        "error_status": status,
        "attempt": attempt,
        "retry_delay_ms": 2500,
    }
    alerts = feed(ClaudeReader(), event)
    assert [alert.kind for alert in alerts] == ([] if kind is None else [kind])
    assert not alerts or kind is AlertKind.LOGIN or alerts[0].wait_s == 2.5


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_KINDS = st.sampled_from(["system", "assistant", "user", "result", "item.completed", "turn.completed", "text", "error"])
_KEYS = st.sampled_from(
    ["subtype", "message", "content", "usage", "session_id", "item", "part", "stats", "error", "num_turns", "is_error"]
)
_EVENTS = st.builds(lambda kind, rest: {"type": kind, **rest}, _KINDS, st.dictionaries(_KEYS, _JSON, max_size=5))


@given(st.lists(st.binary(max_size=30) | _EVENTS.map(lambda event: json.dumps(event).encode()), max_size=6))
def test_a_reader_reads_any_output(lines: list[bytes]) -> None:
    readers: list[Reader] = [ClaudeReader(), parser_of(("sh",))]
    readers += [parser_of((name,)) for name in ("codex", "gemini", "opencode", "qwen")]
    for reader in readers:
        for line in lines:
            reader.feed(line)
        assert isinstance(reader.result(), SessionResult)
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            assert all(isinstance(shown, str) for shown in event_lines(value))


def test_codex() -> None:
    reader = parser_of(("/usr/bin/codex", "exec", "--json", "-"))
    feed(
        reader,
        {"type": "thread.started", "thread_id": "t1"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}},
        {"type": "turn.completed", "usage": {"input_tokens": 9, "cached_input_tokens": 4, "output_tokens": 2}},
    )
    usage = Usage(None, 9, 2, 4, 1)
    assert reader.result() == SessionResult(text="Done.", session_id="t1", usage=usage, of_session=True)
    feed(reader, {"type": "turn.failed", "error": {"message": "quota"}})
    assert (reader.result().is_error, reader.result().reason) == (True, "quota")


def test_gemini() -> None:
    reader = parser_of(("npx", "gemini", "-o", "stream-json"))
    feed(
        reader,
        {"type": "init", "session_id": "g1"},
        {"type": "message", "role": "assistant", "content": "Do", "delta": True},
        {"type": "message", "role": "assistant", "content": "ne.", "delta": True},
        {"type": "result", "status": "success", "stats": {"input_tokens": 9, "output_tokens": 2}},
    )
    assert reader.result() == SessionResult(text="Done.", session_id="g1", usage=Usage(None, 9, 2, 0, 1))
    feed(reader, {"type": "result", "status": "error", "error": {"message": "no"}})
    assert (reader.result().is_error, reader.result().reason) == (True, "no")


def test_opencode() -> None:
    reader = parser_of(("opencode", "run"))
    tokens = {"input": 9, "output": 2, "cache": {"read": 4}}
    feed(
        reader,
        {"type": "text", "sessionID": "o1", "part": {"text": "Done."}},
        {"type": "step_finish", "sessionID": "o1", "part": {"cost": 0.1, "tokens": tokens}},
        {"type": "step_finish", "sessionID": "o1", "part": {"cost": 0.2, "tokens": tokens}},
    )
    result = reader.result()
    assert (result.text, result.session_id, result.usage.output_tokens) == ("Done.", "o1", 4)
    assert result.usage.cost_usd == pytest.approx(0.3)
    feed(reader, {"type": "error", "error": {"name": "AuthError", "data": {"message": "who?"}}})
    assert (reader.result().is_error, reader.result().reason) == (True, "who?")


def test_qwen() -> None:
    reader = parser_of(("qwen", "-o", "stream-json"))
    used = {"input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 4}
    feed(
        reader,
        {"type": "system", "subtype": "init", "session_id": "q1"},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "Done."}]}},
        {
            "type": "assistant",
            "message": {"content": [{"type": "text", "text": "of a sub-agent"}]},
            "parent_tool_use_id": "t",
        },
        {"type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "Done.", "usage": used},
    )
    usage = Usage(None, 9, 2, 4, 2)
    assert reader.result() == SessionResult(text="Done.", session_id="q1", usage=usage, of_session=True)
    feed(reader, {"type": "result", "subtype": "success", "is_error": False, "result": "[API Error: 401 no key]"})
    assert (reader.result().is_error, reader.result().fault) == (True, "login")


def test_plain_text_keeps_its_last_line() -> None:
    reader = parser_of(("aider",))
    feed(reader, b"first", b'{"type": "result", "is_error": true}', b"last", b"")
    assert reader.result() == SessionResult(text="last")


# -- money ----------------------------------------------------------------------------------------------------------


def spent(session: str, version: str, cost: float | None) -> SessionResult:
    return SessionResult(session_id=session, version=version, usage=Usage(cost, 1, 1, 0, 1))


@pytest.mark.parametrize(
    ("results", "cost"),
    [
        ([spent("s", "2.1.197", 0.5), spent("s", "2.1.197", 0.2)], 0.7),
        ([spent("s", "2.1.330", 0.5), spent("s", "2.1.330", 0.7)], 0.7),
        ([spent("s", "2.1.276", 0.5), spent("s", "2.1.277", 0.7)], 0.7),
        ([spent("s", "2.1.276", 0.5), spent("s", "2.1.277", 0.2)], 0.7),
        ([spent("s", "2.1.330", 0.5), spent("t", "2.1.330", 0.7)], 1.2),
        ([spent("s", "2.1.330", 0.5), spent("s", "2.1.330", None)], 0.5),
        ([spent("s", "", 0.5), spent("s", "", 0.2)], 0.7),
        ([spent("s", "", None)], None),
        ([], None),
    ],
)
def test_costs_are_counted_once(results: list[SessionResult], cost: float | None) -> None:
    used = total(results)
    assert used.cost_usd == (None if cost is None else pytest.approx(cost))
    assert used.turns == len(results)


def sessions_without_cost(session: str, version: str) -> SessionResult:
    return SessionResult(session_id=session, version=version, usage=Usage(sessions_without_cost=1))


@pytest.mark.parametrize(
    ("results", "sessions"),
    [
        ([sessions_without_cost("s", "2.1.330")], 1),
        ([sessions_without_cost("s", "2.1.330"), spent("s", "2.1.330", 0.5)], 1),
        ([sessions_without_cost("s", "2.1.197"), spent("s", "2.1.197", 0.5)], 1),
        ([spent("s", "2.1.330", 0.5), sessions_without_cost("s", "2.1.330")], 1),
        ([sessions_without_cost("s", ""), sessions_without_cost("t", ""), spent("u", "2.1.330", 0.5)], 2),
    ],
)
def test_an_unreported_cost_is_not_zero(results: list[SessionResult], sessions: int) -> None:
    assert total(results).sessions_without_cost == sessions


def test_a_run_without_a_result_counts_the_tokens_of_its_messages() -> None:
    reader = ClaudeReader()
    usage = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}
    pieces = [{"type": "text", "text": "a"}, {"type": "tool_use"}]
    first = [{"type": "assistant", "message": {"id": "m1", "content": [piece], "usage": usage}} for piece in pieces]
    second = {"type": "assistant", "message": {"id": "m2", "content": [], "usage": {**usage, "output_tokens": 5}}}
    assert feed(reader, HOOKED, INIT, *first, second) == []
    assert reader.result().usage == Usage(None, 20, 6, 14, 0)
    feed(reader, {"type": "assistant", "message": {"id": "m3", "content": [], "usage": {"input_tokens": "odd"}}}, GOOD)
    assert reader.result().usage == Usage(0.5, 10, 5, 7, 3)


def test_versions() -> None:
    assert [is_cumulative(v) for v in ("2.1.276", "2.1.277", "2.2.0", "3.0.0-beta.1", "", "nonsense")] == [
        False, True, True, True, False, False,
    ]  # fmt: skip


# -- tails ----------------------------------------------------------------------------------------------------------


def test_a_tail_gives_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_bytes(b"one\r\ntw")
    assert list(tail.lines()) == [b"one"]
    with path.open("ab") as log:
        log.write(b"o\n\nthree")
    assert list(tail.lines()) == [b"two", b""]
    assert tail.last_part() == b"three"
    path.write_bytes(b"new\n")
    assert list(tail.lines()) == [b"new"]


@given(st.lists(st.binary(max_size=6), max_size=8))
def test_a_tail_is_the_file_whatever_the_pieces(pieces: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        tail, seen = Tail(path), []
        for piece in pieces:
            with path.open("ab") as log:
                log.write(piece)
            seen += list(tail.lines())
        whole = b"".join(pieces)
        assert [*seen, tail.last_part()] == [line.removesuffix(b"\r") for line in whole.split(b"\n")[:-1]] + [
            whole.split(b"\n")[-1]
        ]


@pytest.mark.parametrize(
    ("content", "last"),
    [(b"", b""), (b"torn", b""), (b"a\nb\n", b"b"), (b"a\ntorn", b"a"), (b"x" * 99 + b"\nb\n", b"b")],
)
def test_last_line(tmp_path: Path, content: bytes, last: bytes) -> None:
    path = tmp_path / "events"
    path.write_bytes(content)
    assert last_line(path, 64) == last
    assert last_line(tmp_path / "none") == b""


# -- readable lines -------------------------------------------------------------------------------------------------


def test_events_become_lines_that_no_terminal_obeys() -> None:
    nasty = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x07 text"
    events: list[dict[str, Any]] = [
        {"type": "assistant", "message": {"content": [{"type": "text", "text": nasty + "\nsecond"}]}},
        {"type": "assistant", "message": {"content": [
            {"type": "tool_use", "name": "Bash", "input": {"command": "x" * 500}}]}},
        {"type": "user", "message": {"content": [
            {"type": "tool_result", "is_error": True, "content": "no such file"}]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": "fine"}]}},
        {"type": "system", "subtype": "api_retry", "error_status": 529, "attempt": 2},
        GOOD,
    ]  # fmt: skip
    lines = [line for event in events for line in event_lines(event)]
    assert lines[:2] == ["red text", "second"]
    assert len(lines[2]) == 160
    assert lines[3:] == ["  ! no such file", "! the API answers 529, attempt 2", "= success, 3 turns, 0.50 USD"]


def test_a_refusal_shows_its_reason_and_an_error_is_no_success() -> None:
    error = "PreToolUse:Write hook error: [/usr/bin/python -I -S hook.py guard /state/a]: package.json is protected"
    block = {"type": "tool_result", "is_error": True, "content": error}
    assert list(event_lines({"type": "user", "message": {"content": [block]}})) == ["  ! package.json is protected"]
    [line] = event_lines({**GOOD, "is_error": True})
    assert line.startswith("= error")


# -- sending back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        ({"type": "item.completed", "item": {"type": "agent_message", "text": "Hello\nthere"}}, ["Hello", "there"]),
        ({"type": "item.completed", "item": {"type": "command_execution", "command": "ls", "exit_code": 2}},
         ["> ls (exit code 2)"]),
        ({"type": "item.completed", "item": {"type": "file_change", "changes": [{"path": "a", "kind": "add"}]}},
         ["> add a"]),
        ({"type": "turn.failed", "error": {"message": "429"}}, ['! {"message": "429"}']),
        ({"type": "thread.started", "thread_id": "t"}, []),
        ({"type": "message", "role": "assistant", "content": "Hi", "delta": True}, ["Hi"]),
        ({"type": "message", "role": "user", "content": "the prompt"}, []),
        ({"type": "tool_use", "tool_name": "write_file", "parameters": {"path": "a"}}, ['> write_file {"path": "a"}']),
        ({"type": "tool_result", "status": "error", "output": "denied"}, ["  ! denied"]),
        ({"type": "result", "status": "success", "stats": {}}, ["= success"]),
        ({"type": "tool_use", "part": {"tool": "bash", "state": {"input": {"command": "ls"}}}},
         ['> bash {"command": "ls"}']),
        ({"type": "step_finish", "part": {"cost": 0.02, "tokens": {}}}, ["= done, 0.02 USD"]),
        ({"type": "item.completed", "item": "odd"}, ['{"type": "item.completed", "item": "odd"}']),
    ],
)  # fmt: skip
def test_events_of_other_programs_become_lines(event: dict[str, Any], lines: list[str]) -> None:
    assert list(other_event_lines(event)) == lines


def test_a_refusal_keeps_its_whole_reason() -> None:
    reason = "x" * 400
    content = [
        {"type": "tool_result", "is_error": True, "content": f"PreToolUse:Write hook error: [python hook]: {reason}"}
    ]
    assert list(event_lines({"type": "user", "message": {"content": content}})) == [f"  ! {reason}"]


def test_an_eviction_message_has_the_facts_and_the_task() -> None:
    conflict = Conflict("src/a.py", ("<<<<<<< main\n1\n=======\n2\n>>>>>>> a",))
    evicted = Eviction("conflict", "src/a.py changed on both sides.", "main", ("api",), conflicts=(conflict,))
    message = from_train(evicted)
    for words in ("conflict", "api", "`src/a.py`", "<<<<<<< main", "git rebase main"):
        assert words in message
    red = from_train(
        Eviction("gate", "tests failed.", "trunk", gate="tests", command="npm test", log="x\n" * 500 + "boom")
    )
    assert "`npm test`" in red
    assert red.count("\nx\n") < 100
    assert "boom" in red
    assert "changes nothing" in from_train(Eviction("empty", "", "main"))
    assert "scope" in from_train(Eviction("scope", "", "main"))


@given(st.text(alphabet="`ab\n", max_size=30))
def test_a_fence_cannot_be_closed_from_within(text: str) -> None:
    first, *inner, last = fenced(text).split("\n")
    assert first == last
    assert all(line.strip() != first for line in inner)


def test_a_long_log_is_bounded() -> None:
    evicted = replace(Eviction("gate", "", "main"), log="y" * 10_000_000)
    assert len(from_train(evicted)) < 40_000


@pytest.mark.parametrize("cost", ["0.5", float("nan"), float("inf"), -1.0, [], None])
def test_a_cost_that_is_no_amount_counts_as_unreported(cost: object) -> None:
    """It would break the sum of all, or a budget that is held against it."""
    reader = ClaudeReader()
    feed(reader, HOOKED, INIT, {**GOOD, "total_cost_usd": cost})
    assert total([reader.result(), reader.result()]).cost_usd is None
    other = parser_of(["opencode"])
    part = {"tokens": {"input": 1, "output": 1}, "cost": cost}
    feed(other, {"type": "step_finish", "sessionID": "s", "part": part})
    assert other.result().usage == Usage(None, 1, 1, 0, 1)
