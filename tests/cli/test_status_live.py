"""The live status in a real terminal: it draws, and rings when somebody begins to wait, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeRepository
from tests.fleets import make_world
from tests.terminals import pieces

ROOT = Path(__file__).parents[2]
# Each look is of the real fleet; who waits in which is the first argument, one word a look.
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from orchestra.git.repository import Repository
from orchestra.sessions.state import AgentState, State
from orchestra.status import read_status
from orchestra.cli import status_live
from tests.fleets import make_blueprint
from orchestra.fleet import make_fleet

fleet = make_fleet(Repository.discover(Path(sys.argv[2])), make_blueprint("a", "b"))
looks = iter(sys.argv[1].split(","))
status_live._SHORTEST_S = status_live._REST_PER_LOOK = 0.0

def look():
    word = next(looks, None)
    if word is None:
        raise KeyboardInterrupt
    found = read_status(fleet)
    waits = AgentState(State.WAITING, "permission: Bash \\x1b]0;mine \\x9b2Jx", "hook", found.taken_at)
    rows = (replace(row, state=waits) if row.agent.name in word else row for row in found.rows)
    return replace(found, rows=tuple(rows))

status_live.watch_status(look, bell=sys.argv[3] == "bell")
"""


def watch(folder: Path, looks: str, bell: str) -> bytes:
    """What the terminal got."""
    ours, theirs = os.openpty()
    argv = [sys.executable, "-c", SCRIPT, looks, str(folder), bell]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "20"}
    with subprocess.Popen(argv, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b"".join(pieces(ours))
        process.wait()
    os.close(ours)
    return seen


@pytest.mark.parametrize(
    ("looks", "bell", "rings"),
    [("-,a,a", "bell", 1), ("-,a,-,a", "bell", 2), ("-,a,ab", "bell", 2), ("a,a", "bell", 0), ("-,a", "quiet", 0)],
)
def test_it_rings_when_somebody_begins_to_wait(
    make_repository: MakeRepository, looks: str, bell: str, rings: int
) -> None:
    world = make_world(make_repository(), "a", "b")
    seen = watch(world.checkout.path, looks, bell)
    assert b"Ctrl-C leaves" in seen
    assert seen.count(b"\a") == rings


def test_what_an_agent_asks_for_is_shown_and_not_obeyed(make_repository: MakeRepository) -> None:
    """The reason that a permission is wanted for holds the agent's own command."""
    world = make_world(make_repository(), "a", "b")
    seen = watch(world.checkout.path, "a", "quiet")
    assert b"permission: Bash ^[]0;mine" in seen
    assert b"\x1b]0;" not in seen
    assert "\x9b".encode() not in seen
