"""Run a program of kind command, and resume it while its work is not finished, at most three times.

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

from orchestra.engine.process import foreground
from orchestra.sessions.runners.output_parsers import parser_of
from orchestra.sessions.runners.placeholders import fill
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
    """The first command, whether it reads the prompt from its input, and the template that resumes it."""

    argv: list[str]
    reads_prompt: bool
    resume: list[str]
    values: dict[str, str]


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
        missing = unmet_checks(policy, agent.path) if code == 0 else []
        if not missing:
            break
        prompt = "\n".join(("Before you stop:", *(f"- {item}" for item in missing)))
        file = run.path / f"reminder-{number}.txt"
        file.write_text(prompt, "utf-8")
        sys.stderr.write(f"orchestra: resumes it ({number} of {MOST_REMINDERS}): {'; '.join(missing)}\n")
        sys.stderr.flush()
        session = _session_id(plan, run) or plan.values["session_id"]
        values = {**plan.values, "prompt": prompt, "prompt_file": str(file), "session_id": session}
        takes_prompt = any("{prompt}" in part or "{prompt_file}" in part for part in plan.resume)
        resumed = foreground([fill(part, values) for part in plan.resume], stdin=None if takes_prompt else file)
        if resumed != 0:
            sys.stderr.write(f"orchestra: when resumed it ended with {resumed}\n")
            break
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _session_id(plan: LoopPlan, run: RunFolder) -> str:
    """Return the session id that the program reported; empty for a program whose output is not known."""
    time.sleep(_PUMP_S)
    reader = parser_of(plan.argv)
    for line in Tail(run.out).lines():
        reader.feed(line)
    return reader.result().session_id
