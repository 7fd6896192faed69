"""The file with an agent's ports is the agent's own: it does not land, even where the agent commits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository

from .conftest import Orchestra

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt, setup: {ports: [WEB]}}
runner: {kind: none}
agents: [{name: one, task: Do it.}]
"""


def test_a_ports_file_that_the_agent_committed_does_not_land(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT, "a.txt": "a\n"})
    monkeypatch.chdir(checkout.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert orchestra("spawn")[0] == 0
    worktree = Checkout(checkout.path.parent / "wt/agent-1")
    worktree.write({"one.txt": "one\n"})
    worktree.git("add", "--force", ".orchestra.env", "one.txt")
    worktree.git("commit", "--quiet", "--message", "work and ports")
    assert orchestra("approve", "one")[0] == 0
    code, _, err = orchestra("merge")
    assert code == 0, err
    assert checkout.tree("main") == ["a.txt", "blueprints/f.yaml", "one.txt"]
