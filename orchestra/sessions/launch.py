"""Turn a request into a session: the one place where an agent's program is started, and where it is ended.

Invariant, whatever is killed when: a request is either queued or a run, never both and never neither; the mark of a
process is on disk before the process exists, so that every process can be found. Needs the control lock.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

from orchestra.blueprint.model import RunnerMode
from orchestra.engine import process, process_tree
from orchestra.engine.job import Ending, Job, JobId
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.runners.protocol import Launch
from orchestra.sessions.runners.registry import runner_of
from orchestra.sessions.store import AgentFolder, Run, RunFolder, SessionRequest, write_json

GRACE_S = 5.0
# These would send the agent's git to another repository than its worktree; its author and ssh settings stay.
_REDIRECTS = frozenset(
    """GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
    GIT_NAMESPACE GIT_PREFIX GIT_CEILING_DIRECTORIES GIT_QUARANTINE_PATH""".split()
)


def launch(agent: AgentFolder, request: SessionRequest, cap_usd: float | None) -> tuple[RunFolder, Run | None]:
    """Start the requested session. The run is None when it could not be started; its record says why."""
    folder = agent.take(request)
    try:
        if not Path(request.worktree).is_dir():
            raise GroundError(f"its worktree {request.worktree} is missing", hint=f"run orchestra spawn {agent.name}")
        runner = runner_of(request.kind)
        runner.require(request)
        how = runner.launch(request, agent, folder, cap_usd)
        # The mark comes first; see the invariant.
        mark = f"{agent.name}.{folder.number}.{secrets.token_hex(8)}"
        write_json(folder.path / "launch.json", {"mark": mark, "argv": how.argv})
        events_before = agent.events_size
        job = process.marked(
            Job(
                id=JobId(f"{agent.name}.{folder.number}"),
                argv=how.argv,
                cwd=Path(request.worktree),
                env=_environment(request, how),
                log=folder.out,
                errlog=folder.err,
                stdin=how.stdin,
                timeout_s=request.timeout_s,
                grace_s=GRACE_S,
                record=folder.record,
                mark=mark,
            )
        )
        if request.mode is RunnerMode.TMUX:
            run = _start_in_window(agent, folder, job, cap_usd)
        else:
            run = Run(folder.number, time.time(), process.start_detached(job), mark, cap_usd)
        run = replace(run, events_before=events_before)
        write_json(folder.path / "run.json", asdict(run))
        return folder, run
    except GroundError as error:
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
    except OSError as error:
        reason = str(error)
    write_json(folder.record, Ending("unstarted", None, None, time.time(), time.time(), reason))
    return folder, None


def _start_in_window(agent: AgentFolder, folder: RunFolder, job: Job, cap_usd: float | None) -> Run:
    fifo = folder.path / "request.fifo"
    os.mkfifo(fifo, 0o600)
    session = tmux.session_name(agent.path.parents[1])
    pane = tmux.open_window(session, agent.name, process.pane_command(fifo), job.mark)
    keeper = process_tree.identity(pane.pid)
    if keeper is None:
        raise GroundError(f"the tmux window of {agent.name} closed at once", hint=tmux.HEADLESS)
    process.give_order(fifo, job)
    fifo.unlink()
    return Run(folder.number, time.time(), keeper, job.mark, cap_usd, pane.id)


def _environment(request: SessionRequest, how: Launch) -> dict[str, str]:
    """Return the user's environment without git redirections, plus the request's and the runner's variables."""
    hidden = {*_REDIRECTS, *how.without, process_tree.MARK}
    passed = {name: value for name, value in os.environ.items() if name not in hidden}
    # PWD: opencode, for one, works in the folder that it names, not in its current folder.
    return {**passed, "PWD": request.worktree, **(request.env or {}), **how.env}


def end_session(run: Run) -> None:
    """Send a session the signal to end, without waiting: its shim gives it time and then kills it."""
    if not process_tree.send(run.keeper, signal.SIGTERM):
        process_tree.end(lambda: process_tree.members(run.mark), 0.0)


def end_session_now(run: Run) -> tuple[process_tree.ProcessId, ...]:
    """End a session with all its processes; return those that could not be ended."""
    survivors = process.end_detached(run.keeper, run.mark, grace_s=GRACE_S)
    if run.window:
        tmux.close_window(run.window, run.mark)
    return survivors


def recover_half_started(agent: AgentFolder, folder: RunFolder) -> bool:
    """Undo a start that was cut off: end what runs, and queue the request again."""
    request, mark = folder.request, folder.mark
    if request is None or folder.run is not None or folder.ending is not None or folder.stop is not None:
        return False
    if mark is not None:
        process_tree.end(lambda: process_tree.members(mark), GRACE_S)
    if agent.request is None:
        # The client refuses a session id that it has seen, and may have seen this one.
        keeps_id = request.resume or not request.session_id
        agent.queue(request if keeps_id else replace(request, session_id=str(uuid4())))
    (folder.path / "request.json").unlink()
    return True
