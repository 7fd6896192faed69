"""The train in a real pseudo-terminal: the command as a person types it, and what is left on the screen."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

import pytest

from orchestra.cli.train_live import live_view
from orchestra.cli.train_state import TrainState, fold
from orchestra.train.events import TrainEvent
from tests.cli.conftest import Orchestra
from tests.cli.test_live_region import Screen
from tests.conftest import Checkout, MakeRepository
from tests.terminals import in_terminal
from tests.train.train_fixture import Train, TrainFixture, make_train

BLUEPRINT = """\
version: 1
name: demo
target: main
runner: {kind: none}
limits: {gates: 2}
gates:
  tests: {run: "GATE"}
agents:
  - {name: one, task: Do one thing.}
  - {name: two, task: Do another.}
"""


def in_a_terminal(
    checkout: Checkout, *words: str, term: str = "xterm", type_after: str = "", touch: Path | None = None
) -> tuple[int, str]:
    """Run the command with all three streams on a pseudo-terminal, Ctrl-C once ``type_after`` was seen.

    ``touch`` is made once a test is shown: what waits for it goes on.
    """
    left = [type_after.encode()] if type_after else []

    def answer(shown: bytes) -> bytes:
        if touch and b"in test" in shown:
            touch.touch()
        if not left or left[0] not in shown:
            return b""
        left.clear()
        return b"\x03"

    argv = [sys.executable, "-c", "from orchestra.cli.program import main; main()", *words]
    return in_terminal(argv, checkout.path, answer, TERM=term, COLUMNS="", LINES="")


def seen(text: str) -> list[str]:
    screen = Screen(80)
    screen.feed(text)
    assert screen.wrap, "line wrap is on again"
    return screen.text


def make_fleet(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, gate: str, monkeypatch: pytest.MonkeyPatch
) -> Checkout:
    """Two approved agents, the second one red where the gate looks."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    checkout = make_repository({"a": "a\n", "blueprints/demo.yaml": BLUEPRINT.replace("GATE", gate)})
    assert orchestra("trust", "--yes", "--repo", str(checkout.path), "--blueprint", "demo")[0] == 0
    assert orchestra("spawn", "--repo", str(checkout.path), "--blueprint", "demo")[0] == 0
    for number, name in enumerate(("one", "two"), 1):
        Checkout(tmp_path / "worktrees/repo/demo" / f"agent-{number}").commit("work", {name: "work\n"})
        assert orchestra("approve", name, "--repo", str(checkout.path))[0] == 0
    return checkout


def test_merge_in_a_terminal(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = tmp_path / "drawn"  # gates wait until the view has shown them
    gate = f"until test -e {drawn}; do sleep 0.05; done; ! test -e two"
    checkout = make_fleet(make_repository, orchestra, tmp_path, gate, monkeypatch)
    code, text = in_a_terminal(checkout, "merge", "--yes", touch=drawn)
    assert code == 1
    assert drawn.exists()
    left = seen(text)
    tip = checkout.git("rev-parse", "main")[:10]
    assert f"one landed as {tip}" in left
    assert [line for line in left if line.startswith("two evicted, gate: tests failed (exit code 1)")]
    assert f"one: landed as {tip} (tests passed)" in left
    assert not [line for line in left if "so far" in line or "─" in line or "▸" in line], "the block is gone"


def test_ctrl_c_leaves_a_sane_terminal_and_says_how_to_go_on(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_fleet(make_repository, orchestra, tmp_path, "sleep 600", monkeypatch)
    code, text = in_a_terminal(checkout, "rehearse", type_after="main + one")
    assert code == 130
    left = seen(text)
    assert left[-1] == "Interrupted. Run the same command again to continue."
    assert not [line for line in left if "so far" in line or "▸" in line]


def test_a_dumb_terminal_gets_plain_lines(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_fleet(make_repository, orchestra, tmp_path, "true", monkeypatch)
    code, text = in_a_terminal(checkout, "rebase-and-test", "one", term="dumb")
    assert code == 0
    assert "\x1b" not in text
    assert "testing the target with one" in text


def test_elsewhere_plain_lines_or_events(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_fleet(make_repository, orchestra, tmp_path, "true", monkeypatch)
    _, _, plain = orchestra("rehearse", "--repo", str(checkout.path))
    assert "testing the target with one" in plain
    assert "would land as" not in plain  # the report on standard output has it
    assert not [line for line in plain.splitlines() if line.startswith("{")]
    _, out, events = orchestra("rehearse", "--json", "--events", "--repo", str(checkout.path))
    kinds = [json.loads(line)["kind"] for line in events.splitlines()]
    assert (kinds[0], kinds[-1]) == ("train.started", "train.finished")
    assert json.loads(out)["rehearsed"] is True


def test_a_merge_without_verdicts_says_how_to_go_on(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_fleet(make_repository, orchestra, tmp_path, "true", monkeypatch)
    words = ("merge", "--repo", str(checkout.path))
    assert f"next: orchestra clean --repo={checkout.path}\n" in orchestra(*words, "one")[1]
    for name in ("one", "two"):
        checkout.git("update-ref", "-d", f"refs/orchestra/demo/{name}/approved")
    code, out, _ = orchestra(*words, "two")
    assert (code, out.splitlines()[0]) == (1, "two: waiting: no verdict")
    assert out.splitlines()[-1] == f'next: cd "$(orchestra path two --repo={checkout.path})"', "its notes are empty"
    notes = {"AGENT_NOTES.md": "# Notes\n\n## What I Built\n\nA thing.\n"}
    Checkout(tmp_path / "worktrees/repo/demo/agent-2").write(notes)
    assert orchestra(*words, "two")[1].splitlines()[-1] == f"next: orchestra review two --repo={checkout.path}"
    assert orchestra(*words)[0] == 0  # what is not approved was not asked for


@pytest.mark.parametrize("policy", list(Train))
def test_what_is_folded_of_a_train_is_its_report_and_what_stays_is_all_of_it(
    make_repository: MakeRepository, policy: Train
) -> None:
    train: TrainFixture = make_train(make_repository({"README.md": "# sample\n"}), "one", "two", "three", "four")
    train.after(four=("two",)).merge_settings(train=policy)
    train.approved(
        one={"README.md": "# one\n"}, two={"b.txt": "RED\n"}, three={"README.md": "# three\n"}, four={"d": "4\n"}
    )
    events: list[TrainEvent] = []
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        with live_view(stream) as listener:

            def hear(event: TrainEvent) -> None:
                events.append(event)
                listener(event)

            report = train.merge(progress=hear)
        stream.write("end")
        stream.flush()
        shown = b""
        while not shown.endswith(b"end"):
            shown += os.read(reader, 1 << 16)
    os.close(reader)
    text = shown.decode()
    state = TrainState()
    for event in events:
        state = fold(state, event)
    lists = ("landed", "evicted", "blocked", "waiting")
    told = {kind: {name for name, result in state.fates.items() if result.kind == kind} for kind in lists}
    assert told == {kind: {item.agent for item in getattr(report, kind)} for kind in lists}
    begun, ended, given_up = (
        {event.data["run"] for event in events if event.kind == kind}
        for kind in ("test.started", "test.finished", "test.cancelled")
    )
    assert len(begun) == report.tests_run
    assert begun - ended <= given_up  # nobody waits for the end of what is given up last
    # A run that was cancelled after it began ends too, without a verdict.
    outcomes = {event.data["run"]: event.data["outcome"] for event in events if event.kind == "test.finished"}
    verdicts = [run for run in begun & ended if outcomes[run] != "cancelled"]
    assert (dict(state.runs), state.runs_done, state.finished) == ({}, len(verdicts), True)
    left = "".join(line.ljust(80) if len(line) == 80 else line + "\n" for line in seen(text.removesuffix("end")))
    for event in events:
        if event.kind in lists:
            assert event.text in left
