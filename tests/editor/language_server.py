"""The language server that editors run for YAML, driven over its standard input and output as an editor does.

Invariant: it looks up nothing in the network (the schema store and other catalogues are off), and it is given the
settings that docs/blueprint.md names and no others. Refuses to wait for ever: an answer that does not come within a
minute fails the test with what was being asked.
"""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 60.0
KINDS = {1: "error", 2: "warning", 3: "information", 4: "hint"}


@dataclass(frozen=True, slots=True)
class Squiggle:
    """What an editor underlines: ``line`` and ``column`` count from 1, as in orchestra's messages."""

    line: int
    column: int
    end: tuple[int, int]
    kind: str
    message: str


class LanguageServer:
    """One running server. ``settings`` are the keys below ``yaml`` in an editor's settings."""

    def __init__(self, argv: Sequence[str], settings: dict[str, Any]) -> None:
        offline = {"schemaStore": {"enable": False}, "kubernetesCRDStore": {"enable": False}}
        self._settings = {"validate": True, "hover": True, "completion": True, **offline, **settings}
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._numbers = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._squiggles: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._begin()

    def _begin(self) -> None:
        text = {"completion": {"completionItem": {"documentationFormat": ["markdown"]}}}
        capabilities = {"workspace": {"configuration": True}, "textDocument": text}
        self._ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})

    def close(self) -> None:
        """End the server as its protocol says."""
        self._ask("shutdown", None)
        self._tell("exit", None)
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    # What an editor does

    def open(self, file: Path, text: str | None = None) -> list[Squiggle]:
        """Open a file (with ``text`` in place of what is saved); what gets underlined, in order."""
        content = file.read_text(encoding="utf-8") if text is None else text
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": next(self._numbers), "text": content}
        self._tell("textDocument/didOpen", {"textDocument": document})
        found = self._squiggles.get(timeout=PATIENCE_S)
        while found["uri"] != file.as_uri():
            found = self._squiggles.get(timeout=PATIENCE_S)
        return sorted(map(_squiggle, found["diagnostics"]), key=lambda one: (one.line, one.column))

    def hover(self, file: Path, line: int, column: int) -> str:
        """What is shown for that place; empty where there is nothing."""
        answer = self._ask("textDocument/hover", _at(file, line, column))
        return str(answer["contents"]["value"]) if answer else ""

    def complete(self, file: Path, line: int, column: int) -> list[dict[str, Any]]:
        """What is offered there."""
        answer = self._ask("textDocument/completion", _at(file, line, column))
        items = answer["items"] if isinstance(answer, dict) else answer
        return sorted(items or [], key=lambda item: str(item["label"]))

    # The protocol

    def _ask(self, method: str, parameters: Any) -> Any:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        try:
            answer = self._answers.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"the language server does not answer {method} {parameters}") from None
        assert answer["id"] == number, answer
        assert "error" not in answer, answer
        return answer.get("result")

    def _tell(self, method: str, parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        pipe.flush()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while (message := _message(pipe)) is not None:
            if "method" not in message:
                self._answers.put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                self._squiggles.put(message["params"])
            elif "id" in message:
                self._send({"id": message["id"], "result": self._asked(message)})

    def _asked(self, message: dict[str, Any]) -> Any:
        """The server asks for settings; everything else it asks for (registering this and that) is simply granted."""
        if message["method"] != "workspace/configuration":
            return None
        return [self._settings if item.get("section") == "yaml" else {} for item in message["params"]["items"]]


def _message(pipe: IO[bytes]) -> dict[str, Any] | None:
    length = 0
    while (line := pipe.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    found: dict[str, Any] | None = json.loads(pipe.read(length)) if length else None
    return found


def _at(file: Path, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": file.as_uri()}, "position": {"line": line - 1, "character": column - 1}}


def _squiggle(found: dict[str, Any]) -> Squiggle:
    start, end = found["range"]["start"], found["range"]["end"]
    return Squiggle(
        start["line"] + 1,
        start["character"] + 1,
        (end["line"] + 1, end["character"] + 1),
        KINDS[found.get("severity", 1)],
        found["message"],
    )
