"""What an agent did, as lines for a person: the client's raw events made readable, other programs as they print.

Invariant: reads only, and follows without ever missing a line; a run that is followed ends the following when its
process has ended and all of it was shown. Control characters of a program never reach the reader's terminal.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from orchestra.blueprint.model import Agent, RunnerKind, RunnerMode
from orchestra.engine import process_tree
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.sessions.runners.output_parsers import as_object
from orchestra.sessions.store import AgentFolder, FleetFolder, RunFolder
from orchestra.sessions.tail import Tail

_WIDTH = 160
_LOOK_S = 0.3
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_log(fleet: Fleet, agent: Agent, *, follow: bool = False, raw: bool = False) -> Iterator[str]:
    """All runs of an agent, oldest first. ``follow``: stay with the newest until it ends. ``raw``: as it was printed.

    Raises UsageError when the agent never had a session.
    """
    folder = FleetFolder(fleet.folder).agent(agent.name)
    runs = [run for run in folder.runs() if run.request is not None]
    if not runs:
        raise UsageError(f"{agent.name} has had no session yet", hint=f"orchestra start --agents {agent.name}")
    return _read(folder, runs, follow=follow, raw=raw)


def _read(folder: AgentFolder, runs: list[RunFolder], *, follow: bool, raw: bool) -> Iterator[str]:
    for run, after in zip(runs, [*runs[1:], None], strict=True):
        if not raw:
            yield _heading(run)
        tail = _sources(folder, run, after)
        yield from _follow(tail, run, raw) if follow and after is None else _once(tail, run, raw)
        if not raw:
            yield from _closing(run)


def _heading(run: RunFolder) -> str:
    started = run.run.started_at if run.run is not None else None
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else "not started"
    request = run.request
    how = "goes on with its session" if request is not None and request.resume else "a new session"
    return f"-- run {run.number}, {when}: {how}"


def _closing(run: RunFolder) -> Iterator[str]:
    err = _clean(run.err.read_text("utf-8", "replace")) if run.err.exists() else ""
    yield from (f"stderr: {line}" for line in err.splitlines()[-20:] if line.strip())
    stop, ending = run.stop, run.ending
    if stop is not None:
        yield f"-- run {run.number} was stopped: {stop.reason}"
    elif ending is not None:
        how = f"signal {ending.signal}" if ending.signal else f"exit code {ending.exit_code}"
        yield f"-- run {run.number} ended: {ending.detail or (how if ending.why == 'exited' else ending.why)}"


def _sources(folder: AgentFolder, run: RunFolder, after: RunFolder | None) -> Tail:
    """What there is to read: a session in tmux prints a screen, but its hooks tell what it does.

    All runs share the file of hook events; a run's are those before the run ``after`` it began.
    """
    request = run.request
    if request is None or request.mode is RunnerMode.HEADLESS:
        return Tail(run.out)
    start, end = _heard(run), _heard(after)
    return Tail(folder.events, start or 0) if end is None else Tail(folder.events, start or 0, end)


def _heard(run: RunFolder | None) -> int | None:
    return run.run.events_before if run is not None and run.run is not None else None


def _once(tail: Tail, run: RunFolder, raw: bool) -> Iterator[str]:
    for line in (*tail.lines(), tail.rest()):
        yield from _shown(run, line, raw)


def _follow(tail: Tail, run: RunFolder, raw: bool) -> Iterator[str]:
    while True:
        over = run.ending is not None or run.run is None or not process_tree.is_alive(run.run.keeper)
        for line in tail.lines():
            yield from _shown(run, line, raw)
        if over:
            yield from _shown(run, tail.rest(), raw)
            return
        time.sleep(_LOOK_S)


def _shown(run: RunFolder, line: bytes, raw: bool) -> Iterator[str]:
    text = line.decode("utf-8", "replace")
    if raw or not text:
        yield from (text,) if text else ()
        return
    request = run.request
    event = as_object(text)
    if event is None or request is None or (request.kind is not RunnerKind.CLAUDE):
        yield _clean(text)
    elif "at" in event:
        yield from _hook_line(event)
    else:
        yield from event_lines(event)


def event_lines(event: dict[str, Any]) -> Iterator[str]:
    """One event of the client's stream as lines; events that tell a person nothing give none."""
    try:
        yield from (_short(line) for line in _event_lines(event))
    except (KeyError, TypeError, AttributeError, ValueError):
        return  # an event of a shape that this version does not know


def _event_lines(event: dict[str, Any]) -> Iterator[str]:
    match event.get("type"), event.get("subtype"):
        case "assistant", _:
            for block in event["message"]["content"]:
                if block["type"] == "text":
                    yield from block["text"].splitlines()
                elif block["type"] == "tool_use":
                    yield f"> {block['name']} {_argument(block['input'])}"
        case "user", _:
            yield from _results(event["message"]["content"])
        case "system", "api_retry":
            yield f"! the API answers {event.get('error_status') or 'nothing'}, attempt {event.get('attempt')}"
        case "system", "init":
            yield f"client {event.get('claude_code_version', '?')}, model {event.get('model', '?')}"
        case "result", _:
            cost = float(event.get("total_cost_usd") or 0.0)
            yield f"= {event.get('subtype')}, {event.get('num_turns')} turns, {cost:.2f} USD"


def _argument(given: dict[str, Any]) -> str:
    for name in ("file_path", "notebook_path", "command", "pattern", "url", "description"):
        if given.get(name):
            return str(given[name]).splitlines()[0]
    return ""


def _results(content: object) -> Iterator[str]:
    """Only what went wrong; what went well shows in what comes next."""
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "tool_result" and block.get("is_error"):
            said = block.get("content")
            text = said if isinstance(said, str) else " ".join(part.get("text", "") for part in said or ())
            yield from (f"  ! {line}" for line in text.splitlines()[:5])


def _hook_line(event: dict[str, Any]) -> Iterator[str]:
    if event["event"] != "PostToolUse":
        clock = time.strftime("%H:%M:%S", time.localtime(float(event["at"])))
        yield _short(f"{clock} {event['event']} {event.get('detail', '')}".rstrip())


def _short(text: str) -> str:
    text = _clean(text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
