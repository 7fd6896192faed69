"""Spawn reads the repository once: its git processes do not grow without notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
MOST = 14  # ten are fixed, then one registers each worktree, one checks the first out, one looks for shown files


def test_spawn_of_two_agents_starts_few_git_processes(
    make: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make(TWO_AGENTS)
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    run_spawn(home)
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    starts = [line for line in trace.read_text().splitlines() if '"event":"start"' in line]
    own = [line for line in starts if "/" not in line.split('"sid":"')[1].split('"')[0]]  # not git's own children
    assert len(own) <= MOST, os.linesep.join(line.split('"argv":')[1][:150] for line in own)
