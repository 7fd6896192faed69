"""The client calls this while it works: ``python -I -S hook.py greet|signal|guard|gate|turn AGENT_FOLDER``, and
``line RUN_FOLDER`` for the line below the prompt (window_line.py).

It reads one JSON object on standard input and appends one line to ``events.jsonl`` (one O_APPEND write, so that fifty
agents can end at once and no signal is lost). ``guard`` refuses what the policy does not allow, with the reason and the
alternative; ``gate`` requires commits, notes and passing quick gates of a session that wants to end; ``turn`` reminds
an interactive one once of its commits and notes.

Invariant: the guard fails closed, all else fails open: a status that cannot be written must not stop the work. The hook
starts in about 20 ms: standard library only; ``gate`` and ``turn`` import more of orchestra, which needs no packages
either. The quick gates run the agent's own files, so they run in a sandbox where there is one, without the user's
tokens.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_BLOCK = 2  # the client shows standard error to the model and does not do what it was about to do
# Not through a link, and not into a pipe without a reader: an agent without a sandbox may have put either there.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 lets the client continue, 2 blocks, with the reason on standard error."""
    call, folder = arguments[0], Path(arguments[1])
    event: Json = {}
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    try:
        event = json.loads(sys.stdin.buffer.read() or b"{}")
        reason = _ANSWERS[call](event, folder)
    except Exception as error:  # noqa: BLE001 - whatever it is
        reason = ""
        if call == "guard":  # an unguarded call must not pass
            reason = f"orchestra's guard could not judge this call: {type(error).__name__}: {error}"
        elif call in ("gate", "turn"):  # the turn is over, and status must know it
            append(folder, event, "")
    if reason:
        sys.stderr.write(reason + "\n")
        return _BLOCK
    return 0


def signal(event: Json, folder: Path) -> str:
    """Record that it happened."""
    append(folder, event, _detail(event, folder))
    return ""


def greet(event: Json, folder: Path) -> str:
    """Record it, and tell the session who it is, also after its memory was compacted.

    By this output the supervisor knows that the client loaded orchestra's settings (claude_stream.py, GREETING).
    """
    append(folder, event, _detail(event, folder))
    policy = _policy(folder)
    text = f"You are orchestra agent {policy['agent']} of fleet {policy['fleet']}, on branch {policy['branch']}."
    if policy["scope_text"]:
        scope = ", ".join(policy["scope_text"])
        reason = f" Your scope is {scope}; a change elsewhere needs its path and reason in AGENT_NOTES.md."
        text += f" Change only {scope}." if policy.get("strict", True) else reason
    context = {"hookEventName": "SessionStart", "additionalContext": text}
    sys.stdout.write(json.dumps({"hookSpecificOutput": context}) + "\n")
    return ""


def guard(event: Json, folder: Path) -> str:
    """Return why this call is refused; empty when it is allowed."""
    policy = _policy(folder)
    tool, tool_input = str(event.get("tool_name")), event.get("tool_input") or {}
    from orchestra.sessions.guard import judge

    reason = judge(policy, tool, tool_input, str(event.get("cwd") or policy["worktree"]))
    append(folder, event, f"refused: {tool}: {reason}" if reason else _detail(event, folder))
    return reason


def gate(event: Json, folder: Path) -> str:
    """Return what a headless session must do before it may end; after three reminders the train decides."""
    from orchestra.sessions.stop_checks import MOST_REMINDERS, unmet_checks

    reminders = _reminders(folder, event)
    policy = _policy(folder)
    missing = unmet_checks(policy, folder) if reminders < MOST_REMINDERS else []
    return _answer_stop(folder, event, reminders, missing)


def turn(event: Json, folder: Path) -> str:
    """Return what an interactive session should do before its turn ends; once, since a person is talking with it."""
    from orchestra.sessions.stop_checks import unfinished_work

    reminders = _reminders(folder, event)
    missing = [] if reminders else list(unfinished_work(_policy(folder), folder))
    return _answer_stop(folder, event, reminders, missing)


def line(event: Json, folder: Path) -> str:
    """Print the line below the prompt of a session in a window, and keep its cost. ``folder``: of the run."""
    from orchestra.sessions.window_line import window_line

    sys.stdout.write(window_line(event, folder) + "\n")
    return ""


_ANSWERS = {"greet": greet, "signal": signal, "guard": guard, "gate": gate, "turn": turn, "line": line}


# -- events ---------------------------------------------------------------------------------------------------------


def append(folder: Path, event: Json, detail: str) -> None:
    """Append one line in one write. A folder that cannot be written loses the signal, not the work."""
    line = {
        "at": time.time(),
        "event": event.get("hook_event_name", ""),
        "detail": detail[:300],
        "session": event.get("session_id", ""),
    }
    try:
        handle = os.open(folder / "events.jsonl", _APPEND, 0o644)
    except OSError:
        return
    try:
        os.write(handle, json.dumps(line).encode() + b"\n")
    except OSError:
        return
    finally:
        os.close(handle)


def _detail(event: Json, folder: Path) -> str:
    """Describe the event in one line."""
    name = event.get("hook_event_name")
    if name == "Notification":
        kind = str(event.get("notification_type") or "")
        # It follows the request for the permission, whose detail it does not repeat.
        request = _last_request(folder, event) if kind == "permission_prompt" else ""
        return f"{kind}: {request}" if request else kind
    if name == "StopFailure" and event.get("last_assistant_message"):
        return " ".join(str(event["last_assistant_message"]).split())  # such as "API Error: 529 ..."; `error` is vague
    if name in ("StopFailure", "SessionEnd", "SessionStart"):
        return str(event.get("error") or event.get("reason") or event.get("source") or "")
    tool_input = event.get("tool_input")
    if not isinstance(tool_input, dict):
        return ""
    if event.get("tool_name") == "AskUserQuestion":
        return f"AskUserQuestion {_question(tool_input)}".strip()
    keys = ("file_path", "notebook_path", "command", "pattern", "url")
    subject = str(next((tool_input[key] for key in keys if tool_input.get(key)), "")).strip().split("\n")[0]
    return f"{event.get('tool_name')} {subject.removeprefix(str(event.get('cwd')) + '/')}".strip()


def _question(tool_input: Json) -> str:
    """Return the first question that the session asks, with the answers it offers."""
    questions = tool_input.get("questions")
    first = questions[0] if isinstance(questions, list) and questions else None
    if not isinstance(first, dict):
        return ""
    options = [str(option.get("label")) for option in first.get("options") or () if isinstance(option, dict)]
    answers = f" ({' / '.join(options)})" if options else ""
    return " ".join(f"{first.get('question') or ''}{answers}".split())


def _last_request(folder: Path, event: Json) -> str:
    """Return the detail of the newest event when it is this session's request for a permission."""
    from orchestra.sessions.tail import last_line

    try:
        newest = json.loads(last_line(folder / "events.jsonl"))
    except ValueError:
        return ""
    same = newest.get("session") == event.get("session_id") and newest.get("event") == "PermissionRequest"
    return str(newest.get("detail") or "") if same else ""


# -- before a session ends ------------------------------------------------------------------------------------------


def _answer_stop(folder: Path, event: Json, reminders: int, missing: list[str]) -> str:
    """Record the end of the turn, or the reminder instead: a turn that must continue is not over."""
    if not missing:
        append(folder, event, "")
        return ""
    from orchestra.files import write_atomically

    counter = {"session": event.get("session_id"), "times": reminders + 1}
    write_atomically(folder / "reminders.json", json.dumps(counter))
    append(folder, {**event, "hook_event_name": "Asked"}, "")
    return "\n".join(("Before you stop:", *(f"- {item}" for item in missing)))


def _reminders(folder: Path, event: Json) -> int:
    """Return how often this turn of the session was reminded; a new prompt starts from 0."""
    from orchestra.files import read_regular

    try:
        counter = json.loads(read_regular(folder / "reminders.json") or b"{}")
    except ValueError:
        return 0
    same = counter.get("session") == event.get("session_id") and event.get("stop_hook_active")
    return int(counter.get("times", 0)) if same else 0


def _policy(folder: Path) -> Json:
    from orchestra.files import read_regular

    policy: Json = json.loads(read_regular(folder / "policy.json") or b"")
    return policy


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
