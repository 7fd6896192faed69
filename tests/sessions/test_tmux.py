"""Sessions in real tmux windows, on a server of the test's own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, Runner, RunnerKind, RunnerMode
from orchestra.engine import process, process_tree
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.attach import attach_to
from orchestra.sessions.logs import read_logs
from orchestra.sessions.start import send_message, start_fleet
from orchestra.sessions.state import State
from orchestra.sessions.stop import stop_fleet

from .conftest import COMMIT, LiveFleet

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
MakeLiveFleet = Callable[..., LiveFleet]


@pytest.fixture(autouse=True)
def tmux_server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tmux server of this test's own, gone with it."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMUX_TMPDIR", str(folder))
    yield folder
    tmux.tmux("kill-server")


def in_tmux(live: LiveFleet, script: str, limits: Limits | None = None) -> None:
    command = ("/bin/sh", "-c", script, "agent", "{prompt}")
    live.use(Runner(kind=RunnerKind.COMMAND, mode=RunnerMode.TMUX, command=command), limits)


def test_an_agent_works_in_a_window_and_its_end_is_known(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    in_tmux(live, f"tty > tty.txt; git add tty.txt; {live.hold}; {COMMIT}")
    live.start()
    for name in "ab":
        live.who(name)
        assert live.state(name).state is State.WORKING
    session = tmux.session_name(live.fleet.folder)
    assert {pane.dead for name in "ab" for pane in tmux.panes(session, name)} == {False}
    live.go("a", "b")
    live.wait_until_done()
    for name in "ab":
        assert live.state(name).state is State.FINISHED, live.log()
        assert live.world.at(name).read("tty.txt").startswith("/dev/")
    assert {pane.dead for name in "ab" for pane in tmux.panes(session, name)} == {True}


def test_a_person_can_type_into_it(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f'{live.hold}; read answer; echo "$answer" > answer.txt; git add answer.txt; git commit -qm answer')
    live.start()
    live.who("a")
    live.go("a")
    run = live.newest("a")
    assert run.run is not None
    tmux.type_message(run.run.window, run.run.mark, "forty-two; $(touch hacked);")
    live.wait_until_done()
    assert live.world.at("a").read("answer.txt") == "forty-two; $(touch hacked);"
    assert not (live.fleet.worktree(live.agent("a")) / "hacked").exists()


def test_a_declared_question_in_a_window_waits_for_a_person(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    command = ("/bin/sh", "-c", f'printf "Allow command? [y/N] "; read answer; {COMMIT}', "agent", "{prompt}")
    live.use(Runner(kind=RunnerKind.COMMAND, mode=RunnerMode.TMUX, command=command, waiting=r"Allow command\?"))
    live.start()
    live.wait_until(lambda: live.state("a").state is State.WAITING)
    assert (live.state("a").reason, live.state("a").source) == ("question: Allow command? [y/N]", "screen")
    assert live.start().skipped == [("a", "its session waits for you; run orchestra attach a")]
    run = live.newest("a")
    assert run.run is not None
    tmux.type_message(run.run.window, run.run.mark, "y")
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_a_waiting_pattern_that_is_no_expression_is_refused_at_start(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use(Runner(kind=RunnerKind.COMMAND, mode=RunnerMode.TMUX, command=("true",), waiting="("))
    with pytest.raises(GroundError, match="no regular expression"):
        live.start()


def test_attach_opens_the_window(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f"{live.hold}; exit 0")
    assert "orchestra start" in attach_to(live.fleet, live.agent("a")).hint
    live.start()
    live.who("a")
    argv = attach_to(live.fleet, live.agent("a")).argv
    assert argv[:6] == ("env", "-u", "TMUX", "tmux", "-L", "orchestra")
    # A real attach needs a terminal: tmux gives one, nested, as for a person inside tmux.
    outer = tmux.open_window("outer", "outer", ("sh", "-c", shlex.join(argv)), "outer")
    clients = tmux.tmux("list-clients", "-F", "#{session_name}")
    while tmux.session_name(live.fleet.folder) not in clients.stdout:
        found = tmux.find_pane(outer.id, "outer")
        assert found is not None
        assert not found.dead
        clients = tmux.tmux("list-clients", "-F", "#{session_name}")
    live.go("a")
    live.wait_until_done()


def test_stop_ends_the_window_and_all_that_runs_in_it(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f"echo precious > precious.txt; setsid sh -c '{live.hold}' & exec sleep 600")
    live.start()
    daemon = live.who("a")
    report = stop_fleet(live.fleet)
    assert report.stopped == ["a"]
    assert report.survivors == []
    assert report.saved == [("a", "refs/orchestra/demo/a/saved/1")]
    assert not process_tree.is_alive(daemon)
    assert tmux.panes(tmux.session_name(live.fleet.folder), "a") == []
    assert live.state("a").state is State.STOPPED


def test_a_closed_window_ends_its_session(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f"{live.hold}; exec sleep 600")
    live.start()
    shell = live.who("a")
    run = live.newest("a")
    assert run.run is not None
    tmux.close_window(run.run.window, run.run.mark)
    live.wait_until_done()
    assert process.wait_gone(shell, 30)
    assert (live.state("a").state, live.state("a").reason) == (State.STOPPED, "a signal ended its process")


def test_a_killed_tmux_server_is_noticed(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f"{live.hold}; exec sleep 600")
    live.start()
    shell = live.who("a")
    pid = int(tmux.tmux("display-message", "-p", "#{pid}").stdout)
    os.kill(pid, signal.SIGKILL)
    live.wait_until_done()
    assert process.wait_gone(shell, 30)
    assert live.state("a").state in (State.STOPPED, State.LOST)
    assert live.start().queued == ["a"]
    live.who("a")
    assert live.state("a").state is State.WORKING


def test_a_dead_window_is_replaced(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, "exit 3")
    for _ in range(2):
        live.start()
        live.wait_until_done()
        assert live.state("a").reason == "exit code 3"
    assert len(tmux.panes(tmux.session_name(live.fleet.folder), "a")) == 1


def test_a_pane_without_our_mark_is_never_touched() -> None:
    pane = tmux.open_window("s", "w", ("sleep", "600"), "mine")
    assert tmux.find_pane(pane.id, "another mark") is None
    tmux.close_window(pane.id, "another mark")
    with pytest.raises(GroundError, match="gone"):
        tmux.type_message(pane.id, "another mark", "x")
    assert tmux.find_pane(pane.id, "mine") is not None


def test_without_tmux_nothing_is_started_and_the_fix_is_named(
    make_live_fleet: MakeLiveFleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    live = make_live_fleet("a")
    in_tmux(live, "exit 0")
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in ("git", "sh", "cat"):
        found = shutil.which(program)
        assert found is not None
        (tools / program).symlink_to(found)
    states = live.states()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tools))
        with pytest.raises(GroundError, match="tmux is not installed") as refused:
            start_fleet(live.fleet, states)
    assert refused.value.hint is not None
    assert "headless" in refused.value.hint


def test_a_message_reaches_an_open_window(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    in_tmux(live, f"{live.hold}; cat > message.txt")
    live.start()
    live.who("a")
    live.go("a")
    assert send_message(live.fleet, live.agent("a"), "first line\nsecond line").running == ["a"]
    run = live.newest("a")
    assert run.run is not None
    tmux.tmux("send-keys", "-t", run.run.window, "C-d")
    live.wait_until_done()
    text = (live.fleet.worktree(live.agent("a")) / "message.txt").read_text("utf-8")
    assert "first line\nsecond line" in text


def test_the_log_shows_each_signal_with_its_run(make_live_fleet: MakeLiveFleet) -> None:
    """Whatever the clock said: it was set back before the second."""
    live = make_live_fleet("a")
    live.files("a").path.mkdir(parents=True, exist_ok=True)
    event = '{"at": 1000000000.5, "event": "\'$1\'", "detail": "\'$PWD\'"}'
    in_tmux(
        live, f"set -- $(ls {live.files('a').path}/runs | wc -l); echo '{event}' >> {live.files('a').events}; exit 3"
    )
    for _ in range(2):
        live.start()
        live.wait_until_done()
    lines = [line for _, line in read_logs(live.fleet, [live.agent("a")]) if "stderr" not in line]
    runs = [line.split('"')[5] if line.startswith("{") else line.split()[2].rstrip(",") for line in lines]
    assert runs == ["1", "1", "1", "2", "2", "2"], lines
