"""Run a headless program, and send it back while its work is not finished, at most three times.

It is resumed with what is missing; a program that cannot be resumed runs again, with what is missing in its prompt.
It is not sent back where it reported an error, such as an API that refuses it, even if it exits with 0 (qwen does).

It runs as the session itself, under its keeper, so that time limits, stops and logs include every run of the program.
It ends as the program's first run ended, with its exit code or by its signal: a reminder that fails does not undo work
that ended well. What is missing after it shows in status.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestra.engine.process import foreground
from orchestra.errors import OrchestraError
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.placeholders import fill, has_prompt
from orchestra.sessions.state import SessionResult
from orchestra.sessions.stop_checks import MOST_REMINDERS, unmet_checks
from orchestra.sessions.store import AgentFolder, RunFolder, read_as, read_json, write_json
from orchestra.sessions.tail import Tail

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from orchestra.sessions.runners.resume_loop import main; sys.exit(main())"
)
_PUMP_S = 0.2  # after the program's end, its keeper still writes its last output


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """The first command, whether it reads the prompt from its input, and the template of the later ones.

    The later prompts list what is missing between ``opening`` and ``closing``.
    """

    argv: list[str]
    reads_prompt: bool
    later: list[str]
    values: dict[str, str]
    opening: str = "Before you stop:"
    closing: str = ""


def loop_command(run: RunFolder, plan: LoopPlan) -> tuple[str, ...]:
    """Write the plan; return the command that runs it. -I: no code of the worktree is imported."""
    write_json(run.path / "loop.json", asdict(plan))
    return (sys.executable, "-I", "-c", _PROGRAM, str(_ROOT), str(run.path))


def main() -> int:
    """Run the plan of the run folder that the arguments name."""
    run = RunFolder(Path(sys.argv[2]))
    agent = AgentFolder(run.path.parents[1])
    plan, policy = read_as(lambda values: LoopPlan(**values), run.path / "loop.json"), read_json(agent.policy)
    if plan is None or policy is None:
        sys.stderr.write(f"orchestra: {run.path / 'loop.json'} or {agent.policy} cannot be read\n")
        return 1
    code = foreground(plan.argv, stdin=run.prompt if plan.reads_prompt else None)
    for number in range(1, MOST_REMINDERS + 1):
        if code != 0 or (reported := _reported(plan, run)).is_error:
            break
        missing = _unmet(policy, agent.path)
        if not missing:
            break
        prompt = "\n".join((plan.opening, *(f"- {item}" for item in missing))) + plan.closing
        file = run.path / f"reminder-{number}.txt"
        file.write_text(prompt, "utf-8")
        sys.stderr.write(f"orchestra: sends it back ({number} of {MOST_REMINDERS}): {'; '.join(missing)}\n")
        sys.stderr.flush()
        session = reported.session_id or plan.values["session_id"]
        values = {**plan.values, "prompt": prompt, "prompt_file": str(file), "session_id": session}
        argv, takes_prompt = [fill(part, values) for part in plan.later], has_prompt(plan.later)
        later_code = foreground(argv, stdin=None if takes_prompt else file)
        if later_code != 0:
            sys.stderr.write(f"orchestra: sent back, it ended with {later_code}\n")
            break
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _unmet(policy: dict[str, Any], folder: Path) -> list[str]:
    """Return what is missing; nothing where it cannot be checked, as in a worktree that is gone."""
    try:
        return unmet_checks(policy, folder)
    except (OrchestraError, OSError) as error:
        sys.stderr.write(f"orchestra: the work cannot be checked: {error}\n")
        return []


def _reported(plan: LoopPlan, run: RunFolder) -> SessionResult:
    """Return what the program has reported so far; nothing for a program whose output is not known."""
    time.sleep(_PUMP_S)
    reader = parser_of(plan.argv)
    for line in Tail(run.out).lines():
        reader.feed(line)
    return reader.result()
