"""The last line of a command names what can be done next, in a form that can be typed as it is."""

from __future__ import annotations

import json
import shlex

import pytest

from orchestra.cli import ns
from orchestra.cli.call import Call
from orchestra.cli.program import orchestra_tasks
from tests.conftest import Checkout, MakeRepository

from .conftest import Orchestra

BY_HAND = """\
version: 1
name: shop
worktrees: {root: ../wt}
runner: {kind: none}
gates: {check: {run: "true"}, notes: {builtin: notes}}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}]
"""


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_without_a_runner_a_person_is_sent_to_the_worktree(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_repository({"blueprints/shop.yaml": BY_HAND})
    monkeypatch.chdir(checkout.path)
    to_one = (
        "one has no runner: work in its worktree, commit, and fill in AGENT_NOTES.md.\n"
        'next: cd "$(orchestra path one)"\n'
    )
    assert orchestra("spawn", "shop", "--yes")[1].endswith(to_one)
    assert orchestra("status")[1].endswith(to_one)
    assert orchestra("next")[1] == to_one
    assert json.loads(orchestra("next", "--json")[1])["next"] == "path one"

    # What the line names is the worktree; work in it moves the fleet on.
    one = Checkout(checkout.path.parent / "wt" / "agent-1")
    assert orchestra("path", "one")[1] == f"{one.path}\n"
    one.commit("work", {"one.txt": "1\n"})
    (one.path / "AGENT_NOTES.md").write_text("## What I Built\n\nIt.\n")
    assert last_line(orchestra("status")[1]) == "next: orchestra review one"
    assert orchestra("approve", "one")[0] == 0
    assert last_line(orchestra("status")[1]) == "next: orchestra merge"
    assert orchestra("merge")[0] == 0
    assert last_line(orchestra("status")[1]) == 'next: cd "$(orchestra path two)"'


@pytest.mark.parametrize(
    ("blueprint", "words", "line"),
    [
        ("shop", "plan", "next: orchestra plan shop"),
        ("shop", "spawn one two", "next: orchestra spawn shop one two"),
        ("shop", "merge", "next: orchestra merge -b shop"),
        ("a file.yaml", "check", "next: orchestra check 'a file.yaml'"),
        (None, "review one", "next: orchestra review one"),
        (None, None, ""),
    ],
)
def test_the_blueprint_is_a_plain_word_where_the_verb_takes_one(
    blueprint: str | None, words: str | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = orchestra_tasks(ns)
    Call(tasks["status"].verb, blueprint=blueprint).print_next(words)
    assert capsys.readouterr().out.strip() == line
    if line:
        assert shlex.split(line)[2] in tasks
