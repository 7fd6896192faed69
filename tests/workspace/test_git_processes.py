"""Spawn reads the repository once: its git processes do not grow without notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.git_processes import recorded_git_processes
from tests.workspace.conftest import MakeHome, run_spawn

TWO_AGENTS = """\
version: 1
name: demo
target: main
runner: {kind: none}
worktrees: {root: ../worktrees}
gates: {check: {run: "true"}}
agents:
  - {name: one, task: Do one.}
  - {name: two, task: Do two.}
"""
MOST = 15  # eleven are fixed, then one registers each worktree, one checks the first out, one looks for shown files


def test_spawn_of_two_agents_starts_few_git_processes(
    make: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make(TWO_AGENTS)
    with recorded_git_processes(tmp_path, monkeypatch) as processes:
        run_spawn(home)
    assert len(processes) <= MOST, os.linesep.join(processes)
