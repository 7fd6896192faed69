"""Commands at the same time, commands that were killed, and what a full or closed disk does."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .command import program
from .conftest import MakeRoad
from .road import Road


@contextmanager
def held_gate(road: Road) -> Iterator[Path]:
    """A gate that says when it began, by a named pipe, and goes on when it is told to."""
    begun, go = road.folder / "begun", road.folder / "go"
    for pipe in (begun, go):
        os.mkfifo(pipe)
    gate = {"run": f"test ! -e {begun} || {{ echo x > {begun}; read x < {go}; }}", "timeout": "60s"}
    road.fleet(**road.declared | {"gates": {"held": gate}, "limits": {"gates": 1}})
    yield begun


def release(road: Road) -> None:
    begun, go = road.folder / "begun", road.folder / "go"
    begun.unlink()
    with go.open("w") as pipe:
        pipe.write("\n")


def await_gate(begun: Path) -> None:
    with begun.open() as pipe:
        pipe.read()


def test_beside_a_running_train(road: Road) -> None:
    """A second train says who holds the lock; verdicts, status, spawn and clean go on beside it."""
    with held_gate(road) as begun:
        road.ready("one", "two")
        running = road.begin("merge", "--json", "one", "two")
        await_gate(begun)
        said = road.refused("merge")
        assert f"is held by orchestra merge (process {running.process.pid}" in said
        assert "is held by orchestra merge" in road.refused("rehearse")
        road.work("three")
        road.run("approve", "three")
        road.run("discard", "two", "--reason", "while it is tested")
        road.run("spawn")
        assert road.status()["three"]["verdict"] == "approved"
        road.run("clean")
        release(road)
        done = running.wait()
    report = json.loads(done.out)
    assert [one["agent"] for one in report["landed"]] == ["one"], done
    assert [one["agent"] for one in report["waiting"]] == ["two"]
    assert "while the train ran" in report["waiting"][0]["reason"]
    assert road.landed_agents() == ["one"]
    road.merge()
    assert road.landed_agents() == ["one", "three"]
    road.assert_final_state()


def test_beside_a_train_that_is_suspended(road: Road) -> None:
    """It holds its lock while it sleeps; what happened meanwhile is found when it goes on (facts/merge.md 5, 5)."""
    with held_gate(road) as begun:
        road.ready("one")
        running = road.begin("merge", "--json", "one")
        await_gate(begun)
        pid = running.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert "is held by orchestra merge" in road.refused("merge")
        road.checkout.commit("a person, meanwhile", {"person.txt": "1\n"})
        release(road)
        os.kill(pid, signal.SIGCONT)
        done = running.wait()
    assert [one["agent"] for one in json.loads(done.out)["landed"]] == ["one"], done
    assert road.checkout.git("log", "--format=%s", "main").splitlines()[1] == "a person, meanwhile"
    road.assert_final_state()


def test_two_spawns_and_a_merge_at_once(road: Road) -> None:
    words = ("spawn", "--blueprint", str(road.blueprint))
    running = [road.begin(*words) for _ in range(3)]
    ended = [one.wait() for one in running]
    assert {one.code for one in ended} <= {0, 3}, ended
    assert any(one.code == 0 for one in ended)
    assert all("is held by" in one.err for one in ended if one.code), ended
    assert road.spawn()["steps"] == []
    for name in ("one", "two", "three"):
        road.work(name)
    road.approve("one", "two", "three")
    running = [road.begin("merge"), road.begin("merge"), road.begin("spawn"), road.begin("clean"), road.begin("status")]
    ended = [one.wait() for one in running]
    assert {one.code for one in ended} <= {0, 3}, ended
    assert all("is held by" in one.err for one in ended if one.code), ended
    road.merge()
    assert road.landed_agents() == ["one", "two", "three"]
    road.json("clean")
    road.assert_final_state()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_train_that_is_ended_in_the_middle_of_a_gate(road: Road, end: signal.Signals) -> None:
    with held_gate(road) as begun:
        road.ready("one", "two")
        before = road.checkout.git("rev-parse", "main")
        running = road.begin("merge", "one", "two")
        await_gate(begun)
        assert running.process.pid is not None
        os.kill(running.process.pid, end)
        done = running.wait()
        assert done.code in {signal.SIGINT: (130,)}.get(end, (-end, 130, 143)), done
        assert road.checkout.git("rev-parse", "main") == before
        begun.unlink()
    assert len(road.merge("one", "two")["landed"]) == 2
    road.json("clean")
    road.assert_final_state()


def test_locks_of_the_dead(road: Road) -> None:
    """The file of a lock is no lock; one that a live process holds is, and says who."""
    road.ready("one")
    for folder in (road.common / "orchestra", road.common / "orchestra/train"):
        folder.mkdir(exist_ok=True)
        (folder / "lock").touch()
        (folder / "lock.holder").write_text('{"pid": 1, "command": "merge", "since": 0}')
    assert len(road.merge("one")["landed"]) == 1
    with (road.common / "orchestra/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is held by another orchestra command" in road.refused("spawn")
    road.json("clean")
    road.assert_final_state()


def test_ref_locks_that_a_dead_git_left(road: Road) -> None:
    """Named, with what to do; nothing lands by halves, and afterwards it goes on."""
    road.ready("one")
    lock = road.common / "refs/heads/main.lock"
    lock.touch()
    before = road.checkout.git("rev-parse", "main")
    done = road.begin("merge", "one").wait()
    assert done.code in (1, 3), done
    assert "main.lock" in done.out + done.err
    assert road.checkout.git("rev-parse", "main") == before
    lock.unlink()
    assert len(road.merge("one")["landed"]) == 1
    road.assert_final_state()


def test_state_that_was_lost_or_damaged(road: Road) -> None:
    """Refs are the truth: without ledger, results, logs and notes of the state folder the work still lands."""
    road.ready("one", "two")
    road.merge("one")
    fleet = road.common / "orchestra/fleets/f"
    for name in ("ledger.db", "forecast.json", "blueprint.json"):
        if (fleet / name).exists():
            (fleet / name).write_bytes(b"junk\0junk" * 1000)
    for path in (fleet / "agents").rglob("*"):
        if path.is_file():
            path.write_bytes(b"{junk")
    road.json("status", "--blueprint", str(road.blueprint))
    subprocess.run(["rm", "-rf", str(road.common / "orchestra")], check=True)
    rows = {row["name"]: row for row in road.json("status", "--blueprint", str(road.blueprint))["agents"]}
    assert (rows["one"]["state"], rows["two"]["verdict"]) == ("landed", "approved")
    road.spawn()
    assert road.at("two").git("status", "--porcelain") == ""
    assert len(road.merge("two")["landed"]) == 1
    road.json("clean")
    assert road.landed_agents() == ["one", "two"]
    road.assert_final_state()


def test_a_reader_that_leaves_and_an_output_that_is_full(road: Road) -> None:
    road.spawn()
    folder, words = road.checkout.path, [*program(), "status"]
    left = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>err | true; cat err', "sh", *words],
        cwd=folder,
        env=road.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in left.stdout + left.stderr
    (folder / "err").unlink()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words, cwd=folder, env=road.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert "no space" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    road.assert_final_state()


def test_what_is_typed_wrong(road: Road) -> None:
    road.spawn()
    for words in (
        ["merge", "nobody"],
        ["merge", "--blueprint", ""],
        ["merge", "--nonsense"],
        ["approve"],
        ["approve", "one", "two", "extra"],
        ["discard", "one"],
        ["review", "99"],
        ["rebase-and-test", "one,nobody"],
        ["status", "--blueprint", "no-such-thing"],
        ["nonsense"],
        ["clean", "nobody"],
    ):
        assert len(road.refused(*words, code=2)) > 10, words
    road.assert_final_state()


def test_a_blueprint_that_changes_between_two_commands(road: Road) -> None:
    """An agent that is taken out keeps its work; one that is added is made; a broken file touches nothing."""
    road.ready("one", "two")
    road.fleet("one", {"name": "four"}, *road.declared["agents"][1:])
    before = {agent["name"]: agent["worktree"] for agent in road.json("status")["agents"] if agent["name"] != "four"}
    origins = {agent["name"]: agent["origin"] for agent in road.spawn()["agents"]}
    assert origins == {"one": "there", "two": "there", "three": "there", "four": "made"}
    after = {agent["name"]: agent["worktree"] for agent in road.json("status")["agents"]}
    assert after == before | {"four": after["four"]}, "an inserted agent moves no other agent's worktree"
    assert after["four"] not in before.values()
    road.blueprint.write_text("version: 1\nname: f\nagents: [\n")
    for task in ("spawn", "status", "merge", "clean"):
        assert ":3:" in road.refused(task, code=2) or ":4:" in road.refused(task, code=2)
    road.fleet("one", "three", "four")
    assert road.json("status")["not_declared"] == ["two"]
    assert len(road.merge("one")["landed"]) == 1
    assert "two/approved" in road.refs()
    road.assert_final_state()


def test_two_fleets_in_one_repository(make_road: MakeRoad) -> None:
    road = make_road()
    road.ready("one")
    other = Road(road.checkout, road.folder / "other")
    other.folder.mkdir()
    other.fleet("one", "six", name="g", worktrees={"root": "../wt-g"})
    other.spawn()
    other.work("six")
    other.run("approve", "six")
    assert [one["agent"] for one in other.merge("six")["landed"]] == ["six"]
    merged = road.json("merge", "--blueprint", str(road.blueprint), "one")
    assert [one["agent"] for one in merged["landed"]] == ["one"]
    assert "g/six/landed" in road.refs("refs/orchestra/")
    other.json("clean")
    assert road.at("one").path.exists()
    road.json("clean", "--blueprint", str(road.blueprint))
    road.assert_final_state()
