"""The walk: in a terminal, ``merge-helper.sh`` shows what lacks a verdict, asks, and does what it is told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.shell.conftest import Ground
from tests.shell.shells import SHELLS
from tests.terminals import in_terminal


def walk(ground: Ground, answers: Sequence[str], shell: str = "sh") -> tuple[int, str]:
    """Run the helper in a pseudo-terminal, typing each answer when it asks; its exit code and all that it showed."""
    left = list(answers)

    def answer(shown: bytes) -> bytes:
        asked = shown.endswith((b"] ", b"(one line) "))
        return left.pop(0).encode() + b"\n" if left and asked else b""

    return in_terminal([*SHELLS[shell], str(ground.written.merge_helper)], ground.checkout.path, answer)


@pytest.fixture
def worked(ground: Ground) -> Ground:
    """Three agents with work and no verdict; the third one's is red."""
    ground.work("one", {"src/one": "1\n"})
    ground.work("two", {"two": "\x1b[31mred\x1b[0m\n"})
    ground.work("three", {"broken": "1\n"})
    return ground


def test_each_is_shown_and_asked_about_and_lands_when_approved(worked: Ground) -> None:
    code, shown = walk(worked, ["approve", "nonsense", "a", "skip"])
    assert "==== one (1): The first" in shown
    assert "The work of one." in shown
    assert "src/one | 1 +" in shown
    assert "please type one of: approve request-changes discard skip quit" in shown
    assert "three: evicted, gate: tests failed" in shown
    assert "three does not land. What now?" in shown
    assert code == 1
    assert worked.checkout.git("log", "--format=%s", "main").splitlines() == ["two works", "one works", "commit 1"]
    assert worked.ref("one/approved") == worked.at("one").git("rev-parse", "HEAD")


def test_sent_back_discarded_and_quit(worked: Ground) -> None:
    code, shown = walk(worked, ["request", "name it $better", "quit"])
    assert "one: waiting: changes were requested" in shown
    assert "two: blocked by one" in shown
    assert code == 1
    task = (worked.at("one").path / "TASK.md").read_text()
    assert task.endswith("\n\nname it $better\n")
    code, shown = walk(worked, ["discard", "no use"])
    assert worked.ref("three/discarded") == worked.at("three").git("rev-parse", "HEAD")
    assert worked.checkout.git("log", "--format=%s", "main") == "commit 1"


def test_the_end_of_input_is_quit_and_nothing_lands(worked: Ground) -> None:
    code, _ = walk(worked, ["\x04"])
    assert code == 1
    assert worked.checkout.git("log", "--format=%s", "main") == "commit 1"


@pytest.mark.parametrize("shell", [name for name in SHELLS if name != "sh"])
def test_every_shell_walks(ground: Ground, shell: str) -> None:
    ground.work("one", {"src/one": "1\n"})
    code, shown = walk(ground, ["approve"], shell)
    assert "one: landed as" in shown, shown
    assert ground.checkout.git("log", "-1", "--format=%s", "main") == "one works"
    assert code == 1  # the others have nothing to land
