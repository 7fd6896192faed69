"""Show an agent's sessions as readable lines: the client's raw events explained, other programs' output as it is.

Invariant: reads only, and no line is missed while following, which ends when the process has ended and all of its
output was shown. A program's control characters never reach the reader's terminal, except with ``raw``.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from orchestra.blueprint.model import Agent, AgentName, RunnerKind, RunnerMode
from orchestra.engine import process_tree
from orchestra.errors import UsageError
from orchestra.files import read_tail
from orchestra.fleet import Fleet
from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.store import AgentFolder, FleetFolder, RunFolder
from orchestra.sessions.tail import Tail

_WIDTH = 160
_LOOK_S = 0.3
_END_BYTES = 1 << 16
# The client puts the hook's own command line before the reason of a refusal.
_HOOK_ERROR = re.compile(r"\A\w+:\w+ hook error: \[.*?\]: ", re.DOTALL)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_logs(
    fleet: Fleet, agents: Sequence[Agent] | None, *, follow: bool = False, raw: bool = False
) -> Iterator[tuple[AgentName, str]]:
    """Return the lines of these agents' sessions (None: of all that had one), oldest run first.

    ``follow``: stay with the newest run of each until it ends; their lines come as they are written. ``raw``:
    unchanged. Raises UsageError when one of the agents never had a session.
    """
    streams: dict[AgentName, Iterator[str | None]] = {}
    for agent in fleet.blueprint.agents if agents is None else agents:
        folder = FleetFolder(fleet.folder).agent(agent.name)
        runs = [run for run in folder.runs() if run.request is not None]
        if runs:
            streams[agent.name] = _read_runs(folder, runs, follow=follow, raw=raw)
        elif agents is not None:
            raise UsageError(f"{agent.name} has had no session yet", hint=f"run orchestra start {agent.name}")
    if not streams:
        raise UsageError(f"no agent of fleet {fleet.name} has had a session yet", hint="run orchestra start")
    return _interleave(streams)


def read_last_lines(fleet: Fleet, agent: AgentName, most_lines: int) -> list[str]:
    """Return the last readable lines of an agent's newest session; none where it had none."""
    folder = FleetFolder(fleet.folder).agent(agent)
    newest = folder.newest()
    if newest is None or newest.request is None:
        return []
    is_screen = newest.request.mode is not RunnerMode.HEADLESS
    end = read_tail(folder.events if is_screen else newest.out, _END_BYTES)
    raw_lines = end.split(b"\n")[len(end) == _END_BYTES :]  # the first one may be the end of a line
    lines = (line for raw_line in raw_lines for line in _readable(newest, raw_line, False))
    return [*deque(chain(lines, _closing(newest)), maxlen=most_lines)]


def _interleave(streams: dict[AgentName, Iterator[str | None]]) -> Iterator[tuple[AgentName, str]]:
    """Yield the lines of all streams until each has ended; take turns wherever one yields None: no line yet."""
    while streams:
        for name, stream in list(streams.items()):
            for line in stream:
                if line is None:
                    break
                yield name, line
            else:
                del streams[name]
        if streams:
            time.sleep(_LOOK_S)


def _read_runs(folder: AgentFolder, runs: Sequence[RunFolder], *, follow: bool, raw: bool) -> Iterator[str | None]:
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        request = run.request
        if not raw:
            started = run.run.started_at if run.run is not None else None
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else "not started"
            kind = "resumes its session" if request is not None and request.resume else "a new session"
            yield f"-- run {run.number}, {when}: {kind}"
        if request is None or request.mode is RunnerMode.HEADLESS:
            tail = Tail(run.out)
        else:
            # In tmux the output is a screen, but the hooks report what happens. All runs share the file of hook events;
            # those of this run are before the next run started.
            start, end = _events_before(run), _events_before(following)
            tail = Tail(folder.events, start or 0) if end is None else Tail(folder.events, start or 0, end)
        yield from _lines(tail, run, raw, follow=follow and following is None)
        if not raw:
            yield from _closing(run)


def _closing(run: RunFolder) -> Iterator[str]:
    errors = _clean(read_tail(run.err, 1 << 16).decode("utf-8", "replace"))
    yield from (f"stderr: {line}" for line in errors.splitlines()[-20:] if line.strip())
    stop, ending = run.stop, run.ending
    if stop is not None:
        yield f"-- run {run.number} was stopped: {stop.reason}"
    elif ending is not None:
        end = f"signal {ending.signal}" if ending.signal else f"exit code {ending.exit_code}"
        yield f"-- run {run.number} ended: {ending.detail or (end if ending.why == 'exited' else ending.why)}"


def _events_before(run: RunFolder | None) -> int | None:
    return run.run.events_before if run is not None and run.run is not None else None


def _lines(tail: Tail, run: RunFolder, raw: bool, *, follow: bool) -> Iterator[str | None]:
    while True:
        # Checked before the output is read, so that all of it is shown.
        is_over = not follow or run.ending is not None or run.run is None or not process_tree.is_alive(run.run.keeper)
        for line in tail.lines():
            yield from _readable(run, line, raw)
        if is_over:
            yield from _readable(run, tail.last_part(), raw)
            return
        yield None


def _readable(run: RunFolder, line: bytes, raw: bool) -> Iterator[str]:
    text = line.decode("utf-8", "replace")
    if raw or not text:
        yield from (text,) if text else ()
        return
    request, event = run.request, as_object(text)
    if event is None or request is None:
        yield _clean(text)
    elif request.kind is RunnerKind.CLAUDE or isinstance(event.get("message"), dict):  # qwen prints the same events
        yield from event_lines(event)
    else:
        yield from other_event_lines(event)


def event_lines(event: dict[str, Any]) -> Iterator[str]:
    """Yield one event, of the client's stream or of its hooks, as lines; none for one that says nothing to a person."""
    try:
        yield from (_clean(line) if line.startswith("  ! ") else _shorten(line) for line in _event_lines(event))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, OSError):
        return  # an event of a shape that this version does not know


def _event_lines(event: dict[str, Any]) -> Iterator[str]:
    if "at" in event:  # of a hook
        if event["event"] != "PostToolUse":
            clock = time.strftime("%H:%M:%S", time.localtime(float(event["at"])))
            yield f"{clock} {event['event']} {event.get('detail', '')}".rstrip()
        return
    match event.get("type"), event.get("subtype"):
        case "assistant", _:
            for block in event["message"]["content"]:
                if block["type"] == "text":
                    yield from block["text"].splitlines()
                elif block["type"] == "tool_use":
                    keys = ("file_path", "notebook_path", "command", "pattern", "url", "description")
                    subject = next((str(block["input"][key]) for key in keys if block["input"].get(key)), "")
                    yield f"> {block['name']} {(subject.splitlines() or [''])[0]}"
        case "user", _:
            # Only errors; a success shows in what comes next.
            content = event["message"]["content"]
            for block in content if isinstance(content, list) else ():
                if block.get("type") == "tool_result" and block.get("is_error"):
                    parts = block.get("content")
                    text = parts if isinstance(parts, str) else " ".join(part.get("text", "") for part in parts or ())
                    yield from (f"  ! {line}" for line in _HOOK_ERROR.sub("", text).splitlines()[:5])
        case "system", "api_retry":
            yield f"! the API answers {event.get('error_status') or 'nothing'}, attempt {event.get('attempt')}"
        case "system", "init":
            yield f"client {event.get('claude_code_version', '?')}, model {event.get('model', '?')}"
        case "result", _:
            cost = float(event.get("total_cost_usd") or 0.0)
            outcome = "error" if event.get("is_error") and event.get("subtype") == "success" else event.get("subtype")
            yield f"= {outcome}, {event.get('num_turns')} turns, {cost:.2f} USD"


def other_event_lines(event: dict[str, Any]) -> Iterator[str]:
    """Yield an event of codex, gemini or opencode (formats: runners/output_parsers.py); others as they are."""
    item = next((value for name in ("item", "part") if isinstance(value := event.get(name), dict)), {})
    kind, error = event.get("type"), event.get("error")
    if kind == "item.completed":
        kind = item.get("type")
    state = item["state"] if isinstance(item.get("state"), dict) else {}
    match kind:
        case "agent_message" | "reasoning" | "text" | "message":
            is_prompt = event.get("role") == "user"
            yield from () if is_prompt else map(_shorten, str(item.get("text", event.get("content", ""))).splitlines())
        case "command_execution":
            exit_code = item.get("exit_code")
            yield _shorten(f"> {item.get('command')}" + (f" (exit code {exit_code})" if exit_code else ""))
        case "file_change":
            changes = item.get("changes")
            yield from (_shorten(f"> {c.get('kind')} {c.get('path')}") for c in changes or () if isinstance(c, dict))
        case "tool_use":
            given = state.get("input") or event.get("parameters")
            yield _shorten(f"> {item.get('tool', event.get('tool_name', ''))} {json.dumps(given) if given else ''}")
        case "tool_result" if event.get("status") == "error":
            yield _clean(f"  ! {error or event.get('output')}")
        case "turn.failed" | "error":
            yield _clean(f"! {json.dumps(error) if isinstance(error, dict) else event.get('message')}")
        case "result" | "turn.completed" | "step_finish":
            cost = item.get("cost")
            yield f"= {event.get('status', 'done')}" + (f", {cost} USD" if cost else "")
        case (
            "thread.started" | "turn.started" | "item.started" | "item.updated" | "step_start" | "init" | "tool_result"
        ):
            return
        case _:
            yield _shorten(json.dumps(event))


def _shorten(text: str) -> str:
    text = _clean(text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
