"""Say in one line what a program does, by the newest event in its output (formats: output_parsers.py).

Invariant: an output of unknown shape says nothing; no output raises.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from orchestra.sessions.runners.output_parsers import as_object
from orchestra.text import one_line

_LONGEST = 120
_SUBJECTS = ("command", "file_path", "filePath", "path", "absolute_path", "pattern", "url", "description")
_SHELL = re.compile(r"\S*sh -l?c ")
Json = dict[str, Any]


def newest_activity(output: bytes) -> str:
    """Return the newest thing that the output says its program does; empty where it says nothing."""
    for line in reversed(output.split(b"\n")):
        event = as_object(line.decode("utf-8", "replace").strip())
        text = _activity(event) if event is not None else ""
        if text:
            return one_line(text, _LONGEST)
    return ""


def _activity(event: Json) -> str:
    try:
        match event.get("type"):
            case "item.started" | "item.completed":  # codex
                return _codex_item(event["item"])
            case "tool_use" if "part" in event:  # opencode
                part = event["part"]
                return f"{part['tool']} {_subject(part['state'].get('input'))}".strip()
            case "tool_use":  # gemini
                return f"{event['tool_name']} {_subject(event.get('parameters'))}".strip()
            case "assistant":  # qwen, as the Claude client
                tools = [block for block in event["message"]["content"] if block.get("type") == "tool_use"]
                return f"{tools[-1]['name']} {_subject(tools[-1].get('input'))}".strip() if tools else ""
    except (KeyError, TypeError, AttributeError):
        return ""
    return ""


def _codex_item(item: Json) -> str:
    match item.get("type"):
        case "command_execution":
            command = str(item["command"])
            if _SHELL.match(command):
                try:
                    command = shlex.split(command)[-1]
                except ValueError:
                    return command
            return command
        case "file_change":
            return ", ".join(f"{change['kind']} {change['path']}" for change in item["changes"])
        case "web_search" | "mcp_tool_call":
            return f"{item['type']} {item.get('query') or item.get('tool') or ''}".strip()
    return ""


def _subject(given: object) -> str:
    """Return the one argument of a tool that says most."""
    if not isinstance(given, dict):
        return ""
    return next((str(given[key]).strip().split("\n")[0] for key in _SUBJECTS if given.get(key)), "")
