"""A scripted model server for programs other than Claude Code: the APIs of OpenAI and Gemini, on loopback.

    {"one": [{"shell": "git commit -qam x"}, {"expect": "AGENT_NOTES.md", "shell": "..."}, {"text": "Done."}]}

The turn that is played is the number of the model's turns in the request's history, so that retries and resumed
sessions need no state here. An agent is chosen by the folder that its program says it works in, ``agent-N``. A turn may
have ``error`` (a status) with ``times``, and ``expect``: what the newest message must hold; a miss is in ``misses``.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import uuid4

from tests.loopback_server import LoopbackServer

Json = dict[str, Any]
Turns = list[Json]
_LAST: Json = {"text": "Nothing more to do."}
_USAGE = (1000, 100, 50)  # input, cached input, output: of each request


class ProgramServer(LoopbackServer):
    """Serves ``script``: the turns of each agent, by number from 1. ``requests``: every request, parsed."""

    def __init__(self, script: Mapping[int, Turns]) -> None:
        super().__init__(_Handler)
        self.script = script
        self.requests: list[Json] = []
        self.misses: list[str] = []
        self.refusals: Counter[tuple[int, int]] = Counter()
        self.reached: dict[tuple[int, int], threading.Event] = {}
        self.lock = threading.Lock()

    def asked_for(self, agent: int, turn: int) -> threading.Event:
        """Return the event that is set when that turn is requested."""
        with self.lock:
            return self.reached.setdefault((agent, turn), threading.Event())

    def play(self, body: Json, history: list[Json]) -> Json:
        """Return the turn for a request."""
        text = _text(body)
        folders = re.findall(r"/wt/agent-(\d+)", text)
        agent, turn = int(folders[0]) if folders else 0, _turns(history)
        turns = self.script.get(agent) or []
        chosen = turns[turn] if turn < len(turns) else _LAST
        newest = _text(history[-1] if history else "")
        with self.lock:
            self.requests.append({"agent": agent, "turn": turn, "text": text, "newest": newest})
            if "expect" in chosen and chosen["expect"] not in newest:
                self.misses.append(f"agent-{agent}, turn {turn}: {chosen['expect']!r} is not in {newest!r}")
            self.reached.setdefault((agent, turn), threading.Event()).set()
            if "error" in chosen and self.refusals[agent, turn] < chosen.get("times", 1):
                self.refusals[agent, turn] += 1
                return chosen
        return {key: value for key, value in chosen.items() if key != "error"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ProgramServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw or b"{}")
        if "streamGenerateContent" in self.path:
            history, answer = body["contents"], _gemini
        elif self.path.endswith("/responses"):
            history, answer = body["input"], _responses
        elif self.path.endswith("/chat/completions"):
            history, answer = body["messages"], _chat
        else:
            self._json(404, {"error": {"message": f"no {self.path} here"}})
            return
        if answer is _chat and not body.get("tools"):  # a title for the session: no part of the work
            self._events(_chat(body, {"text": "A title"}))
            return
        turn = self.server.play(body, history)
        if "error" in turn:
            status = turn["error"]
            self._json(status, {"error": {"message": f"scripted {status}", "type": "server_error", "code": status}})
        else:
            self._events(answer(body, turn))

    def _json(self, status: int, value: Json) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _events(self, events: Iterator[Json]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            name = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        self.close_connection = True


def _responses(body: Json, turn: Json) -> Iterator[Json]:
    """Yield the events of an answer of the Responses API."""
    item: Json
    if "shell" in turn:
        arguments = json.dumps({"cmd": turn["shell"]})
        item = {"type": "function_call", "call_id": f"call_{uuid4().hex[:8]}", "name": "exec_command"}
        item |= {"id": f"fc_{uuid4().hex[:8]}", "arguments": arguments, "status": "completed"}
    else:
        content = [{"type": "output_text", "text": turn["text"], "annotations": []}]
        item = {"type": "message", "id": f"msg_{uuid4().hex[:8]}", "role": "assistant", "content": content}
    given, cached, out = _USAGE
    usage = {"input_tokens": given, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": out}
    usage |= {"output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": given + out}
    response = {"id": f"resp_{uuid4().hex[:8]}", "object": "response", "model": body.get("model"), "output": [item]}
    yield {"type": "response.created", "response": response | {"status": "in_progress", "output": []}}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": response | {"status": "completed", "usage": usage}}


def _chat(body: Json, turn: Json) -> Iterator[Json]:
    """Yield the events of an answer of the Chat Completions API, for the tools of opencode or qwen."""
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    is_qwen = "run_shell_command" in names
    delta: Json = {"role": "assistant", "content": turn.get("text")}
    if "text" not in turn:
        name, arguments = "bash", {"command": turn.get("shell"), "description": "work"}
        if is_qwen:
            name, arguments = "run_shell_command", {"command": turn.get("shell"), "is_background": False}
        if "write" in turn:
            name = "write_file" if is_qwen else "write"
            arguments = {"file_path" if is_qwen else "filePath": turn["write"], "content": "written\n"}
        function = {"name": name, "arguments": json.dumps(arguments)}
        delta["tool_calls"] = [{"index": 0, "id": f"call_{uuid4().hex[:8]}", "type": "function", "function": function}]
    given, cached, out = _USAGE
    usage = {"prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
    reason = "stop" if "text" in turn else "tool_calls"
    yield chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield chunk | {"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": cached}}}


def _gemini(body: Json, turn: Json) -> Iterator[Json]:
    """Yield the answer of the Gemini API; ``write`` is a call of its edit tool."""
    call: Json = {"name": "run_shell_command", "args": {"command": turn.get("shell"), "is_background": False}}
    if "write" in turn:
        call = {"name": "write_file", "args": {"file_path": turn["write"], "content": "written\n"}}
    part = {"text": turn["text"]} if "text" in turn else {"functionCall": call | {"id": uuid4().hex[:8]}}
    given, cached, out = _USAGE
    usage = {"promptTokenCount": given, "cachedContentTokenCount": cached, "candidatesTokenCount": out}
    content = {"role": "model", "parts": [part]}
    yield {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage | {"totalTokenCount": given + out},
        "modelVersion": "scripted",
    }


def _turns(history: list[Json]) -> int:
    """Count the model's turns: its messages and calls, those that follow each other as one."""
    count, was_model = 0, False
    for item in history:
        # qwen begins with an answer of its own to a first message about the folder.
        if item.get("type") == "reasoning" or _text(item.get("content")).startswith("Got it. Thanks for the context"):
            continue
        is_model = item.get("type") == "function_call" or item.get("role") in ("assistant", "model")
        count += is_model and not was_model
        was_model = is_model
    return count


def _text(value: object) -> str:
    """Return every text of a JSON value, in order."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    if isinstance(value, dict):
        return "\n".join(map(_text, value.values()))
    return ""
