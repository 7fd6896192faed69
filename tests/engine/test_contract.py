"""The promises of every engine (orchestra.engine.job)."""

from __future__ import annotations

import signal
import sys

import pytest

from orchestra.engine.job import Engine, Finished, JobId, Outcome, Started
from orchestra.engine.process import wait_gone
from orchestra.engine.process_tree import is_alive

from .conftest import JobFolder, read_process


def test_a_job_that_exits_0_has_passed(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "echo out; echo err >&2"))
    result = jobs.result(engine, "a")
    assert (result.outcome, result.exit_code, result.signal) == (Outcome.PASSED, 0, None)
    assert result.started_at <= result.ended_at
    assert jobs.text("a") == "out\nerr\n"


@pytest.mark.parametrize("code", [1, 2, 77, 124, 126, 127, 128, 183, 192, 193, 255])
def test_other_exit_codes_are_failed(engine: Engine, jobs: JobFolder, code: int) -> None:
    engine.submit(jobs.job("a", f"exit {code}"))
    result = jobs.result(engine, "a")
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, code)


@pytest.mark.parametrize("code", [125, 129, 130, 134, 137, 139, 143])
def test_a_code_that_the_machine_may_cause_is_broken(engine: Engine, jobs: JobFolder, code: int) -> None:
    engine.submit(jobs.job("a", f"exit {code}"))
    assert jobs.result(engine, "a").outcome is Outcome.BROKEN


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_broken_and_named(engine: Engine, jobs: JobFolder, number: signal.Signals) -> None:
    engine.submit(jobs.job("a", f"kill -{number.value} $$"))
    result = jobs.result(engine, "a")
    assert (result.outcome, result.signal, result.exit_code) == (Outcome.BROKEN, number, None)
    assert number.name in result.detail


def test_a_missing_folder_is_broken(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "true", cwd=jobs.folder / "nowhere"))
    result = jobs.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "nowhere" in result.detail


def test_a_folder_that_disappears_during_the_job_is_broken(engine: Engine, jobs: JobFolder) -> None:
    place = jobs.folder / "place"
    place.mkdir()
    engine.submit(jobs.job("a", f"rmdir {place}; exit 1", cwd=place))
    result = jobs.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "disappeared" in result.detail


def test_a_log_that_reports_a_full_disk_is_broken(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "echo 'write: No space left on device' >&2; exit 1"))
    assert jobs.result(engine, "a").outcome is Outcome.BROKEN


def test_a_log_that_cannot_be_opened_is_broken(engine: Engine, jobs: JobFolder) -> None:
    (jobs.folder / "a.log").mkdir()
    engine.submit(jobs.job("a", "true"))
    result = jobs.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "a.log" in result.detail


def test_a_time_limit_ends_all_processes_of_the_job(engine: Engine, jobs: JobFolder) -> None:
    pids = jobs.fifo("pids")
    script = f"setsid sh -c 'echo $$ > {pids}; exec sleep 600' & sleep 600"
    engine.submit(jobs.job("a", script, timeout_s=3.0))
    grandchild = read_process(pids)
    result = jobs.result(engine, "a")
    assert result.outcome is Outcome.TIMED_OUT
    assert result.exit_code is None
    assert not is_alive(grandchild)


def test_a_daemon_of_the_job_ends_with_it(engine: Engine, jobs: JobFolder) -> None:
    """A daemon: own session, no parent, no environment. The job passed; no process of it may remain."""
    pids = jobs.fifo("pids")
    engine.submit(
        jobs.job("a", f"(env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600' &); read go < {jobs.fifo('go')}")
    )
    daemon = read_process(pids)
    (jobs.folder / "go").write_text("go\n", encoding="ascii")
    assert jobs.result(engine, "a").outcome is Outcome.PASSED
    assert not is_alive(daemon)


def test_a_job_that_ignores_term_is_killed(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "trap '' TERM; while :; do sleep 600; done", timeout_s=0.2))
    assert jobs.result(engine, "a").outcome is Outcome.TIMED_OUT


def test_a_job_gets_term_before_kill(patient_engine: Engine, jobs: JobFolder) -> None:
    """In Python, since a shell has moments in which a signal waits for its next command, or is lost to a child."""
    ready = jobs.fifo("ready")
    script = jobs.folder / "job.py"
    script.write_text(
        "import os, pathlib, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        f"pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\n"
        "signal.sigwait({signal.SIGTERM})\n"
        "print('tidied')\n",
        encoding="utf-8",
    )
    patient_engine.submit(jobs.job("a", f"exec {sys.executable} -I -S {script}"))
    read_process(ready)
    patient_engine.cancel(JobId("a"))
    assert jobs.result(patient_engine, "a").outcome is Outcome.CANCELLED
    assert "tidied" in jobs.text("a")


def test_cancel_ends_a_running_job(engine: Engine, jobs: JobFolder) -> None:
    pids = jobs.fifo("pids")
    engine.submit(jobs.job("a", f"echo $$ > {pids}; exec sleep 600"))
    leader = read_process(pids)
    engine.cancel(JobId("a"))
    assert jobs.result(engine, "a").outcome is Outcome.CANCELLED
    assert not is_alive(leader)


def test_a_cancelled_queued_job_never_starts(engine: Engine, jobs: JobFolder) -> None:
    go = [jobs.fifo(f"go{n}") for n in (1, 2)]
    for n, fifo in enumerate(go):
        engine.submit(jobs.job(f"holder{n}", f"read go < {fifo}"))
    engine.submit(jobs.job("queued", "echo ran"))
    engine.cancel(JobId("queued"))
    assert jobs.result(engine, "queued").outcome is Outcome.CANCELLED
    for n, fifo in enumerate(go):
        fifo.write_text("go\n", encoding="ascii")
        assert jobs.result(engine, f"holder{n}").outcome is Outcome.PASSED
    assert not (jobs.folder / "queued.log").exists()


def test_cancelling_a_finished_or_unknown_job_does_nothing(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "true"))
    assert jobs.result(engine, "a").outcome is Outcome.PASSED
    engine.cancel(JobId("a"))
    engine.cancel(JobId("unknown"))
    assert engine.wait(0) == ()


def test_no_more_jobs_at_once_than_places(engine: Engine, jobs: JobFolder) -> None:
    """Each job counts its peers under a lock of mkdir; the most ever seen is the number of places."""
    script = (
        "until mkdir lock 2>/dev/null; do :; done; mkdir run.$$; ls -d run.* | wc -l; rmdir lock; "
        "until mkdir lock 2>/dev/null; do :; done; rmdir run.$$ lock"
    )
    for n in range(8):
        engine.submit(jobs.job(f"j{n}", script))
    for n in range(8):
        assert jobs.result(engine, f"j{n}").outcome is Outcome.PASSED
    assert {int(jobs.text(f"j{n}")) for n in range(8)} <= {1, 2}


def test_two_places_run_two_jobs_at_once(engine: Engine, jobs: JobFolder) -> None:
    """Each waits for the other through a FIFO: one after the other would never end."""
    left, right = jobs.fifo("left"), jobs.fifo("right")
    engine.submit(jobs.job("a", f"echo hello > {left}; read answer < {right}", timeout_s=120))
    engine.submit(jobs.job("b", f"read hello < {left}; echo hello > {right}", timeout_s=120))
    assert {jobs.result(engine, name).outcome for name in "ab"} == {Outcome.PASSED}


def test_events_come_once_and_in_order(engine: Engine, jobs: JobFolder) -> None:
    for name in "abcde":
        engine.submit(jobs.job(name, "true"))
    for name in "abcde":
        jobs.result(engine, name)
    for name in "abcde":
        assert [type(event) for event in jobs.events if event.job == name] == [Started, Finished]
    assert engine.wait(0) == ()


def test_waiting_for_nothing_returns_at_once(engine: Engine) -> None:
    assert engine.wait(None) == ()


def test_wait_returns_after_its_time_limit(engine: Engine, jobs: JobFolder) -> None:
    go = jobs.fifo("go")
    engine.submit(jobs.job("a", f"read go < {go}"))
    while engine.wait(0.05):
        pass
    go.write_text("go\n", encoding="ascii")
    assert jobs.result(engine, "a").outcome is Outcome.PASSED


def test_an_id_is_used_once(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "true"))
    with pytest.raises(ValueError, match="a"):
        engine.submit(jobs.job("a", "true"))


def test_the_environment_is_the_given_one_and_a_mark(
    engine: Engine, jobs: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKED", "secret")
    engine.submit(jobs.job("a", "env | cut -d= -f1 | sort"))
    jobs.result(engine, "a")
    assert set(jobs.text("a").split()) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LC_ALL", "ORCHESTRA_JOB"}


def test_a_job_has_no_standard_input(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "cat; echo end"))
    assert jobs.result(engine, "a").outcome is Outcome.PASSED
    assert jobs.text("a") == "end\n"


def test_a_flood_of_output_is_cut_in_the_middle(engine: Engine, jobs: JobFolder) -> None:
    engine.submit(jobs.job("a", "head -c 150000000 /dev/zero; echo; echo the last line; exit 3"))
    assert jobs.result(engine, "a").exit_code == 3
    log = jobs.folder / "a.log"
    assert log.stat().st_size < 70_000_000
    with log.open("rb") as file:
        file.seek(-15, 2)
        assert file.read() == b"\nthe last line\n"


def test_output_is_appended(engine: Engine, jobs: JobFolder) -> None:
    (jobs.folder / "a.log").write_text("before\n", encoding="ascii")
    engine.submit(jobs.job("a", "echo after"))
    jobs.result(engine, "a")
    assert jobs.text("a") == "before\nafter\n"


def test_close_ends_all_processes(engine: Engine, jobs: JobFolder) -> None:
    """Running, detached and queued jobs are all gone, and are reported as cancelled."""
    pids = jobs.fifo("pids")
    script = f"(env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600' &); exec sleep 600"
    engine.submit(jobs.job("a", script))
    daemon = read_process(pids)
    engine.submit(jobs.job("b", "sleep 600"))
    engine.submit(jobs.job("c", "echo ran"))
    engine.close()
    assert not is_alive(daemon)
    ended = {event.job: event.result.outcome for event in engine.wait() if isinstance(event, Finished)}
    assert ended == {"a": Outcome.CANCELLED, "b": Outcome.CANCELLED, "c": Outcome.CANCELLED}
    with pytest.raises(ValueError, match="closed"):
        engine.submit(jobs.job("d", "true"))


def test_odd_names_and_bytes_survive(engine: Engine, jobs: JobFolder) -> None:
    place = jobs.folder / "mit Leer-\u00fc und 'quote'"
    place.mkdir()
    engine.submit(jobs.job("a", "pwd; printf '\\377\\000x'", cwd=place))
    jobs.result(engine, "a")
    assert (jobs.folder / "a.log").read_bytes() == str(place).encode() + b"\n\xff\x00x"


def test_a_pipe_held_by_a_grandchild_does_not_block_the_engine(engine: Engine, jobs: JobFolder) -> None:
    """A runner that waits for the end of the pipe would block until the grandchild closes it."""
    pids, go = jobs.fifo("pids"), jobs.fifo("go")
    holder_script = f"trap '' TERM HUP; echo $$ > {pids}; exec sleep 600"
    engine.submit(jobs.job("a", f'sh -c "{holder_script.replace("$", chr(92) + "$")}" & read go < {go}'))
    holder = read_process(pids)
    go.write_text("go\n", encoding="ascii")
    assert jobs.result(engine, "a").outcome is Outcome.PASSED
    assert wait_gone(holder, 0)
