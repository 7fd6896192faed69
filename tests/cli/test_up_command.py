"""``orchestra up``: plan, doctor, check, spawn and start with one question, as far as the first that refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository
from tests.e2e.command import program
from tests.terminals import in_terminal

from .conftest import Orchestra, valid_json

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt, setup: {run: ["test ! -e BROKEN-SETUP"]}}
runner: {kind: command, command: ["true"]}
gates: {check: {run: "test ! -e RED"}}
limits: {gates: 1}
agents: [{name: one, task: Do it., scope: ["one/**"]}, {name: two, task: Do it., scope: ["two/**"]}]
"""


@pytest.fixture
def shop(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Checkout:
    """A repository with a blueprint that is not trusted yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT, "one/a": "a\n", "two/a": "a\n"})
    monkeypatch.chdir(checkout.path)
    return checkout


def made(checkout: Checkout) -> bool:
    return (checkout.path.parent / "wt" / "agent-1").exists()


def test_it_goes_from_a_blueprint_to_started_sessions(shop: Checkout, orchestra: Orchestra) -> None:
    code, out, err = orchestra("up", "--yes", "--json")
    assert code == 0, err
    document = valid_json(out, "up.schema.json")
    assert document["stopped_by"] is None
    assert document["check"]["passed"]
    assert [place["ready"] for place in document["spawn"]["agents"]] == ["ready", "ready"]
    assert document["started"]["queued"] == ["one", "two"]
    again = valid_json(orchestra("up", "--yes", "--json")[1], "up.schema.json")
    assert again["check"] is None, "it passed on this very commit"
    assert [place["origin"] for place in again["spawn"]["agents"]] == ["there", "there"]
    orchestra("stop")


def test_without_a_terminal_it_asks_for_yes_and_executes_nothing(shop: Checkout, orchestra: Orchestra) -> None:
    code, _, err = orchestra("up", "f")
    assert (code, made(shop)) == (2, False)
    assert "gate check: test ! -e RED" in err, "the commands that the yes would trust"
    assert err.endswith(
        "f on main: 2 agents, without a cost limit; 3 worktrees to make, gate slots included\n"
        "error: nothing was executed: up asks before it begins\n"
        "hint: add --yes to go on without asking\n"
    )
    assert orchestra("spawn")[0] == 2, "and nothing is trusted"


@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("no\n", 1)])
def test_in_a_terminal_it_asks_once(shop: Checkout, orchestra: Orchestra, answer: str, code: int) -> None:
    asked: list[bytes] = []

    def reply(shown: bytes) -> bytes:
        if not shown.endswith(b"[yes, no] "):
            return b""
        asked.append(shown)
        return answer.encode()

    ended, shown = in_terminal([*program(), "up"], shop.path, reply, TERM="xterm-256color")
    assert (ended, len(asked), made(shop)) == (code, 1, code == 0), shown
    orchestra("stop")


def test_an_error_of_the_plan_stops_it(shop: Checkout, orchestra: Orchestra) -> None:
    text = BLUEPRINT.replace("agents:", "requires: [package.json]\nagents:")
    shop.commit("requires", {"blueprints/f.yaml": text})
    code, out, _ = orchestra("up", "--yes", "--json")
    document = valid_json(out, "up.schema.json")
    assert (code, document["stopped_by"], made(shop)) == (2, "plan", False)
    assert "main has no package.json" in orchestra("up", "--yes")[1]


def test_a_failure_of_doctor_stops_it(shop: Checkout, orchestra: Orchestra) -> None:
    text = BLUEPRINT.replace('command: ["true"]', 'command: ["no-such-program"]')
    shop.commit("runner", {"blueprints/f.yaml": text})
    assert shutil.which("no-such-program") is None
    code, out, _ = orchestra("up", "--yes", "--json")
    document = valid_json(out, "up.schema.json")
    assert (code, document["stopped_by"], made(shop)) == (3, "doctor", False)
    assert "no-such-program" in orchestra("up", "--yes")[1]


@pytest.mark.parametrize(("file", "reason"), [("RED", "  check  failed"), ("BROKEN-SETUP", "  setup  failed")])
def test_a_target_that_fails_stops_it(shop: Checkout, orchestra: Orchestra, file: str, reason: str) -> None:
    shop.commit("Break it", {file: ""})
    code, out, err = orchestra("up", "--yes")
    assert (code, made(shop)) == (1, False)
    assert reason in out
    assert "Nothing can land on main while this fails" in err
