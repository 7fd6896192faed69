"""What windows show: the line below the client's prompt, the states in tmux's status line, the key for the next."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import Runner, RunnerKind, RunnerMode
from orchestra.sessions import hook, tmux
from orchestra.sessions.state import State
from orchestra.sessions.window_line import record_cost, window_cost, window_line, write_waiting

from .conftest import LiveFleet

requires_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def make_run(folder: Path, *, resume: bool = False, scope: list[str] | None = None) -> Path:
    run = folder / "shop/agents/api/runs/1"
    run.mkdir(parents=True, exist_ok=True)
    (run / "cost.json").unlink(missing_ok=True)
    (run / "request.json").write_text(json.dumps({"resume": resume}), "utf-8")
    (run.parents[1] / "policy.json").write_text(json.dumps({"scope_text": scope or []}), "utf-8")
    return run


def event(total: object) -> dict[str, object]:
    return {"hook_event_name": "Status", "session_id": "s", "cost": {"total_cost_usd": total}}


def test_the_line_names_agent_scope_cost_and_who_waits(tmp_path: Path) -> None:
    run = make_run(tmp_path, scope=["src/**", "docs/**", "lib/**", "x/**"])
    write_waiting(tmp_path / "shop", ["api", "auth"])
    line = (
        "shop/api · scope src/**, docs/**, lib/** and 1 more · 0.25 USD · waiting for you: auth (tmux prefix, then N)"
    )
    assert window_line(event(0.25), run) == line
    write_waiting(tmp_path / "shop", ["api"])
    assert "waiting" not in window_line(event(0.25), run)


def test_the_line_is_printed_by_the_hook_program_and_survives_bad_input(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    program = (sys.executable, "-I", "-S", hook.__file__, "line", str(run))
    for text, expected in ((json.dumps(event(1)), "shop/api · 1.00 USD\n"), ("[", ""), ("{}", "shop/api · 1.00 USD\n")):
        done = subprocess.run(program, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize("total", [None, "1", -1, float("nan"), float("inf"), [1]])
def test_a_cost_that_is_no_amount_is_not_recorded(tmp_path: Path, total: object) -> None:
    run = make_run(tmp_path)
    assert record_cost(event(total), run) is None
    assert window_cost(run) is None


@given(spent=st.lists(st.integers(0, 900), min_size=1, max_size=12), resets=st.sets(st.integers(1, 11)))
def test_the_cost_of_a_run_is_the_sum_of_its_growth_whatever_starts_again_at_zero(
    tmp_path: Path, spent: list[int], resets: set[int]
) -> None:
    run, total = make_run(tmp_path), 0
    for index, cents in enumerate(spent):
        if index in resets and cents < total:  # a smaller total shows that the client counts from 0
            total = 0
        total += cents
        record_cost(event(total), run)
    assert window_cost(run) == pytest.approx(sum(spent))


def test_a_resumed_session_does_not_count_the_cost_of_earlier_runs_again(tmp_path: Path) -> None:
    run = make_run(tmp_path, resume=True)
    assert [record_cost(event(total), run) for total in (2.0, 2.5, 3.0)] == [0.0, 0.5, 1.0]


@pytest.fixture
def tmux_server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path_factory.mktemp("t")))
    yield
    tmux.tmux("kill-server")


def option(target: str, name: str) -> str:
    return tmux.tmux("display-message", "-p", "-t", target, f"#{{{name}}}").stdout.strip()


@requires_tmux
@pytest.mark.usefixtures("tmux_server")
def test_tmux_shows_each_state_and_prefix_n_selects_the_window_that_waits(
    make_live_fleet: Callable[..., LiveFleet],
) -> None:
    live = make_live_fleet("auth", "api")
    script = 'case "$PWD" in *agent-2) echo "Allow it?"; read answer;; *) read answer;; esac'
    command = ("/bin/sh", "-c", script)
    live.use(Runner(kind=RunnerKind.COMMAND, mode=RunnerMode.TMUX, command=command, waiting=r"Allow it\?"))
    live.start()
    live.wait_until(lambda: live.state("api").state is State.WAITING)
    session = tmux.session_name(live.fleet.folder)
    waiting_run = live.newest("api").run
    assert waiting_run is not None
    live.wait_until(lambda: option(f"={session}:", "@next") == waiting_run.window)
    assert option(f"={session}:=api", "@state") == "waiting"
    live.wait_until(lambda: option(f"={session}:=auth", "@state") == "working")
    # Attach as a person does, in another tmux, and press the keys.
    tmux.tmux("select-window", "-t", f"={session}:=auth")
    outer = ("-f", "/dev/null", "new-session", "-d", "-s", "person", "-x", "80", "-y", "24")
    person = ("tmux", "-L", "person")
    attach = " ".join(("env", "-u", "TMUX", "tmux", "-L", tmux.SERVER, "attach-session", "-t", f"'={session}'"))
    try:
        subprocess.run((*person, *outer, attach), check=True)
        live.wait_until(lambda: "api waiting" in screen(person))
        assert "auth working" in screen(person)
        subprocess.run((*person, "send-keys", "-t", "person", "C-b", "N"), check=True)
        live.wait_until(lambda: option(f"={session}:", "window_name") == "api")
        tmux.tmux("send-keys", "-t", waiting_run.window, "y", "Enter")
        live.wait_until(lambda: option(f"={session}:", "@next") == "")
        live.wait_until(lambda: option(f"={session}:=api", "@state") == "ended")
    finally:
        subprocess.run((*person, "kill-server"), check=False)
    assert json.loads((live.fleet.folder / "waiting.json").read_text("utf-8")) == {"agents": []}


def screen(person: tuple[str, ...]) -> str:
    return subprocess.run((*person, "capture-pane", "-p"), capture_output=True, text=True, check=True).stdout
