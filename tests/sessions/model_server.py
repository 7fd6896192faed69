"""A scripted model server: it plays the model's part for the real Claude Code client, on the loopback interface.

    {"agents": {"schema": {"match": {"cwd": "*/agent-1"}, "turns": [
        {"text": "Reading.", "tools": [{"name": "Read", "input": {"file_path": "${CWD}/TASK.md"}}]},
        {"expect": "the migration", "tools": [{"name": "Bash", "input": {"command": "git commit -qam x"}}]},
        {"text": "Done."}]}}}

The turn that is played is the number of assistant messages in the request's history, so retries and resumed sessions
need no state here. An agent is chosen by the folder that the client says it works in, or by session id. A turn may
have: ``text``, ``tools``, ``usage``, ``error`` {status, times}, ``drop`` (times), ``expect`` (what the newest user
message must hold; a miss is kept in ``misses``), ``hold`` (the answer waits until the test releases that name).
After its last turn an agent says "Nothing more to do.". Side requests, which carry no tools, never use up a turn.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from tests.loopback_server import LoopbackServer

Json = dict[str, Any]
_FOLDER = re.compile(r"(?:[Ww]orking directory|cwd)[`*\"]*:\s*[`\"]*([^\n`\"<]+)")
_SANDBOX_RACE = "bwrap: Can't get type of source"
_LAST: Json = {"text": "Nothing more to do."}


class ModelServer(LoopbackServer):
    """Serves a script from ``url`` while the ``with`` block runs. ``requests`` is every message request, parsed."""

    def __init__(self, script: Mapping[str, Any], port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.script = script
        self.requests: list[Json] = []
        self.misses: list[str] = []
        self.refusals: Counter[str] = Counter()
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._reached: dict[str, threading.Event] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for gate in tuple(self._gates.values()):
            gate.set()
        super().__exit__(kind, error, trace)

    def environment(self) -> dict[str, str]:
        """What points a client here: a made-up key, loopback, and nothing else to talk to."""
        return {
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-made-up-0123456789abcdefghij",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def _event(self, table: dict[str, threading.Event], name: str) -> threading.Event:
        with self._lock:
            return table.setdefault(name, threading.Event())

    def release(self, name: str) -> None:
        """Let the answers that are held under ``name`` go, now and later."""
        self._event(self._gates, name).set()

    def reached(self, name: str, timeout_s: float = 120.0) -> None:
        """Wait until an answer is held under ``name``."""
        assert self._event(self._reached, name).wait(timeout_s), f"nobody came to {name}"

    def hold(self, name: str) -> None:
        self._event(self._reached, name).set()
        self._event(self._gates, name).wait(300)

    def note(self, request: Json) -> None:
        with self._lock:
            self.requests.append(request)

    def refused(self, key: str) -> int:
        """How often that turn was refused before; counts this one."""
        with self._lock:
            self.refusals[key] += 1
            return self.refusals[key] - 1

    def play(self, request: Json, session: str) -> tuple[str, int, Json, str]:
        """The agent's name, the number and content of its turn, and its folder."""
        folder = _folder(request)
        turn = _turns_played(request["messages"])
        for name, agent in self.script["agents"].items():
            match = agent["match"]
            if "cwd" in match and not fnmatch(folder, match["cwd"]):
                continue
            if "session" in match and session != match["session"]:
                continue
            turns = agent["turns"]
            return name, turn, turns[turn] if turn < len(turns) else _LAST, folder
        return "", turn, {"text": f"no agent in the script works in {folder!r}"}, folder


def _turns_played(messages: list[Json]) -> int:
    """As a model does, one whose command the sandbox could not even start plays that turn again: of two clients at
    once, one may find the other's placeholder for ``.git/config.lock`` gone (seen with 2.1.330)."""
    after = [*messages[1:], {}]
    pairs = [(said, told) for said, told in zip(messages, after, strict=True) if said["role"] == "assistant"]
    return sum(1 for said, told in pairs if not _is_filler(said) and _SANDBOX_RACE not in json.dumps(told))


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._plain(200, b"")

    def do_GET(self) -> None:
        self._plain(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.startswith("/v1/messages"):
            self._plain(404, b"{}")
            return
        request: Json = json.loads(body)
        if "count_tokens" in self.path:
            self._plain(200, b'{"input_tokens": 10}')
            return
        session = self.headers.get("x-claude-code-session-id", "")
        if not any(tool.get("name") in ("Bash", "Edit", "StructuredOutput") for tool in request.get("tools", ())):
            self._answer(request, {"text": "A title"}, "")
            return
        self._main(request, session)

    def _main(self, request: Json, session: str) -> None:
        name, number, turn, folder = self.server.play(request, session)
        self.server.note({**request, "agent": name, "turn": number, "session": session})
        if "hold" in turn:
            self.server.hold(turn["hold"])
        if self._refuse(turn, f"{name}:{number}"):
            return
        expected = turn.get("expect")
        newest = next(message for message in reversed(request["messages"]) if message["role"] == "user")
        if expected is not None and expected not in json.dumps(newest, ensure_ascii=False):
            self.server.misses.append(f"{name}, turn {number}: {expected!r} is not in {newest}")
        self._answer(request, turn, folder)

    def _refuse(self, turn: Json, key: str) -> bool:
        error, drop = turn.get("error"), turn.get("drop")
        if error is not None and self.server.refused(key) < error.get("times", 10**9):
            kinds = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
            kind = kinds.get(error["status"], "api_error")
            body = {"type": "error", "error": {"type": kind, "message": error.get("message", kind)}}
            self._plain(error["status"], json.dumps(body).encode(), error.get("headers", {}))
            return True
        if drop is not None and self.server.refused(key) < drop:
            self.close_connection = True
            self.connection.close()
            return True
        return False

    def _plain(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, request: Json, turn: Json, folder: str) -> None:
        events = list(_events(request.get("model", "model"), turn, folder))
        if request.get("stream"):
            body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self._plain(200, json.dumps(_whole(request.get("model", "model"), turn, folder)).encode())


def _is_filler(message: Json) -> bool:
    """What 2.1.330 puts into the history of a session that was cut off, in the model's name."""
    return "No response requested." in json.dumps(message["content"])


def _folder(request: Json) -> str:
    """The working folder that the client tells the model."""
    texts = [json.dumps(request.get("system", ""), ensure_ascii=False)]
    texts += [json.dumps(message, ensure_ascii=False) for message in request["messages"][:3]]
    for text in texts:
        found = _FOLDER.search(text.replace("\\n", "\n"))
        if found:
            return found[1].strip()
    return ""


def _blocks(turn: Json, folder: str) -> list[Json]:
    blocks: list[Json] = []
    if "text" in turn:
        blocks.append({"type": "text", "text": turn["text"]})
    for tool in turn.get("tools", ()):
        filled = json.loads(json.dumps(tool["input"]).replace("${CWD}", folder))
        blocks.append({"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": tool["name"], "input": filled})
    return blocks or [{"type": "text", "text": ""}]


def _usage(turn: Json) -> Json:
    return {"input_tokens": 100, "output_tokens": 10, **turn.get("usage", {})}


def _whole(model: str, turn: Json, folder: str) -> Json:
    return {
        "id": f"msg_{uuid4().hex}",  # the client merges messages of one id
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _blocks(turn, folder),
        "stop_reason": "tool_use" if turn.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": _usage(turn),
    }


def _events(model: str, turn: Json, folder: str) -> Iterator[Json]:
    """The server-sent events of one answer, as the Messages API streams them."""
    whole = _whole(model, turn, folder)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for index, block in enumerate(whole["content"]):
        if block["type"] == "text":
            start: Json = {"type": "text", "text": ""}
            delta: Json = {"type": "text_delta", "text": block["text"]}
        else:
            start = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": whole["usage"]}
    yield {"type": "message_stop"}


def main() -> None:
    """``python -m tests.sessions.model_server SCRIPT.json [PORT]``: for trying things by hand."""
    script = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    server = ModelServer(script, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write("".join(f"export {name}={value}\n" for name, value in server.environment().items()))
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
