"""Hostile situations: no verb ends in a traceback, runs a foreign program, changes what is outside, or loses work.

By default the same two situations of each kind; ORCHESTRA_SITUATIONS=N plays N random ones of each, and
ORCHESTRA_ALL_POINTS=1 all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.adversary.play import Phase, forget, play, prepare
from tests.adversary.situations import GROUPS
from tests.adversary.world import World

SAMPLE = os.environ.get("ORCHESTRA_SITUATIONS")
SAMPLED = ("files", "configuration", "refs", "commits", "worktrees", "times")  # the others only with all
ALL = bool(os.environ.get("ORCHESTRA_ALL_POINTS"))


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Phase, World]:
    """Return a prepared fleet in each phase."""
    return prepare(tmp_path_factory.mktemp("starts"))


@pytest.mark.timeout(14400 if ALL else 900)
@pytest.mark.parametrize("group", GROUPS if ALL else SAMPLED)
def test_a_hostile_situation_breaks_no_promise(group: str, starts: Mapping[Phase, World], tmp_path: Path) -> None:
    situations = [s for s in GROUPS[group]() if not s.needs_root or os.geteuid() == 0]
    draw = random.Random(None if SAMPLE else group)  # noqa: S311
    chosen = situations if ALL else draw.sample(situations, min(int(SAMPLE or 2), len(situations)))
    for number, situation in enumerate(chosen):
        folder = tmp_path / str(number)
        print(f"{situation}")  # shown when it fails
        play(situation, starts[situation.phase], folder)
        forget(folder)
