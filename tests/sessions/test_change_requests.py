"""A request for changes that a script leaves as a file, on the command line from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.engine import process
from orchestra.errors import GroundError
from orchestra.sessions.change_requests import has_request, run_request_changes
from orchestra.sessions.store import FleetFolder
from tests.conftest import Checkout, MakeRepository

PROGRAM = str(Path(sys.executable).with_name("orchestra"))
BLUEPRINT = """\
version: 1
name: two
target: main
runner:
  kind: command
  command:
    - /bin/sh
    - "-c"
    - "echo 1 > w; printf '## What I Built\\\\nIt.\\\\n' > AGENT_NOTES.md; git add w; git commit -qm work"
  resume: ["/bin/sh", "-c", "cat > answer.txt; git add answer.txt; git commit -qm answer"]
agents: [{name: a, task: "x"}, {name: b, task: "x"}]
"""


def run(checkout: Checkout, *words: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, words[0], "--repo", str(checkout.path), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def wait(fleet: FleetFolder) -> None:
    who = fleet.supervisor
    assert who is not None
    assert process.wait_gone(who, 60), fleet.supervisor_log.read_text("utf-8")


@pytest.fixture
def worked(make_repository: MakeRepository) -> Checkout:
    """Two agents that have done their work."""
    checkout = make_repository({"blueprints/two.yaml": BLUEPRINT})
    assert run(checkout, "trust", "--yes", "--blueprint", "two").returncode == 0
    assert run(checkout, "spawn", "--blueprint", "two").returncode == 0
    assert run(checkout, "start").returncode == 0
    wait(FleetFolder(checkout.path / ".git/orchestra/fleets/two"))
    return checkout


def test_a_request_file_becomes_the_verdict_and_reaches_the_session(worked: Checkout) -> None:
    fleet = FleetFolder(worked.path / ".git/orchestra/fleets/two")
    (fleet.agent("a").path / "request-changes.md").write_text("Please name it `better`.\n", "utf-8")
    done = run(worked, "start")
    assert done.returncode == 0, done.stderr
    wait(fleet)
    assert "Please name it `better`." in worked.read("answer.txt", "agent/two/a")
    rows = json.loads(run(worked, "status", "--json").stdout)["agents"]
    assert [row["verdict"] for row in rows] == ["answered", "none"]
    assert [path.name for path in fleet.agent("a").path.glob("request-changes*")] == []
    task = (worked.path.parent / "worktrees/repo/two/agent-1/TASK.md").read_text("utf-8")
    assert "Please name it `better`." in task


def test_a_refused_request_is_kept_and_not_retried(worked: Checkout) -> None:
    fleet = FleetFolder(worked.path / ".git/orchestra/fleets/two")
    assert run(worked, "discard", "a", "--reason", "no").returncode == 0
    (fleet.agent("a").path / "request-changes.md").write_text("Please.\n", "utf-8")
    assert run(worked, "start").returncode == 0
    wait(fleet)
    assert [path.name for path in fleet.agent("a").path.glob("request-changes*")] == ["request-changes.refused.md"]
    assert "discarded" in fleet.supervisor_log.read_text("utf-8")


def leave(fleet: FleetFolder, message: bytes) -> None:
    (fleet.agent("a").path / "request-changes.md").write_bytes(message)


def requests(fleet: FleetFolder) -> list[str]:
    return [path.name for path in fleet.agent("a").path.glob("request-changes*")]


@pytest.mark.parametrize(
    "message",
    [b"- rename it\n- \0 test it\n", b"rename it\n" + "\u00fc".encode() * 200_000, b"rename it\n" + b"\xff" * 200_000],
)
def test_a_request_too_long_for_an_argument_is_cut(worked: Checkout, message: bytes) -> None:
    fleet = FleetFolder(worked.path / ".git/orchestra/fleets/two")
    leave(fleet, message)
    assert run(worked, "start").returncode == 0
    wait(fleet)
    assert requests(fleet) == []
    assert "rename it" in worked.read("answer.txt", "agent/two/a")


def test_a_request_that_cannot_be_judged_now_is_retried(worked: Checkout) -> None:
    """As while somebody holds the lock; here, since its worktree is away for a moment."""
    fleet = FleetFolder(worked.path / ".git/orchestra/fleets/two")
    leave(fleet, b"rename it\n")
    place, blueprint = worked.path.parent / "worktrees/repo/two/agent-1", str(worked.path / "blueprints/two.yaml")
    away = place.rename(place.with_name("away"))
    with pytest.raises(GroundError, match="does not exist"):
        run_request_changes(fleet.agent("a"), str(worked.path), blueprint)
    assert requests(fleet) == ["request-changes.taken.md"]
    away.rename(place)
    assert run(worked, "start").returncode == 0
    wait(fleet)
    assert requests(fleet) == []
    assert "rename it" in worked.read("answer.txt", "agent/two/a")
    place.rename(away)
    leave(fleet, b"rename it\n")
    assert "does not exist" in run_request_changes(fleet.agent("a"), str(worked.path), blueprint, last=True)
    assert requests(fleet) == ["request-changes.refused.md"]


def test_a_pipe_is_no_request(worked: Checkout) -> None:
    """An agent may leave a pipe, which would hold up whoever reads it."""
    fleet = FleetFolder(worked.path / ".git/orchestra/fleets/two")
    os.mkfifo(fleet.agent("a").path / "request-changes.md")
    assert not has_request(fleet.agent("a"))
