"""The promises of the local engine and its keepers alone: no process is left, whichever one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.engine import process, process_tree
from orchestra.engine.job import Ending, Finished, Job, JobId, Outcome, Started, shell_job
from orchestra.engine.local import LocalEngine, judge, run
from orchestra.engine.process import wait_gone

from .conftest import JobFolder, read_process

OWNER = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run below nohup
from pathlib import Path
from orchestra.engine.job import JobId, shell_job
from orchestra.engine.local import LocalEngine
folder, script = Path(sys.argv[1]), sys.argv[2]
engine = LocalEngine(1, grace_s=0.2)
engine.submit(shell_job(JobId("a"), script, folder, {"PATH": os.environ["PATH"]}, folder / "a.log"))
engine.wait()
engine.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers and pidfds are Linux's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_all_processes_end_when_the_owner_dies(jobs: JobFolder, number: signal.Signals) -> None:
    leaders, daemons = jobs.fifo("leaders"), jobs.fifo("daemons")
    script = f"(env -i setsid sh -c 'echo $$ > {daemons}; exec sleep 600' &); echo $$ > {leaders}; exec sleep 600"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(jobs.folder), script])
    daemon, leader = read_process(daemons), read_process(leaders)
    owner.send_signal(number)
    owner.wait()
    assert wait_gone(leader, 30)
    assert wait_gone(daemon, 30)


def test_a_killed_keeper_breaks_only_its_job(jobs: JobFolder) -> None:
    pids, daemons = jobs.fifo("pids"), jobs.fifo("daemons")
    with LocalEngine(1, grace_s=0.2) as engine:
        script = f"setsid sh -c 'echo $$ > {daemons}; exec sleep 600' & echo $PPID > {pids}; exec sleep 600"
        engine.submit(jobs.job("a", script))
        daemon, keeper = read_process(daemons), read_process(pids)
        jobs.events.extend(engine.wait(60))  # Started: before it, the job would be queued again
        os.kill(keeper.pid, signal.SIGKILL)
        result = jobs.result(engine, "a")
        assert result.outcome is Outcome.BROKEN
        assert "keeper" in result.detail
        assert not process_tree.is_alive(daemon)
        engine.submit(jobs.job("b", "true"))
        assert jobs.result(engine, "b").outcome is Outcome.PASSED


def test_a_terminated_keeper_ends_its_job_first(jobs: JobFolder) -> None:
    pids = jobs.fifo("pids")
    with LocalEngine(1, grace_s=0.2) as engine:
        engine.submit(jobs.job("a", f"echo $PPID > {pids}; exec sleep 600"))
        os.kill(read_process(pids).pid, signal.SIGTERM)
        assert jobs.result(engine, "a").outcome is Outcome.BROKEN
        engine.submit(jobs.job("b", "true"))
        assert jobs.result(engine, "b").outcome is Outcome.PASSED


def test_run_is_one_job_to_its_end(jobs: JobFolder) -> None:
    assert run(jobs.job("a", "exit 4")).exit_code == 4


def test_an_engine_needs_a_place() -> None:
    with pytest.raises(ValueError, match="place"):
        LocalEngine(0)


def _job(folder: Path) -> Job:
    (folder / "log").write_text("", encoding="ascii")
    return shell_job(JobId("a"), "", folder, {}, folder / "log", timeout_s=1.0)


@pytest.mark.parametrize(
    ("end", "cancelled", "outcome"),
    [
        (Ending("exited", 0, None, 1, 2), False, Outcome.PASSED),
        (Ending("exited", 0, None, 1, 2), True, Outcome.PASSED),  # it was over before the cancel reached it
        (Ending("exited", 1, None, 1, 2), True, Outcome.FAILED),
        (Ending("exited", 1, None, 1, 2, disk_full=True), False, Outcome.BROKEN),
        (Ending("exited", 0, None, 1, 2, disk_full=True), False, Outcome.PASSED),
        (Ending("cancelled", None, 15, 1, 2), True, Outcome.CANCELLED),
        (Ending("timeout", None, 9, 1, 2), True, Outcome.TIMED_OUT),
        (Ending("terminated", None, 15, 1, 2), False, Outcome.BROKEN),
        (Ending("orphaned", None, 15, 1, 2), False, Outcome.BROKEN),
        (Ending("unstarted", None, None, 1, 2, "EAGAIN"), False, Outcome.BROKEN),
    ],
)
def test_judge(tmp_path: Path, end: Ending, cancelled: bool, outcome: Outcome) -> None:
    assert judge(_job(tmp_path), end, cancelled=cancelled).outcome is outcome


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_on_a_full_device_is_noticed(jobs: JobFolder) -> None:
    job = shell_job(JobId("a"), "echo lost; exit 1", jobs.folder, jobs.env, Path("/dev/full"))
    result = run(job)
    assert result.outcome is Outcome.BROKEN
    assert "no space" in result.detail


def _detached(jobs: JobFolder, name: str, script: str, **more: float | None) -> Job:
    return process.marked(
        Job(
            id=JobId(name),
            argv=("/bin/sh", "-c", script),
            cwd=jobs.folder,
            env=jobs.env,
            log=jobs.folder / "out",
            errlog=jobs.folder / "err",
            record=jobs.folder / "record",
            grace_s=0.3,
            timeout_s=more.get("timeout_s"),
        )
    )


def test_detached_work_leaves_a_record(jobs: JobFolder) -> None:
    keeper = process.start_detached(_detached(jobs, "a", "echo out; echo err >&2; exit 5"))
    assert wait_gone(keeper, 30)
    record = json.loads((jobs.folder / "record").read_text(encoding="utf-8"))
    assert (record["why"], record["exit_code"]) == ("exited", 5)
    assert ((jobs.folder / "out").read_text(), (jobs.folder / "err").read_text()) == ("out\n", "err\n")


def test_detached_work_keeps_its_limit_by_itself(jobs: JobFolder) -> None:
    keeper = process.start_detached(_detached(jobs, "a", "sleep 600", timeout_s=0.2))
    assert wait_gone(keeper, 30)
    assert process.ending(json.loads((jobs.folder / "record").read_bytes())).why == "timeout"


def test_detached_work_outlives_its_starter(jobs: JobFolder) -> None:
    """The starter runs in its own session, as in a terminal, and that whole session is then killed."""
    pids, go = jobs.fifo("pids"), jobs.fifo("go")
    code = (
        "import sys; from pathlib import Path; from orchestra.engine import process; "
        "from orchestra.engine.job import Job; d = Path(sys.argv[1]); "
        "job = Job('a', ('/bin/sh', '-c', sys.argv[2]), d, {'PATH': '/usr/bin:/bin'}, d / 'out', "
        "record=d / 'record'); process.start_detached(process.marked(job)); sys.stdin.read()"
    )
    script = f"echo $PPID > {pids}; read go < {go}; exit 6"
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(jobs.folder), script], stdin=subprocess.PIPE, start_new_session=True
    )
    keeper = read_process(pids)
    os.killpg(starter.pid, signal.SIGHUP)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    assert process_tree.is_alive(keeper)
    go.write_text("go\n", encoding="ascii")
    assert wait_gone(keeper, 30)
    assert json.loads((jobs.folder / "record").read_bytes())["exit_code"] == 6


def test_end_detached_ends_daemons_and_keeps_the_record(jobs: JobFolder) -> None:
    pids = jobs.fifo("pids")
    work = _detached(jobs, "a", f"(env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600' &); exec sleep 600")
    keeper = process.start_detached(work)
    daemon = read_process(pids)
    assert process.end_detached(keeper, work.mark, grace_s=0.3) == ()
    assert not process_tree.is_alive(daemon)
    assert json.loads((jobs.folder / "record").read_bytes())["why"] == "terminated"


def test_end_detached_ends_processes_of_a_killed_keeper(jobs: JobFolder) -> None:
    pids = jobs.fifo("pids")
    work = _detached(jobs, "a", f"setsid sh -c 'echo $$ > {pids}; exec sleep 600' & exec sleep 600")
    keeper = process.start_detached(work)
    daemon = read_process(pids)
    os.kill(keeper.pid, signal.SIGKILL)
    assert wait_gone(keeper, 30)
    assert process_tree.is_alive(daemon)
    assert process.end_detached(keeper, work.mark, grace_s=0.3) == ()
    assert not process_tree.is_alive(daemon)
    assert not (jobs.folder / "record").exists()


def test_no_secret_of_the_environment_is_written_or_shown(jobs: JobFolder) -> None:
    go = jobs.fifo("go")
    work = _detached(jobs, "a", f"read go < {go}")
    keeper = process.start_detached(replace(work, env={**work.env, "KEY": "s3cr3t"}))
    shown = Path(f"/proc/{keeper.pid}/cmdline").read_bytes() if sys.platform == "linux" else b""
    go.write_text("go\n", encoding="ascii")
    assert wait_gone(keeper, 30)
    assert b"s3cr3t" not in shown
    files = [path for path in jobs.folder.iterdir() if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cr3t" in path.read_bytes()]


def test_capture_returns_code_and_both_streams(tmp_path: Path) -> None:
    captured = process.capture(["sh", "-c", "cat; echo e >&2; exit 3"], cwd=tmp_path, stdin="in")
    assert (captured.code, captured.stdout, captured.stderr) == (3, "in", "e\n")


def test_capture_kills_the_group_after_its_time_limit(tmp_path: Path) -> None:
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    captured = process.capture(["sh", "-c", f"sleep 600 & echo $! > {fifo} & cat {fifo}; wait"], timeout_s=3.0)
    assert captured.code is None
    sleeper = process_tree.identity(int(captured.stdout))
    assert sleeper is None or wait_gone(sleeper, 30)


def test_capture_of_a_missing_program_raises() -> None:
    with pytest.raises(FileNotFoundError):
        process.capture(["no-such-program-anywhere"])


def test_foreground_returns_the_exit_code() -> None:
    assert process.foreground(["sh", "-c", "exit 7"]) == 7


def test_foreground_lets_the_program_handle_the_interrupt() -> None:
    ends_itself = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]
    assert process.foreground(ends_itself) == -signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_reused_pid_is_another_process() -> None:
    me = process_tree.identity(os.getpid())
    assert me is not None
    assert process_tree.is_alive(me)
    assert not process_tree.is_alive(process_tree.ProcessId(me.pid, "1", me.machine))
    assert not process_tree.is_alive(process_tree.ProcessId(me.pid, me.started, "another boot"))
    assert not process_tree.send(process_tree.ProcessId(me.pid, "1", me.machine), signal.SIGKILL)


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_tree.identity(child.pid) is None
    child.wait()


def test_events_name_the_pid_of_the_command(jobs: JobFolder) -> None:
    with LocalEngine(1) as engine:
        engine.submit(jobs.job("a", "echo $$"))
        jobs.result(engine, "a")
    started = [event for event in jobs.events if isinstance(event, Started)]
    assert [str(event.pid) for event in started] == jobs.text("a").split()
    assert [event.job for event in jobs.events if isinstance(event, Finished)] == ["a"]
