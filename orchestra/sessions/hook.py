"""What the Claude Code client calls while it works: ``python -I -S hook.py greet|signal|guard|gate|turn AGENT_FOLDER``.

Reads one JSON object on standard input. Every call appends one line to ``events.jsonl`` (one O_APPEND write, so that
fifty agents can end at once and no signal is lost). ``guard`` refuses what the policy does not allow and says why and
what to do; ``gate`` asks a session that wants to end for commits, notes and green quick gates; ``turn`` asks an
interactive one once for the notes.

Invariant: the guard fails closed, all else fails open: a status that cannot be written must not stop the work. It
starts in some 20 ms: the standard library only, and nothing of orchestra's but for ``gate``, which runs things.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_BLOCK = 2  # the client shows standard error to the model and does not do what was asked
_MOST_ASKS = 3
# Not through a link, nor into a pipe that nobody reads: an agent without a sandbox may have put either there.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TAIL = 2_000
_MOST_NAMES = 10


def main(arguments: list[str]) -> int:
    """The exit code: 0 lets the client go on, 2 blocks, with the reason on standard error."""
    what, folder = arguments[0], Path(arguments[1])
    event: Json = {}
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    try:
        event = json.loads(sys.stdin.buffer.read() or b"{}")
        reason = _ANSWERS[what](event, folder)
    except Exception as error:  # noqa: BLE001 - whatever it is
        reason = _unjudged(what, event, folder, error)
    if reason:
        sys.stderr.write(reason + "\n")
        return _BLOCK
    return 0


def _unjudged(what: str, event: Json, folder: Path, error: Exception) -> str:
    """An unguarded call must not pass; a turn that could not be judged is over, and that must be known."""
    if what == "guard":
        return f"orchestra's guard could not judge this call: {type(error).__name__}: {error}"
    if what in ("gate", "turn"):
        append(folder, event, "")
    return ""


def signal(event: Json, folder: Path) -> str:
    """Only say that it happened."""
    append(folder, event, _detail(event))
    return ""


def greet(event: Json, folder: Path) -> str:
    """Say that it happened, and tell the session who it is: also after its memory was compacted.

    What it prints is how the supervisor knows that the client took our settings (stream.py, GREETING).
    """
    append(folder, event, _detail(event))
    policy = _policy(folder)
    text = f"You are orchestra agent {policy['agent']} of fleet {policy['fleet']}, on branch {policy['branch']}."
    if policy["scope_text"]:
        text += f" Change only {', '.join(policy['scope_text'])}."
    context = {"hookEventName": "SessionStart", "additionalContext": text}
    sys.stdout.write(json.dumps({"hookSpecificOutput": context}) + "\n")
    return ""


def guard(event: Json, folder: Path) -> str:
    """Why this call must not be made; empty when it may."""
    policy = _policy(folder)
    tool, given = str(event.get("tool_name")), event.get("tool_input") or {}
    from orchestra.sessions.guard import judge

    reason = judge(policy, tool, given, str(event.get("cwd") or policy["worktree"]))
    append(folder, event, f"refused: {tool}: {reason}" if reason else _detail(event))
    return reason


def gate(event: Json, folder: Path) -> str:
    """What a headless session lacks before it may end; it is asked three times at most, then the train decides."""
    asked = _asked(folder, event)
    policy = _policy(folder)
    lacking = [*_lacks(policy, folder), *_red(policy)] if asked < _MOST_ASKS else []
    _conclude(folder, event, asked, lacking)
    return "\n".join(("Before you stop:", *(f"- {what}" for what in lacking))) if lacking else ""


def turn(event: Json, folder: Path) -> str:
    """An interactive session is asked once; a person who talks with it must not be nagged."""
    asked = _asked(folder, event)
    lacking = [] if asked else list(_lacks(_policy(folder), folder))
    _conclude(folder, event, asked, lacking)
    return "\n".join(("Before you stop:", *(f"- {what}" for what in lacking))) if lacking else ""


_ANSWERS = {"greet": greet, "signal": signal, "guard": guard, "gate": gate, "turn": turn}


# -- events ---------------------------------------------------------------------------------------------------------


def append(folder: Path, event: Json, detail: str) -> None:
    """One line, one write. A folder that cannot be written costs the signal, not the work."""
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


def _detail(event: Json) -> str:
    """What a person wants to read in one line."""
    name = event.get("hook_event_name")
    if name == "Notification":
        return str(event.get("notification_type") or "")
    if name in ("StopFailure", "SessionEnd", "SessionStart"):
        return str(event.get("error") or event.get("reason") or event.get("source") or "")
    given = event.get("tool_input")
    if not isinstance(given, dict):
        return ""
    named = ("file_path", "notebook_path", "command", "pattern", "url")
    shown = next((given[name] for name in named if given.get(name)), "")
    return f"{event.get('tool_name')} {_near(str(shown), event)}".strip()


def _near(text: str, event: Json) -> str:
    first = text.strip().split("\n")[0]
    return first.removeprefix(f"{event.get('cwd')}/")


# -- before a session ends ------------------------------------------------------------------------------------------


def _lacks(policy: Json, folder: Path) -> Iterator[str]:
    """Commits, a clean worktree, notes."""
    from orchestra.git.git_process import Git
    from orchestra.workspace.render import notes_filled

    git = Git(Path(policy["worktree"])).with_env(GIT_OPTIONAL_LOCKS="0")
    left = [field[3:] for field in git.run("status", "--porcelain=v1", "-z", "--no-renames").fields]
    if left:
        shown = ", ".join(left[:_MOST_NAMES]) + " ..." * (len(left) > _MOST_NAMES)
        yield f"commit your work on {policy['branch']}; not committed: {shown}"
    elif policy["base"] and git.text("rev-list", "--count", f"{policy['base']}..HEAD", "--") == "0":
        yield f"there is no commit on {policy['branch']} yet; if there is nothing to do, say so in AGENT_NOTES.md"
    form = _text(folder / "rendered" / "AGENT_NOTES.md")
    if not notes_filled(_text(Path(policy["worktree"]) / "AGENT_NOTES.md"), form):
        yield "fill in AGENT_NOTES.md: what you built, key decisions, files changed, dependencies, open questions"


def _red(policy: Json) -> Iterator[str]:
    """The quick gates that fail in the worktree as it is."""
    from orchestra.engine.process import capture

    for check in policy["checks"]:
        env = {**os.environ, **check["env"]}
        done = capture(
            ("/bin/sh", "-c", check["run"]), cwd=Path(policy["worktree"]), env=env, timeout_s=check["timeout"]
        )
        if done.code not in (0, None, 125, 127):
            yield f"`{check['run']}` fails (exit {done.code}); it must pass:\n{(done.stdout + done.stderr)[-_TAIL:]}"


def _conclude(folder: Path, event: Json, asked: int, lacking: list[str]) -> None:
    """Say what comes of it, only when it is known: a turn that is asked to go on is not over."""
    if lacking:
        _ask(folder, event, asked)
    append(folder, {**event, "hook_event_name": "Asked"} if lacking else event, "")


def _asked(folder: Path, event: Json) -> int:
    """How often this turn of the session was asked; a new prompt begins anew."""
    try:
        asked = json.loads((folder / "asked.json").read_bytes())
    except (OSError, ValueError):
        return 0
    same = asked.get("session") == event.get("session_id") and event.get("stop_hook_active")
    return int(asked.get("times", 0)) if same else 0


def _ask(folder: Path, event: Json, asked: int) -> None:
    draft = folder / f".asked.{os.getpid()}"
    draft.write_text(json.dumps({"session": event.get("session_id"), "times": asked + 1}), encoding="utf-8")
    draft.replace(folder / "asked.json")


def _policy(folder: Path) -> Json:
    policy: Json = json.loads((folder / "policy.json").read_bytes())
    return policy


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
