"""What every engine promises (orchestra.engine.job), whatever runs the jobs."""

from __future__ import annotations

import signal
import sys

import pytest

from orchestra.engine.job import Engine, Finished, JobId, Outcome, Started
from orchestra.engine.process import wait_gone
from orchestra.engine.process_tree import is_alive

from .conftest import Bench, said


def test_a_job_that_exits_0_has_passed(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "echo out; echo err >&2"))
    result = bench.result(engine, "a")
    assert (result.outcome, result.exit_code, result.signal) == (Outcome.PASSED, 0, None)
    assert result.started_at <= result.ended_at
    assert bench.text("a") == "out\nerr\n"


@pytest.mark.parametrize("code", [1, 2, 77, 124, 126, 127, 128, 183, 192, 193, 255])
def test_an_exit_code_is_the_commands_own_word(engine: Engine, bench: Bench, code: int) -> None:
    engine.submit(bench.job("a", f"exit {code}"))
    result = bench.result(engine, "a")
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, code)


@pytest.mark.parametrize("code", [125, 129, 130, 134, 137, 139, 143])
def test_what_the_machine_may_have_caused_is_no_verdict(engine: Engine, bench: Bench, code: int) -> None:
    engine.submit(bench.job("a", f"exit {code}"))
    assert bench.result(engine, "a").outcome is Outcome.BROKEN


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_no_verdict_and_is_named(engine: Engine, bench: Bench, number: signal.Signals) -> None:
    engine.submit(bench.job("a", f"kill -{number.value} $$"))
    result = bench.result(engine, "a")
    assert (result.outcome, result.signal, result.exit_code) == (Outcome.BROKEN, number, None)
    assert number.name in result.detail


def test_a_missing_folder_is_no_verdict(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "true", cwd=bench.folder / "nowhere"))
    result = bench.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "nowhere" in result.detail


def test_a_folder_that_disappears_meanwhile_is_no_verdict(engine: Engine, bench: Bench) -> None:
    place = bench.folder / "place"
    place.mkdir()
    engine.submit(bench.job("a", f"rmdir {place}; exit 1", cwd=place))
    result = bench.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "disappeared" in result.detail


def test_a_log_that_speaks_of_a_full_disk_is_no_verdict(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "echo 'write: No space left on device' >&2; exit 1"))
    assert bench.result(engine, "a").outcome is Outcome.BROKEN


def test_a_log_that_cannot_be_opened_is_no_verdict(engine: Engine, bench: Bench) -> None:
    (bench.folder / "a.log").mkdir()
    engine.submit(bench.job("a", "true"))
    result = bench.result(engine, "a")
    assert result.outcome is Outcome.BROKEN
    assert "a.log" in result.detail


def test_a_limit_ends_the_whole_family(engine: Engine, bench: Bench) -> None:
    pids = bench.fifo("pids")
    script = f"setsid sh -c 'echo $$ > {pids}; exec sleep 600' & sleep 600"
    engine.submit(bench.job("a", script, timeout_s=1.0))
    grandchild = said(pids)
    result = bench.result(engine, "a")
    assert result.outcome is Outcome.TIMED_OUT
    assert result.exit_code is None
    assert not is_alive(grandchild)


def test_what_a_job_leaves_behind_is_ended_with_it(engine: Engine, bench: Bench) -> None:
    """A daemon: own session, no parent, no environment. The job passed; nothing of it may live on."""
    pids = bench.fifo("pids")
    engine.submit(
        bench.job("a", f"(env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600' &); read go < {bench.fifo('go')}")
    )
    daemon = said(pids)
    (bench.folder / "go").write_text("go\n", encoding="ascii")
    assert bench.result(engine, "a").outcome is Outcome.PASSED
    assert not is_alive(daemon)


def test_a_job_that_ignores_term_is_killed(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "trap '' TERM; while :; do sleep 600; done", timeout_s=0.2))
    assert bench.result(engine, "a").outcome is Outcome.TIMED_OUT


def test_term_comes_first_so_that_a_job_can_tidy_up(patient_engine: Engine, bench: Bench) -> None:
    """In Python, since a shell has moments in which a signal waits for its next command, or is lost to a child."""
    ready = bench.fifo("ready")
    script = bench.folder / "job.py"
    script.write_text(
        "import os, pathlib, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        f"pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\n"
        "signal.sigwait({signal.SIGTERM})\n"
        "print('tidied')\n",
        encoding="utf-8",
    )
    patient_engine.submit(bench.job("a", f"exec {sys.executable} -I -S {script}"))
    said(ready)
    patient_engine.cancel(JobId("a"))
    assert bench.result(patient_engine, "a").outcome is Outcome.CANCELLED
    assert "tidied" in bench.text("a")


def test_cancel_ends_a_running_job(engine: Engine, bench: Bench) -> None:
    pids = bench.fifo("pids")
    engine.submit(bench.job("a", f"echo $$ > {pids}; exec sleep 600"))
    leader = said(pids)
    engine.cancel(JobId("a"))
    assert bench.result(engine, "a").outcome is Outcome.CANCELLED
    assert not is_alive(leader)


def test_cancel_of_a_queued_job_means_it_never_starts(engine: Engine, bench: Bench) -> None:
    go = [bench.fifo(f"go{n}") for n in (1, 2)]
    for n, fifo in enumerate(go):
        engine.submit(bench.job(f"holder{n}", f"read go < {fifo}"))
    engine.submit(bench.job("queued", "echo ran"))
    engine.cancel(JobId("queued"))
    assert bench.result(engine, "queued").outcome is Outcome.CANCELLED
    for n, fifo in enumerate(go):
        fifo.write_text("go\n", encoding="ascii")
        assert bench.result(engine, f"holder{n}").outcome is Outcome.PASSED
    assert not (bench.folder / "queued.log").exists()


def test_cancel_of_one_that_is_over_or_unknown_does_nothing(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "true"))
    assert bench.result(engine, "a").outcome is Outcome.PASSED
    engine.cancel(JobId("a"))
    engine.cancel(JobId("never heard of"))
    assert engine.wait(0) == ()


def test_no_more_jobs_at_once_than_places(engine: Engine, bench: Bench) -> None:
    """Each job counts its peers under a lock of mkdir; the most ever seen is the number of places."""
    script = (
        "until mkdir lock 2>/dev/null; do :; done; mkdir run.$$; ls -d run.* | wc -l; rmdir lock; "
        "until mkdir lock 2>/dev/null; do :; done; rmdir run.$$ lock"
    )
    for n in range(8):
        engine.submit(bench.job(f"j{n}", script))
    for n in range(8):
        assert bench.result(engine, f"j{n}").outcome is Outcome.PASSED
    assert {int(bench.text(f"j{n}")) for n in range(8)} <= {1, 2}


def test_two_places_run_two_jobs_at_once(engine: Engine, bench: Bench) -> None:
    """Each waits for the other through a FIFO: one after the other would never end."""
    left, right = bench.fifo("left"), bench.fifo("right")
    engine.submit(bench.job("a", f"echo hello > {left}; read answer < {right}", timeout_s=30))
    engine.submit(bench.job("b", f"read hello < {left}; echo hello > {right}", timeout_s=30))
    assert {bench.result(engine, name).outcome for name in "ab"} == {Outcome.PASSED}


def test_events_come_once_and_in_order(engine: Engine, bench: Bench) -> None:
    for name in "abcde":
        engine.submit(bench.job(name, "true"))
    for name in "abcde":
        bench.result(engine, name)
    for name in "abcde":
        assert [type(event) for event in bench.past if event.job == name] == [Started, Finished]
    assert engine.wait(0) == ()


def test_waiting_for_nothing_returns_at_once(engine: Engine) -> None:
    assert engine.wait(None) == ()


def test_wait_gives_up_after_its_time(engine: Engine, bench: Bench) -> None:
    go = bench.fifo("go")
    engine.submit(bench.job("a", f"read go < {go}"))
    while engine.wait(0.05):
        pass
    go.write_text("go\n", encoding="ascii")
    assert bench.result(engine, "a").outcome is Outcome.PASSED


def test_an_id_is_used_once(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "true"))
    with pytest.raises(ValueError, match="a"):
        engine.submit(bench.job("a", "true"))


def test_the_environment_is_what_was_given_and_a_mark(
    engine: Engine, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKED", "secret")
    engine.submit(bench.job("a", "env | cut -d= -f1 | sort"))
    bench.result(engine, "a")
    assert set(bench.text("a").split()) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LC_ALL", "ORCHESTRA_JOB"}


def test_a_job_reads_nothing_from_us(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "cat; echo end"))
    assert bench.result(engine, "a").outcome is Outcome.PASSED
    assert bench.text("a") == "end\n"


def test_a_flood_of_output_blocks_nobody_and_fills_no_disk(engine: Engine, bench: Bench) -> None:
    engine.submit(bench.job("a", "head -c 150000000 /dev/zero; echo; echo the last line; exit 3"))
    assert bench.result(engine, "a").exit_code == 3
    log = bench.folder / "a.log"
    assert log.stat().st_size < 70_000_000
    with log.open("rb") as file:
        file.seek(-15, 2)
        assert file.read() == b"\nthe last line\n"


def test_output_is_appended(engine: Engine, bench: Bench) -> None:
    (bench.folder / "a.log").write_text("before\n", encoding="ascii")
    engine.submit(bench.job("a", "echo after"))
    bench.result(engine, "a")
    assert bench.text("a") == "before\nafter\n"


def test_close_leaves_nothing(engine: Engine, bench: Bench) -> None:
    """Running, detached from everything, and queued: all of it is gone, and was said to be cancelled."""
    pids = bench.fifo("pids")
    script = f"(env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600' &); exec sleep 600"
    engine.submit(bench.job("a", script))
    daemon = said(pids)
    engine.submit(bench.job("b", "sleep 600"))
    engine.submit(bench.job("c", "echo ran"))
    engine.close()
    assert not is_alive(daemon)
    ended = {event.job: event.result.outcome for event in engine.wait() if isinstance(event, Finished)}
    assert ended == {"a": Outcome.CANCELLED, "b": Outcome.CANCELLED, "c": Outcome.CANCELLED}
    with pytest.raises(ValueError, match="closed"):
        engine.submit(bench.job("d", "true"))


def test_odd_names_and_bytes_survive(engine: Engine, bench: Bench) -> None:
    place = bench.folder / "mit Leer-\u00fc und 'quote'"
    place.mkdir()
    engine.submit(bench.job("a", "pwd; printf '\\377\\000x'", cwd=place))
    bench.result(engine, "a")
    assert (bench.folder / "a.log").read_bytes() == str(place).encode() + b"\n\xff\x00x"


def test_a_held_pipe_does_not_hold_the_engine(engine: Engine, bench: Bench) -> None:
    """Invoke's runner blocks here until the grandchild lets go of the output (library facts, red flag 2)."""
    pids, go = bench.fifo("pids"), bench.fifo("go")
    holder_script = f"trap '' TERM HUP; echo $$ > {pids}; exec sleep 600"
    engine.submit(bench.job("a", f'sh -c "{holder_script.replace("$", chr(92) + "$")}" & read go < {go}'))
    holder = said(pids)
    go.write_text("go\n", encoding="ascii")
    assert bench.result(engine, "a").outcome is Outcome.PASSED
    assert wait_gone(holder, 0)
