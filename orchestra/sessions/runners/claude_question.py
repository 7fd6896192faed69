"""Ask the Claude Code client a question about a repository: headless, read-only, answered in a JSON Schema's shape.

The client gets three tools, Read, Glob and Grep. Nothing that the repository brings along takes part: its settings,
with their hooks and environment, are not loaded, nor are MCP servers and skills. Outside the repository the client
refuses to read. Each of this was seen with 2.1.197 and 2.1.330.

Invariant: no tool that writes or runs is ever named here, and no permission is bypassed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from orchestra.engine.job import Finished, Job, JobId, Outcome, Result
from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError
from orchestra.files import read_tail
from orchestra.sessions import usage
from orchestra.sessions.runners.claude import ENVIRONMENT, OF_A_SESSION, PROGRAM, install_client
from orchestra.sessions.runners.claude_stream import ClaudeReader
from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.runners.protocol import AlertKind
from orchestra.sessions.state import SessionResult, Usage
from orchestra.sessions.tail import Tail
from orchestra.text import first_error_line, format_duration

_TOOLS: Final = "Read,Glob,Grep"
_SETTINGS: Final = {
    "disableAllHooks": True,
    "permissions": {"deny": ["Read(.env)", "Read(.env.*)", "Read(*.pem)", "Read(*.key)"]},
}
_MOST_TURNS: Final = 60
_TIMEOUT_S: Final = 900.0


def require_client() -> None:
    """Raise GroundError, with the command that installs it, where the client is not on PATH."""
    if shutil.which(PROGRAM) is None:
        raise GroundError("the Claude Code client is not on PATH", hint=f"{install_client()}, then run {PROGRAM} once")


class ClientQuestion:
    """One conversation with the client about the repository at ``folder``; its logs go to ``logs``.

    ``most_usd`` is the cost limit of the whole conversation. ``announce`` receives what the client does, as it does it.
    """

    def __init__(
        self,
        folder: Path,
        logs: Path,
        schema: Mapping[str, Any],
        *,
        most_usd: float,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        require_client()
        self._folder, self._logs, self._schema, self._most_usd = folder, logs, schema, most_usd
        self._announce = announce
        self._session = str(uuid4())
        self._results: list[SessionResult] = []

    @property
    def usage(self) -> Usage:
        """The tokens and the cost of all questions so far."""
        return usage.total(self._results)

    def ask(self, prompt: str) -> Mapping[str, Any] | None:
        """Ask the first question, or a further one in the same session; return the answer, None for one of no shape.

        Raises GroundError where the client fails: no login, no connection, cost limit reached.
        """
        number = len(self._results) + 1
        self._logs.mkdir(parents=True, exist_ok=True)
        stem = self._logs / f"{self._session}-{number}"
        question, log, errors = (stem.with_suffix(end) for end in (".prompt.txt", ".jsonl", ".stderr"))
        question.write_text(prompt, "utf-8")
        env = {name: value for name, value in os.environ.items() if name not in OF_A_SESSION}
        job = Job(
            JobId(stem.name),
            self._argv(),
            self._folder,
            {**env, **ENVIRONMENT},
            log,
            timeout_s=_TIMEOUT_S,
            errlog=errors,
            stdin=question,
        )
        reader = ClaudeReader(guarded=False)
        ending, refusal = self._run(job, reader)
        result = reader.result()
        self._results.append(result)
        if refusal or result.is_error or ending.outcome is not Outcome.PASSED:
            why = refusal or result.reason or first_error_line(read_tail(errors)) or ending.detail
            raise GroundError(f"the client could not answer: {why}", hint=f"the whole answer is in {log}")
        document = None
        for line in Tail(log).lines():
            event = as_object(line.decode("utf-8", "replace")) or {}
            if event.get("type") == "result" and isinstance(event.get("structured_output"), dict):
                document = event["structured_output"]
        return document

    def _argv(self) -> tuple[str, ...]:
        session = ("--resume", self._session) if self._results else ("--session-id", self._session)
        remaining_usd = max(0.01, self._most_usd - (self.usage.cost_usd or 0.0))
        return (
            *(PROGRAM, "-p", "--output-format", "stream-json", "--verbose"),
            *("--json-schema", json.dumps(self._schema), *session),
            *("--tools", _TOOLS, "--permission-mode", "dontAsk", "--disable-slash-commands", "--strict-mcp-config"),
            *("--setting-sources", "user", "--settings", json.dumps(_SETTINGS)),
            *("--max-turns", str(_MOST_TURNS), "--max-budget-usd", f"{remaining_usd:.4f}"),
        )

    def _run(self, job: Job, reader: ClaudeReader) -> tuple[Result, str]:
        """Run the client to its end, and announce what it does. Return how it ended, and why it was ended early."""
        tail, since, refusal = Tail(job.log), time.monotonic(), ""
        with LocalEngine(1) as engine:
            engine.submit(job)
            while True:
                events = engine.wait(1.0)
                for line in tail.lines():
                    alert = reader.feed(line)
                    if alert is not None and alert.kind in (AlertKind.LOGIN, AlertKind.LIMIT):
                        refusal = alert.reason
                        engine.cancel(job.id)  # the client itself would try for minutes
                    if step := alert.reason if alert else _step(line, self._folder):
                        self._announce(f"{step} ({format_duration(time.monotonic() - since)})")
                for event in events:
                    if isinstance(event, Finished):
                        return event.result, refusal


def _step(line: bytes, folder: Path) -> str:
    """Return what the client does by this line of its output: ``reads src/app.py``; "" for nothing of note."""
    event = as_object(line.decode("utf-8", "replace")) or {}
    message = event.get("message")
    content = message.get("content") if event.get("type") == "assistant" and isinstance(message, dict) else None
    for block in content if isinstance(content, list) else ():
        given = block.get("input") if isinstance(block, dict) and block.get("type") == "tool_use" else None
        if isinstance(given, dict):
            subject = str(given.get("file_path") or given.get("pattern") or "")
            verb = "reads" if "file_path" in given else "searches" if subject else "writes its answer"
            return f"the client {verb} {subject.removeprefix(f'{folder}/')}".rstrip()
    return ""
