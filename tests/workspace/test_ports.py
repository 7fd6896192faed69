"""Ports of agents: stable, free, recorded at spawn, and never given twice on one machine."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.fleet import PORTS_RECORD, Fleet, read_ports
from orchestra.git.refs import Kind
from orchestra.status import read_status
from orchestra.workspace import ports as ports_module
from orchestra.workspace.paths import PORTS_FILE, user_state_folder
from orchestra.workspace.ports import FIRST_PORT, slot_ports
from orchestra.workspace.restore import restore
from orchestra.workspace.spawn_plan import plan_spawn
from tests.conftest import Checkout
from tests.workspace.conftest import MakeHome, run_clean, run_spawn
from tests.workspace.test_clean import set_refs
from tests.workspace.test_kills import drive
from tests.workspace.worlds import Home

BLUEPRINT = """\
version: 1
name: demo
target: main
runner: {kind: none}
worktrees:
  root: ../worktrees
  setup:
    ports: [WEB, DB]
    env: {URL: "postgres://localhost:{{ ports.DB }}/{{ agent.name }}", OLD: "{{ 3000 + agent.number }}"}
    run: ['echo "$WEB $DB $URL $OLD" >ports.txt']
agents:
  - {name: schema, task: Design the schema.}
  - {name: api, task: Build the API.}
"""


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry of this machine be one of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def home(make: MakeHome) -> Home:
    return make(BLUEPRINT)


def given(home: Home) -> dict[str, dict[str, int]]:
    """Return agent -> variable -> port, of the agents that have some."""
    return {agent.name: dict(agent.ports) for agent in home.fleet().blueprint.agents if agent.ports}


def all_ports(*homes: Home) -> list[int]:
    return [port for home in homes for ports in given(home).values() for port in ports.values()]


def registry() -> dict[str, dict[str, object]]:
    rows: dict[str, dict[str, object]] = json.loads((user_state_folder() / "ports" / "ports.json").read_text())
    return rows


def test_every_agent_gets_its_ports_and_keeps_them(home: Home) -> None:
    assert given(home) == {}
    plan = plan_spawn(home.fleet())
    assert not (user_state_folder() / "ports").exists()  # planning writes nothing
    report = run_spawn(home)
    assert sorted(report.steps) == sorted(plan.lines())
    ports = given(home)
    assert sorted(all_ports(home)) == list(range(FIRST_PORT, FIRST_PORT + 4))
    first = ports["schema"]
    assert f"give schema the ports WEB={first['WEB']}, DB={first['DB']}" in report.steps
    expected = f"{first['WEB']} {first['DB']} postgres://localhost:{first['DB']}/schema 3001\n"
    assert (home.agent(1).path / "ports.txt").read_text() == expected
    task = (home.agent(1).path / "TASK.md").read_text()
    assert f"- `WEB`: {first['WEB']}\n- `DB`: {first['DB']}\n" in task
    assert f"`. ./{PORTS_FILE}` sets them" in task
    rows = read_status(home.fleet()).to_json()["agents"]
    assert isinstance(rows, list)
    assert [row["ports"] for row in rows if isinstance(row, dict)] == [ports["schema"], ports["api"]]
    assert plan_spawn(home.fleet()).lines() == []
    assert run_spawn(home).steps == ()
    assert given(home) == ports


def test_a_file_in_the_worktree_sets_the_ports_in_any_shell(make: MakeHome) -> None:
    home = make(
        BLUEPRINT.replace("run: [", f"run: ['env -u WEB sh -c \". ./{PORTS_FILE}; echo \\$WEB\" >sourced.txt', ")
    )
    run_spawn(home)
    ports, worktree = given(home)["api"], home.agent(2)
    assert (worktree.path / "sourced.txt").read_text() == f"{ports['WEB']}\n"
    shown = ["sh", "-c", f'. ./{PORTS_FILE}; sh -c "echo $WEB $DB"']
    done = subprocess.run(shown, cwd=worktree.path, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == f"{ports['WEB']} {ports['DB']}\n"
    assert worktree.git("status", "--porcelain") == ""
    set_refs(home, "api", {Kind.DISCARDED: home.checkout.git("rev-parse", "agent/demo/api")})
    assert run_clean(home).kept_files == ()
    assert not worktree.path.exists()


def test_a_blueprint_without_ports_writes_no_ports_file(make: MakeHome) -> None:
    home = make(BLUEPRINT.replace("ports: [WEB, DB]", "ports: []").replace("{{ ports.DB }}", "0"))
    run_spawn(home)
    assert not (home.agent(1).path / PORTS_FILE).exists()


def test_two_repositories_never_share_a_port(make: MakeHome) -> None:
    one, two = make(BLUEPRINT, name="one"), make(BLUEPRINT, name="two")
    run_spawn(one)
    run_spawn(two)
    assert len(set(all_ports(one, two))) == 8


def test_spawns_at_the_same_time_share_no_port(make: MakeHome) -> None:
    homes = [make(BLUEPRINT, name=f"home-{number}") for number in range(4)]
    running = [subprocess.Popen(drive("spawn", home), stdout=subprocess.DEVNULL) for home in homes]
    assert [process.wait() for process in running] == [0] * 4
    assert len(set(all_ports(*homes))) == 16


def test_a_port_that_is_in_use_is_passed_over(home: Home) -> None:
    with socket.create_server(("127.0.0.1", FIRST_PORT + 1)):
        run_spawn(home)
    assert FIRST_PORT + 1 not in all_ports(home)
    assert len(set(all_ports(home))) == 4


def test_no_free_port_refuses_before_anything_is_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_module, "LAST_PORT", FIRST_PORT + 2)
    with pytest.raises(Exception, match=f"no port from {FIRST_PORT} to {FIRST_PORT + 2} is free"):
        run_spawn(home)
    assert home.checkout.git("for-each-ref", "refs/orchestra", "refs/heads/agent") == ""


def test_clean_gives_ports_back_and_restore_gets_some_again(home: Home, make: MakeHome) -> None:
    run_spawn(home)
    ports = given(home)
    set_refs(home, "schema", {Kind.DISCARDED: home.checkout.git("rev-parse", "agent/demo/schema")})
    run_clean(home)
    assert given(home) == {"api": ports["api"]}
    other = make(BLUEPRINT, name="other")
    run_spawn(other)
    assert ports["schema"]["WEB"] in all_ports(other)
    with LocalEngine(1) as engine:
        restore(home.fleet(), home.fleet().require_agent("schema"), engine=engine)
    assert len(set(all_ports(home, other))) == 8
    assert f"`WEB`: {given(home)['schema']['WEB']}\n" in (home.agent(1).path / "TASK.md").read_text()


def test_a_copy_of_the_repository_gets_ports_of_its_own(home: Home, tmp_path: Path) -> None:
    run_spawn(home)
    shutil.copytree(home.path, tmp_path / "copy", symlinks=True)
    copy = Home(tmp_path / "copy")
    copy.checkout.git("worktree", "repair", *(str(copy.agent(number).path) for number in (1, 2)))
    before = given(home)
    run_spawn(copy)
    assert len(set(all_ports(home, copy))) == 8
    assert given(home) == before


def test_a_port_more_in_the_blueprint_reaches_existing_worktrees(make: MakeHome) -> None:
    home = make(BLUEPRINT.replace("ports: [WEB, DB]", "ports: [DB]"))
    run_spawn(home)
    before = given(home)
    home.blueprint.write_text(BLUEPRINT)
    run_spawn(home)
    after = given(home)
    assert {name: ports["DB"] for name, ports in after.items()} == {name: ports["DB"] for name, ports in before.items()}
    assert len(set(all_ports(home))) == 4
    assert f"`WEB`: {after['api']['WEB']}\n" in (home.agent(2).path / "TASK.md").read_text()


@pytest.mark.parametrize("damage", ["", "not json", "[]", '{"20000": 1}', '{"x": {"record": "/", "pid": 1}}'])
def test_a_damaged_registry_takes_no_port_away(home: Home, damage: str) -> None:
    run_spawn(home)
    before = given(home)
    (user_state_folder() / "ports" / "ports.json").write_text(damage)
    run_spawn(home)
    assert given(home) == before
    assert sorted(map(int, registry())) == sorted(all_ports(home))


def test_a_damaged_record_is_written_again(home: Home) -> None:
    run_spawn(home)
    record = home.fleet().agent_folder(AgentName("api")) / PORTS_RECORD
    record.write_text('{"WEB": 99999999}')
    assert read_ports(record) == {}
    run_spawn(home)
    assert len(set(all_ports(home))) == 4


def test_entries_die_with_their_repository(home: Home, make: MakeHome) -> None:
    run_spawn(home)
    shutil.rmtree(home.path)
    other = make(BLUEPRINT, name="other")
    run_spawn(other)
    assert sorted(all_ports(other)) == list(range(FIRST_PORT, FIRST_PORT + 4))
    assert len(registry()) == 4


@pytest.mark.parametrize("after_s", [0.3, 0.5, 0.7, 0.9, 1.2])
def test_a_killed_spawn_continues_with_distinct_ports(home: Home, make: MakeHome, after_s: float) -> None:
    killed = subprocess.Popen(drive("spawn", home), stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    other = make(BLUEPRINT, name="other")
    run_spawn(other)
    run_spawn(home)
    assert len(set(all_ports(home, other))) == 8
    for number, name in ((1, "schema"), (2, "api")):
        assert f"`WEB`: {given(home)[name]['WEB']}\n" in (home.agent(number).path / "TASK.md").read_text()
        # What the killed set-up had made may count as the agent's.
        assert Checkout(home.agent(number).path).git("status", "--porcelain") in ("", "?? ports.txt")


def test_gate_slots_have_ports_of_their_own(home: Home) -> None:
    run_spawn(home)
    fleet: Fleet = home.fleet()
    first, second = slot_ports(fleet, 1), slot_ports(fleet, 2)
    assert slot_ports(fleet, 1) == first
    assert len({*first.values(), *second.values(), *all_ports(home)}) == 8
