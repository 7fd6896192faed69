"""``merge --follow``: one train after another, as work is approved, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.cli import ns
from tests.conftest import Checkout, MakeRepository
from tests.e2e.command import program

from .conftest import Orchestra

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt}
runner: {kind: none}
gates: {check: {run: "! grep -rqs RED --include=*.txt ."}}
agents:
  - {name: one, task: Do it.}
  - {name: two, task: Do it.}
  - {name: three, task: Do it., merge_after: [two]}
"""
NOTES = {"AGENT_NOTES.md": "# Notes\n\n## What I Built\n\nA thing.\n"}
_PATIENCE_S = 120.0


class Follower:
    """A running ``orchestra merge --follow``, whose output goes to files."""

    def __init__(self, checkout: Checkout, *words: str) -> None:
        self.files = [checkout.path.parent / name for name in ("out", "err")]
        with self.files[0].open("w") as out, self.files[1].open("w") as err:
            argv = [*program(), "merge", "--follow", *words]
            self.process = subprocess.Popen(argv, cwd=checkout.path, stdout=out, stderr=err)

    @property
    def shown(self) -> tuple[str, str]:
        out, err = (path.read_text() for path in self.files)
        return out, err

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while "".join(self.shown).count(text) < times:
            assert self.process.poll() is None, self.shown
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.05)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(_PATIENCE_S)


@pytest.fixture
def fleet(make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT, "a.txt": "a\n"})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn", "--yes")[0] == 0
    return checkout


@pytest.fixture
def follow(fleet: Checkout) -> Iterator[list[Follower]]:
    """Followers that are put here are ended with the test."""
    started: list[Follower] = []
    yield started
    for follower in started:
        follower.process.kill()
        follower.process.wait()


def work(checkout: Checkout, number: int, text: str = "x\n") -> None:
    worktree = Checkout(checkout.path.parent / "wt" / f"agent-{number}")
    worktree.write(NOTES)
    worktree.commit("work", {f"{number}.txt": text})


def test_it_lands_what_is_approved_while_it_runs_and_ends_quietly(
    fleet: Checkout, orchestra: Orchestra, follow: list[Follower]
) -> None:
    follow.append(follower := Follower(fleet))
    follower.wait_for("waiting for approved work (no verdict: one, two and three)")
    work(fleet, 1)
    assert orchestra("approve", "one")[0] == 0
    follower.wait_for("one: landed as")
    work(fleet, 2)
    assert orchestra("approve", "two")[0] == 0
    follower.wait_for("two: landed as")
    follower.wait_for("waiting for approved work (no verdict: three)")
    assert follower.interrupt() == 0
    out, err = follower.shown
    assert out.count("landed as") == 2
    assert "next:" not in out
    assert "Interrupted" not in err
    assert "one: waiting" not in out


def test_what_did_not_land_is_tried_again_only_when_something_changed(
    fleet: Checkout, orchestra: Orchestra, follow: list[Follower]
) -> None:
    work(fleet, 2, "RED\n")
    work(fleet, 3)
    assert orchestra("approve", "two", "three")[0] == 0
    follow.append(follower := Follower(fleet))
    follower.wait_for("three: blocked by two")
    follower.wait_for("not landed: three and two")
    time.sleep(2.5)
    assert "".join(follower.shown).count("two: evicted") == 1, "the same commit is not tested again"
    work(fleet, 2, "green\n")
    assert orchestra("approve", "two")[0] == 0
    follower.wait_for("three: landed as")
    assert follower.interrupt() == 0


def test_it_ends_with_1_while_something_approved_has_not_landed(
    fleet: Checkout, orchestra: Orchestra, follow: list[Follower]
) -> None:
    work(fleet, 1, "RED\n")
    assert orchestra("approve", "one")[0] == 0
    follow.append(follower := Follower(fleet))
    follower.wait_for("not landed: one")
    assert follower.interrupt() == 1


def test_with_yes_it_waits_for_finished_work(fleet: Checkout, follow: list[Follower]) -> None:
    follow.append(follower := Follower(fleet, "--yes", "one"))
    follower.wait_for("waiting for finished work")
    work(fleet, 1)
    follower.wait_for("one: landed as")
    assert follower.interrupt() == 0


def test_events_are_json_lines_also_while_it_waits(fleet: Checkout, follow: list[Follower]) -> None:
    follow.append(follower := Follower(fleet, "--events"))
    follower.wait_for("waiting for approved work")
    assert follower.interrupt() == 0
    (event,) = [json.loads(line) for line in follower.shown[1].splitlines()]
    assert (event["kind"], event["agents"]) == ("waiting", [])


def test_waiting_uses_little_cpu(fleet: Checkout, follow: list[Follower]) -> None:
    follow.append(follower := Follower(fleet))
    follower.wait_for("waiting for approved work")
    before = cpu_s(follower.process.pid)
    time.sleep(4)
    assert cpu_s(follower.process.pid) - before < 0.4


def cpu_s(pid: int) -> float:
    """The CPU of a process and its ended children so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_one_document_and_no_end_exclude_each_other(fleet: Checkout, orchestra: Orchestra) -> None:
    code, out, err = orchestra("merge", "--follow", "--json")
    assert (code, out) == (2, "")
    assert "--json prints one document, and --follow does not end" in err
    assert f"usage: orchestra {ns['merge'].verb.usage}" in err
