"""Git hooks that a repository expects and agents' worktrees lack."""

from __future__ import annotations

import json

from orchestra.blueprint.load import load_blueprint
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.finding import Code
from orchestra.plan.plan import plan
from tests.conftest import Checkout, MakeRepository

AGENTS = "version: 1\nname: demo\ntarget: main\nagents:\n  - {name: api, task: x, scope: [src/**]}\n"
HUSKY = {
    "package.json": json.dumps({"scripts": {"prepare": "husky"}}),
    "package-lock.json": "{}",
    ".husky/pre-commit": "npm test\n",
    ".gitignore": ".husky/_\n",
}


def missing_hooks(checkout: Checkout, *, setup: str = "") -> list[str]:
    more = f"worktrees: {{setup: {{run: [{setup!r}]}}}}\n" if setup else ""
    path = checkout.path.parent / "demo.yaml"
    path.write_text(AGENTS + more, "utf-8")
    fleet = make_fleet(Repository.discover(checkout.path), load_blueprint(path))
    return [finding.message for finding in plan(fleet).findings if finding.code is Code.HOOKS_MISSING]


def test_an_ignored_hooks_folder_is_missing_unless_the_set_up_makes_it(make_repository: MakeRepository) -> None:
    checkout = make_repository(HUSKY)
    checkout.git("config", "core.hooksPath", ".husky/_")
    expected = "git takes its hooks from .husky/_, which is not tracked: agents' commits skip them"
    assert missing_hooks(checkout) == [expected]
    assert missing_hooks(checkout, setup="npm ci --ignore-scripts") == [expected]
    assert missing_hooks(checkout, setup="npm ci --prefer-offline") == []


def test_a_tracked_hooks_folder_is_in_every_worktree(make_repository: MakeRepository) -> None:
    checkout = make_repository({".githooks/pre-commit": "true\n"})
    checkout.git("config", "core.hooksPath", ".githooks")
    assert missing_hooks(checkout) == []


def test_tools_that_were_never_installed_are_named(make_repository: MakeRepository) -> None:
    checkout = make_repository({**HUSKY, ".pre-commit-config.yaml": "", "lefthook.yml": ""})
    assert missing_hooks(checkout) == [
        "lefthook.yml expects hooks of lefthook, and none are installed: commits skip them",
        ".pre-commit-config.yaml expects hooks of pre-commit, and none are installed: commits skip them",
        ".husky has the hooks pre-commit, and husky is not installed here: commits skip them",
    ]
    hooks = checkout.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-commit").write_text("#!/bin/sh\n", "utf-8")
    assert missing_hooks(checkout) == []
