"""A blueprint that came with a repository executes nothing before a person has trusted its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Orchestra
from tests.conftest import Checkout, MakeRepository

BLUEPRINT = """\
version: 1
name: demo
target: main
runner: {kind: none}
worktrees: {root: ../worktrees, setup: {run: ["echo ran >> ../ran"]}}
agents: [{name: one, task: Do it.}]
"""


@pytest.fixture
def clone(make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checkout:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return make_repository({"blueprints/demo.yaml": BLUEPRINT})


def ran(clone: Checkout) -> bool:
    return (clone.path.parent / "worktrees" / "ran").exists()


def test_an_untrusted_blueprint_runs_nothing(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    code, _, err = orchestra("spawn", *words)
    assert code == 2
    assert "echo ran >> ../ran" in err
    assert "orchestra trust --yes" in err
    assert not ran(clone)
    assert orchestra("spawn", "--dry-run", *words)[0] == 0


def test_trust_holds_until_a_command_changes(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("trust", "--yes", *words)[0] == 0
    assert orchestra("spawn", *words)[0] == 0
    assert ran(clone)
    changed = BLUEPRINT.replace("echo ran", "echo changed")
    clone.commit("change a command", {"blueprints/demo.yaml": changed.replace("Do it.", "Do more.")})
    code, _, err = orchestra("start", *words)
    assert code == 2
    assert "echo changed" in err


def test_a_task_may_change_without_a_new_question(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("spawn", "--yes", *words)[0] == 0
    clone.commit("another task", {"blueprints/demo.yaml": BLUEPRINT.replace("Do it.", "Do more.")})
    assert orchestra("spawn", *words)[0] == 0


def test_a_blueprint_outside_the_repository_is_the_persons_own(
    clone: Checkout, orchestra: Orchestra, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(BLUEPRINT)
    assert orchestra("spawn", "--repo", str(clone.path), f"--blueprint={own}")[0] == 0


def test_the_commit_that_was_reviewed_is_named(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    orchestra("spawn", "--yes", *words)
    agent = Checkout(clone.path.parent / "worktrees" / "agent-1")
    reviewed = agent.commit("work", {"a.txt": "a"})
    agent.commit("more work", {"b.txt": "b"})
    assert orchestra("approve", f"one@{reviewed}", *words)[0] == 2
    assert orchestra("approve", "one", f"--commit={reviewed}", *words)[0] == 2
    assert orchestra("approve", f"one@{agent.git('rev-parse', 'HEAD')}", *words)[0] == 0
