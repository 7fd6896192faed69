"""``orchestra review`` without a name: the queue, walked in a terminal with one key a verdict, or listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository, SetGlobally
from tests.e2e.command import program
from tests.terminals import in_terminal

from .conftest import Orchestra, valid_json

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt}
runner: {kind: none}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}, {name: three, task: Do it.}]
"""
NOTES = {"AGENT_NOTES.md": "# Notes\n\n## What I Built\n\nA thing.\n"}


@pytest.fixture
def fleet(make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A fleet whose first two agents are finished; the third has no commits."""
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT, "a.txt": "a\n"})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn")[0] == 0
    for number, name in enumerate(("one", "two"), 1):
        worktree = at(checkout, number)
        worktree.write(NOTES)
        worktree.commit(f"work of {name}", {f"{name}.txt": f"{name}\n"})
    return checkout


def at(checkout: Checkout, number: int) -> Checkout:
    return Checkout(checkout.path.parent / "wt" / f"agent-{number}")


def press(keys: Sequence[str | Callable[[], str]], folder: Path, *words: str) -> tuple[int, str]:
    """Run ``orchestra WORDS`` in a terminal and answer its prompts one after another."""
    remaining = list(keys)

    def answer(shown: bytes) -> bytes:
        if not remaining or not shown.endswith((b"[?] ", b"What to change? ", b"Why? ")):
            return b""
        key = remaining.pop(0)
        return (key() if callable(key) else key).encode()

    env = {"GIT_PAGER": "cat", "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    return in_terminal([*program(), *words], folder, answer, **env)


def ref(checkout: Checkout, agent: str, kind: str) -> str:
    return checkout.git("rev-parse", "--verify", "--quiet", f"refs/orchestra/f/{agent}/{kind}", ok=False)


def test_one_key_gives_the_verdict_on_the_commit_that_was_shown(fleet: Checkout) -> None:
    code, shown = press(["?", "z", "d", "a", "r", "Say more.\n"], fleet.path, "review")
    assert code == 0, shown
    assert "one, 1 of 2" in shown
    assert "one? [a]pprove " in shown
    assert "[a]pprove [r]equest-changes [x] discard [d]iff [s]kip [q]uit [?]" in shown
    assert "let the work land as it was shown" in shown
    assert "Press one of the keys in brackets" in shown
    assert "+one" in shown, "d shows the diff"
    assert "Reviewed 2 of 2: 1 approved, 1 changes-requested" in shown
    assert "next: orchestra merge" in shown
    assert ref(fleet, "one", "approved") == at(fleet, 1).git("rev-parse", "HEAD")
    assert "Say more." in (at(fleet, 2).path / "TASK.md").read_text()


def test_a_branch_that_moved_since_it_was_shown_gets_no_verdict(fleet: Checkout) -> None:
    def move_and_approve() -> str:
        at(fleet, 1).commit("more", {"more.txt": "more\n"})
        return "a"

    code, shown = press([move_and_approve, "s"], fleet.path, "review")
    assert code == 0, shown
    assert "one: no verdict: " in shown
    assert "Reviewed 0 of 2: 2 left" in shown
    assert not ref(fleet, "one", "approved")


def test_quitting_keeps_the_verdicts_given_so_far(fleet: Checkout) -> None:
    code, shown = press(["x", "Not wanted.\n", "q"], fleet.path, "review")
    assert code == 0, shown
    assert "Reviewed 1 of 2: 1 discarded, 1 left" in shown
    assert ref(fleet, "one", "discarded")
    assert "next:" not in shown


def test_merge_asks_with_the_same_keys_and_lands_what_is_approved(fleet: Checkout) -> None:
    code, shown = press(["a", "l"], fleet.path, "merge")
    assert code == 0, shown
    assert "[s]kip [l]and [q]uit [?]" in shown
    assert "one: landed as" in shown
    assert "two: waiting: no verdict" in shown


def test_without_a_terminal_the_queue_is_listed(fleet: Checkout, orchestra: Orchestra) -> None:
    code, out, _ = orchestra("review")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["agent", "one", "two", "next:"])
    assert "finished, and not reviewed as it is now" in out
    assert out.endswith("next: orchestra review one\n")
    document = valid_json(orchestra("review", "--json")[1], "review.schema.json")
    assert [(row["agent"], row["command"]) for row in document["queue"]] == [
        ("one", "review one"),
        ("two", "review two"),
    ]
    assert document["queue"][0]["head"] == at(fleet, 1).git("rev-parse", "HEAD")


def test_an_answered_request_for_changes_is_in_the_queue(fleet: Checkout, orchestra: Orchestra) -> None:
    for name in ("one", "two"):
        assert orchestra("request-changes", name, "more")[0] == 0
    assert orchestra("review")[1].startswith("No agent is waiting for a review.\n")
    at(fleet, 2).commit("answer", {"two.txt": "more\n"})
    document = valid_json(orchestra("review", "--json")[1], "review.schema.json")
    assert [(row["agent"], row["verdict"]) for row in document["queue"]] == [("two", "answered")]
    assert "new commits since changes were requested" in orchestra("next")[1]


@pytest.mark.parametrize(
    ("settings", "env", "pages"),
    [
        ({"core.pager": "sed s/^/core:/"}, {}, "core:"),
        ({"core.pager": "sed s/^/core:/"}, {"GIT_PAGER": "sed s/^/env:/"}, "env:"),
        ({"pager.review": "sed s/^/own:/", "core.pager": "sed s/^/core:/"}, {}, "own:"),
        ({"pager.review": "false", "core.pager": "sed s/^/core:/"}, {}, ""),
        ({}, {"PAGER": "sed s/^/pager:/"}, "pager:"),
    ],
)
def test_review_pages_as_git_is_set_up_to(
    fleet: Checkout, set_globally: SetGlobally, settings: dict[str, str], env: dict[str, str], pages: str
) -> None:
    for key, value in settings.items():
        set_globally(key, value)
    fleet.git("config", "core.pager", "sed s/^/agent:/")
    fleet.git("config", "pager.review", "sed s/^/agent:/")
    words = [*program(), "review", "one"]
    code, shown = in_terminal(words, fleet.path, lambda _: b"", TERM="xterm-256color", **env)
    assert code == 0, shown
    assert "agent:" not in shown, "an agent can write the repository's configuration"
    assert any(line.startswith(f"{pages}\x1b[1m1 one") for line in shown.splitlines()), shown


@pytest.mark.parametrize("setting", ["color.ui", "color.diff"])
def test_review_has_no_colours_where_git_has_none(fleet: Checkout, set_globally: SetGlobally, setting: str) -> None:
    set_globally(setting, "never")
    _, shown = in_terminal(
        [*program(), "review", "one"], fleet.path, lambda _: b"", TERM="xterm-256color", GIT_PAGER="cat"
    )
    assert "+one" in shown
    assert "\x1b[" not in shown.partition("next:")[0]
