"""One agent's broken, odd or hostile session files never end status, start, stop or the supervisor for the fleet."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.review.verdicts import request_changes
from orchestra.sessions.change_requests import has_request
from orchestra.sessions.logs import read_logs
from orchestra.sessions.runners.registry import read_result
from orchestra.sessions.start import ensure_supervisor
from orchestra.sessions.state import State, Stop
from orchestra.sessions.stop import stop_fleet
from orchestra.sessions.store import AgentFolder
from orchestra.sessions.tail import Tail
from orchestra.status import read_status
from tests.conftest import Checkout
from tests.fleets import World, make_world

from .conftest import COMMIT, LiveFleet

MakeLiveFleet = Callable[..., LiveFleet]
Break = Callable[[AgentFolder], None]


def loop(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.name)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def copy_request(agent: AgentFolder) -> None:
    """The queued session of the agent, also in the folder of another one."""
    other = agent.path.parent / "c"
    other.mkdir(parents=True)
    (other / "request.json").write_bytes(agent.request_file.read_bytes())


def odd_neighbours(agent: AgentFolder) -> None:
    folder = agent.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stray.txt").write_text("x", "utf-8")
    (folder / "two words\n").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).mkdir()
    loop(folder / "link")
    os.mkfifo(folder / "pipe")


def odd_runs(agent: AgentFolder) -> None:
    for name in ("\u00b2", "\u0664", "x", "0" * 200):
        (agent.path / "runs" / name).mkdir(parents=True)


BREAKS: list[Break] = [
    odd_neighbours,
    odd_runs,
    lambda agent: loop(agent.path / "runs"),
    lambda agent: loop(agent.path / "events.jsonl"),
    lambda agent: loop(agent.path / "message.json"),
    lambda agent: loop(agent.path / "request-changes.md"),
    lambda agent: write(agent.path / "runs/1", "no folder"),
    lambda agent: write(agent.path / "runs/1/request.json", "{}"),
    lambda agent: write(agent.path / "runs/1/request.json/x", ""),
    lambda agent: loop(agent.path / "runs/1/request.json"),
    lambda agent: write(agent.path / "result.json", "x"),
]


@pytest.mark.parametrize("spoil", BREAKS)
def test_other_agents_start_work_and_stop(make_live_fleet: MakeLiveFleet, spoil: Break) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}")
    spoil(live.files("a"))
    assert live.states()
    report = live.start()
    assert "b" in report.queued
    live.who("b")
    assert read_status(live.fleet).rows
    live.go("b")
    live.wait_until(lambda: live.state("b").state is State.FINISHED)
    stop_fleet(live.fleet)
    live.wait_until_done()
    assert "Traceback" not in live.log()


def test_a_request_copied_to_another_agents_folder_is_ignored(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}")
    with live.sessions.supervising():
        live.start("a")
    copy_request(live.files("a"))
    assert live.files("c").request is None
    ensure_supervisor(live.sessions)
    live.who("a")
    live.go("a")
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_files_that_cannot_be_read_are_unknown_and_not_started_over(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(COMMIT)
    loop(live.files("a").path / "runs")
    state = live.state("a")
    assert (state.state, "cannot be read" in state.reason) == (State.UNKNOWN, True)
    [(name, reason)] = live.start().skipped
    assert (name, "cannot be read" in reason) == ("a", True)
    [(name, reason)] = stop_fleet(live.fleet).errors
    assert (name, "cannot be read" in reason) == ("a", True)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("run", {"started_at": "yesterday"}),
        ("run", {"started_at": float("inf")}),
        ("run", {"mark": None}),
        ("run", {"keeper": {"pid": "self", "started": "1", "machine": "m"}}),
        ("record", {"ended_at": "soon"}),
        ("record", {"signal": "SIGKILL"}),
        ("stop", {"reason": 3, "at": "x"}),
        ("result", {"reason": ["x"]}),
        ("request", {"at": "x", "session_id": 3}),
    ],
)
def test_values_of_another_type_count_as_missing(
    make_live_fleet: MakeLiveFleet, name: str, values: dict[str, object]
) -> None:
    live = make_live_fleet("a")
    live.use_script(COMMIT)
    live.start()
    live.wait_until_done()
    run = live.newest("a")
    if name == "stop":
        run.write("stop", Stop("x", 1.0))
    file = run.path / f"{name}.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **values}), "utf-8")
    assert read_status(live.fleet).rows[0].state.source
    assert read_status(live.fleet).to_json()
    assert stop_fleet(live.fleet).errors == []
    live.start()
    live.wait_until_done()


def test_a_pipe_or_a_link_in_place_of_the_output_is_not_read(make_live_fleet: MakeLiveFleet, tmp_path: Path) -> None:
    live = make_live_fleet("a")
    live.use_script(f"echo output; {COMMIT}")
    live.start()
    live.wait_until_done()
    run = live.newest("a")
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t\n", "utf-8")
    for path in (run.out, run.err, live.files("a").events):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert [line for _, line in read_logs(live.fleet, [live.agent("a")]) if "output" in line] == []
    request = run.request
    assert request is not None
    assert read_result(request, run).text == ""
    for path in (run.out, run.err):
        path.unlink()
        path.symlink_to(secret)
    assert "s3cr3t" not in "".join(line for _, line in read_logs(live.fleet, [live.agent("a")]))
    assert list(Tail(run.out).lines()) == []


def test_a_link_is_no_request_for_changes(make_live_fleet: MakeLiveFleet, tmp_path: Path) -> None:
    live = make_live_fleet("a")
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t\n", "utf-8")
    live.files("a").path.mkdir(parents=True)
    (live.files("a").path / "request-changes.md").symlink_to(secret)
    assert not has_request(live.files("a"))


@pytest.fixture
def world(repository: Checkout) -> World:
    world = make_world(repository, "a")
    world.at("a").commit("work", {"x": "1"})
    rendered = world.fleet.agent_folder(world.fleet.blueprint.agents[0].name) / "rendered"
    rendered.mkdir(parents=True)
    (rendered / "TASK.md").write_text("# The task\n", "utf-8")
    return world


@pytest.mark.parametrize("kind", ["link", "pipe", "folder link", "large"])
def test_a_request_for_changes_writes_through_nothing(world: World, tmp_path: Path, kind: str) -> None:
    task, target = world.at("a").path / "TASK.md", tmp_path / "private.txt"
    target.write_text("private\n", "utf-8")
    if kind == "link":
        task.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(task)
    elif kind == "folder link":
        task.symlink_to(tmp_path)
    else:
        with task.open("wb") as file:
            file.truncate(1 << 34)
    request_changes(world.fleet, world.fleet.require_agent("a"), "Please rename it.")
    assert target.read_text("utf-8") == "private\n"
    assert not task.is_symlink()
    text = task.read_text("utf-8")
    assert text.startswith("# The task\n")
    assert "Please rename it." in text


def test_a_supervisor_that_cannot_start_is_an_error(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(COMMIT)
    (live.fleet.folder / "supervisor.json").mkdir(parents=True)
    with pytest.raises(GroundError, match="supervisor ended at once"):
        live.start()
    (live.fleet.folder / "supervisor.json").rmdir()
    ensure_supervisor(live.sessions)
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_a_full_disk_does_not_keep_a_session_from_being_stopped(
    make_live_fleet: MakeLiveFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; exec sleep 600")
    live.start()
    for name in "ab":
        live.who(name)
    run = live.newest("a")
    (run.path / "stop.json").mkdir()
    report = stop_fleet(live.fleet)
    assert report.stopped == ["a", "b"]
    assert report.survivors == []
    assert ["could not be recorded" in error for _, error in report.errors] == [True]
    (run.path / "stop.json").rmdir()
