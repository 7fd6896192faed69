"""``merge-helper.sh`` lands what ``orchestra merge`` lands, and turns down the rest for the same reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.engine.local import LocalEngine
from orchestra.review.approval import approve
from orchestra.train.merge import merge
from orchestra.workspace.spawn import spawn
from tests.conftest import Checkout
from tests.shell.shells import ScriptResult, run
from tests.shell.snapshots import RepositoryTemplate

NAMES = "tidy conflict red dependant protected outside empty quiet union fresh late undecided".split()
TWELVE = """\
version: 1
name: twelve
target: main
protected: [package.json]
stages: [first, second]
gates:
  scope: {builtin: scope, policy: block}
  notes: {builtin: notes}
  tests: {run: "sh check.sh", timeout: 30s}
  again: {run: 'test "$CI" = true && test -z "$SECRET" && test "$KIND" = gate', env: {KIND: gate}}
agents:
  - {name: tidy, task: t, stage: first}
  - {name: conflict, task: t, stage: first}
  - {name: red, task: t, stage: first}
  - {name: dependant, task: t, stage: first, merge_after: [red]}
  - {name: protected, task: t, stage: first}
  - {name: outside, task: t, stage: first, scope: ["src/**"]}
  - {name: empty, task: t, stage: first}
  - {name: quiet, task: t, stage: first}
  - {name: union, task: t, stage: first}
  - {name: fresh, task: t, stage: first, may_edit: [package.json], merge_after: [tidy]}
  - {name: late, task: t, stage: second, merge_after: []}
  - {name: undecided, task: t, stage: second}
"""
NOTES = '# Notes\n\n## What I Built\n\nIt works: "quotes", \\ and\ttabs, \u00e9.\n'


def make_start(checkout: Checkout) -> None:
    files = {
        "f": "".join(f"line {n}\n" for n in range(9)),
        "CHANGELOG.md": "# Changes\n",
        "made.lock": "a\n",
        "a.txt": "a\n",
        "package.json": "{}\n",
        "check.sh": "! grep -q broken src/* 2>/dev/null\n",
    }
    checkout.commit("start", dict(files))


def work(template: RepositoryTemplate) -> Checkout:
    """The twelve branches, as agents leave them; all but one approved."""
    checkout = template.create()
    fleet = template.fleet(checkout)
    with LocalEngine(1) as engine:
        spawn(fleet, engine=engine)
    lines = checkout.read("f") + "\n"
    does = {
        "tidy": {"f": lines.replace("line 1", "clean"), "CHANGELOG.md": "# Changes\n- clean\n"},
        "conflict": {"f": lines.replace("line 1", "conflict")},
        "red": {"src/red": "broken\n"},
        "dependant": {"src/dependant": "fine\n"},
        "protected": {"package.json": '{"a": 1}\n', "src/p": "1\n"},
        "outside": {"src/o": "1\n", "elsewhere": "1\n"},
        "quiet": {"src/q": "1\n"},
        "union": {"f": lines.replace("line 5", "union"), "u.txt": "u\n"},
        "fresh": {"package.json": '{"b": 1}\n', "w.txt": "w\n"},
        "late": {"f": lines.replace("line 8", "late")},
        "undecided": {"src/un": "1\n"},
    }
    for agent in fleet.blueprint.agents:
        there = Checkout(fleet.worktree(agent))
        if agent.name in does:
            there.write(dict(does[agent.name]))
            there.git("add", "--all")
            there.git("commit", "--quiet", "-m", f"{agent.name} does it")
            there.git("commit", "--quiet", "--allow-empty", "-m", "nothing more")
        if agent.name != "quiet":
            there.write({"AGENT_NOTES.md": NOTES})
        if agent.name == "empty":
            there.git("commit", "--quiet", "--allow-empty", "-m", "nothing at all")
        if agent.name != "undecided":
            approve(fleet, agent)
    return checkout


@dataclass(frozen=True)
class Fates:
    """What became of the twelve, and what the repository holds afterwards."""

    landed: list[str]
    evicted: dict[str, str]
    blocked: set[str]  # by whom depends on who was decided first
    waiting: dict[str, str]
    target: str
    tree: str
    refs: list[str]
    notes: str
    status: str


def landed_state(checkout: Checkout) -> tuple[str, str, list[str], str, str]:
    """Target, tree, refs without their values but where those must agree, the notes on what landed, git status."""
    refs = checkout.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestra", "refs/heads"
    ).splitlines()
    kept = [line for line in refs if "refs/heads/agent" not in line]
    notes = checkout.git("log", "--show-notes=refs/notes/orchestra", "--format=%s%n%N", "main")
    checkout.git("fsck", "--strict")
    status = checkout.git("status", "--porcelain")
    return checkout.git("rev-parse", "main"), checkout.git("rev-parse", "main^{tree}"), kept, notes, status


def by_tool(template: RepositoryTemplate) -> Fates:
    checkout = work(template)
    with LocalEngine(1) as engine:
        report = merge(template.fleet(checkout), engine=engine)
    return Fates(
        [str(item.agent) for item in report.landed],
        {str(item.agent): item.reason.value for item in report.evicted},
        {str(item.agent) for item in report.blocked},
        {str(item.agent): item.reason for item in report.waiting},
        *landed_state(checkout),
    )


def reported(done: ScriptResult, word: str) -> dict[str, str]:
    rows = re.findall(rf"^(\S+): {word}(.*)$", done.out, re.MULTILINE)
    return dict(rows)


def by_script(template: RepositoryTemplate, shell: str) -> Fates:
    checkout = work(template)
    done = run(shell, template.script(checkout, "merge-helper.sh"), cwd=checkout.path, env={"SECRET": "x"}, ok=False)
    assert done.code == 1, done
    return Fates(
        list(reported(done, "landed as")),
        {name: rest.partition(":")[0] for name, rest in reported(done, "evicted, ").items()},
        set(reported(done, "blocked by ")),
        reported(done, "waiting: "),
        *landed_state(checkout),
    )


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of both template are made at the same moment, so that equal work has equal ids."""
    monkeypatch.setenv("GIT_AUTHOR_DATE", "1700000500 +0000")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1700000600 +0000")


def test_script_and_tool_land_the_same(tmp_path: Path) -> None:
    template = RepositoryTemplate(tmp_path / "twin", TWELVE, make_start)
    tool, script = by_tool(template), by_script(template, "sh")
    assert tool.landed == ["tidy", "union", "fresh"]
    assert tool.blocked == {"dependant", "late"}
    assert tool.evicted.keys() == {"conflict", "red", "protected", "outside", "empty", "quiet"}
    assert script == tool
