"""An order becomes a session: the one place where an agent's program is started, and where it is ended.

Invariant, whatever is killed when: an order is either queued or a run, never both and never neither; the mark of a
process is on disk before the process exists, so nothing that runs is ever out of reach. Call with the control lock.
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
from orchestra.engine.process import Ending, Work
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.runners.protocol import Launch, runner_of
from orchestra.sessions.store import AgentFolder, Order, Run, RunFolder, write_json

GRACE_S = 5.0
# What would send the agent's git to another repository than its worktree; its author and ssh settings stay.
_REDIRECTS = frozenset(
    """GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
    GIT_NAMESPACE GIT_PREFIX GIT_CEILING_DIRECTORIES GIT_QUARANTINE_PATH""".split()
)


def launch(agent: AgentFolder, order: Order, cap_usd: float | None) -> tuple[RunFolder, Run | None]:
    """Start the ordered session. The run is None when it could not be started; its record says why."""
    folder = agent.take(order)
    try:
        if not Path(order.worktree).is_dir():
            raise GroundError(f"its worktree {order.worktree} is gone")
        runner = runner_of(order.kind)
        runner.require(order)
        how = runner.launch(order, agent, folder, cap_usd)
        return folder, _start(agent, folder, order, how, cap_usd)
    except GroundError as error:
        write_json(folder.record, unstarted(f"{error.message}; {error.hint}" if error.hint else error.message))
    except OSError as error:
        write_json(folder.record, unstarted(str(error)))
    return folder, None


def unstarted(why: str) -> Ending:
    """The record of a session that never began."""
    return Ending("unstarted", None, None, time.time(), time.time(), why)


def _start(agent: AgentFolder, folder: RunFolder, order: Order, how: Launch, cap_usd: float | None) -> Run:
    mark = f"{agent.name}.{folder.number}.{secrets.token_hex(8)}"
    write_json(folder.path / "launch.json", {"mark": mark, "argv": how.argv})
    heard = agent.heard
    work = process.marked(
        Work(
            id=f"{agent.name}.{folder.number}",
            argv=how.argv,
            cwd=Path(order.worktree),
            env=session_environment(order, how),
            log=folder.out,
            errlog=folder.err,
            stdin=how.stdin,
            timeout_s=order.timeout_s,
            grace_s=GRACE_S,
            record=folder.record,
            mark=mark,
        )
    )
    if order.mode is RunnerMode.TMUX:
        run = _in_window(agent, folder, work, cap_usd)
    else:
        run = Run(folder.number, time.time(), process.start_detached(work), mark, cap_usd)
    run = replace(run, heard=heard)
    write_json(folder.path / "run.json", asdict(run))
    return run


def _in_window(agent: AgentFolder, folder: RunFolder, work: Work, cap_usd: float | None) -> Run:
    fifo = folder.path / "order.fifo"
    os.mkfifo(fifo, 0o600)
    session = tmux.session_name(agent.path.parents[1])
    pane = tmux.open_window(session, agent.name, process.pane_command(fifo), work.mark)
    keeper = process_tree.identity(pane.pid)
    if keeper is None:
        raise GroundError(f"the tmux window of {agent.name} closed at once")
    process.give_order(fifo, work)
    fifo.unlink()
    return Run(folder.number, time.time(), keeper, work.mark, cap_usd, pane.id)


def session_environment(order: Order, how: Launch) -> dict[str, str]:
    """The user's environment, without what would send git elsewhere, with the order's and the runner's over it."""
    hidden = {*_REDIRECTS, *how.without, process_tree.MARK}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, **(order.env or {}), **how.env}


def end_session(run: Run) -> None:
    """Tell a session to end and do not wait for it: its keeper gives it time and ends what does not go."""
    if not process_tree.send(run.keeper, signal.SIGTERM):
        process_tree.end(lambda: process_tree.members(run.mark), 0.0)


def end_session_now(run: Run) -> tuple[process_tree.ProcessId, ...]:
    """End a session and everything that it started; what could not be ended."""
    left = process.end_detached(run.keeper, run.mark, grace_s=GRACE_S)
    if run.window:
        tmux.close_window(run.window, run.mark)
    return left


def recover_half_started(agent: AgentFolder, folder: RunFolder) -> bool:
    """Undo a start that its supervisor did not live to finish: end what runs, queue the order again."""
    order, mark = folder.order, folder.mark
    if order is None or folder.run is not None or folder.ending is not None or folder.stop is not None:
        return False
    if mark is not None:
        process_tree.end(lambda: process_tree.members(mark), GRACE_S)
    if agent.order is None:
        # The client refuses a session id that it has seen, and may have seen this one.
        fresh = order if order.resume else replace(order, session_id=str(uuid4()))
        agent.queue(fresh)
    (folder.path / "order.json").unlink()
    return True
