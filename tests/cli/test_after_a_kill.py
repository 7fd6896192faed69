"""What a merge that was killed right after its swap left open is finished by whatever command comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.train.landing_journal import Landing, journal_path, write_journal
from tests.cli.conftest import Orchestra
from tests.conftest import Checkout, MakeRepository

BLUEPRINT = """\
version: 1
name: demo
target: main
runner: {kind: none}
agents:
  - {name: one, task: Do one thing.}
"""


@pytest.fixture
def cut_off(make_repository: MakeRepository, tmp_path: Path, orchestra: Orchestra) -> Checkout:
    """The target has moved to the agent's commit; neither the landed ref nor the checkout knows."""
    checkout = make_repository({"a": "a\n", "blueprints/demo.yaml": BLUEPRINT})
    assert orchestra("spawn", "--repo", str(checkout.path), "--blueprint", "demo")[0] == 0
    old = CommitId(checkout.git("rev-parse", "main"))
    new = CommitId(Checkout(tmp_path / "worktrees/repo/demo" / "agent-1").commit("work", {"b": "b\n"}))
    checkout.git("update-ref", "refs/orchestra/demo/one/approved", new)
    checkout.git("update-ref", "refs/orchestra/demo/one/candidate", new)
    write_journal(
        Repository.discover(checkout.path).state_folder, Landing("demo", "main", old, new, {AgentName("one"): new}, {})
    )
    checkout.git("update-ref", "refs/heads/main", new, old)
    return checkout


@pytest.mark.parametrize("command", ["clean", "spawn"])
def test_the_next_command_finishes_it(cut_off: Checkout, orchestra: Orchestra, command: str) -> None:
    code, _, err = orchestra(command, "--repo", str(cut_off.path))
    assert code == 0, err
    assert "finished landing one" in err
    assert cut_off.git("rev-parse", "refs/orchestra/demo/one/landed") == cut_off.git("rev-parse", "main")
    assert not journal_path(Repository.discover(cut_off.path).state_folder).exists()
    assert cut_off.git("status", "--porcelain", "--untracked-files=no") == ""
    assert (cut_off.path / "b").read_text() == "b\n"


def test_clean_then_takes_the_place_back(cut_off: Checkout, orchestra: Orchestra, tmp_path: Path) -> None:
    assert orchestra("clean", "--repo", str(cut_off.path))[0] == 0
    assert not (tmp_path / "worktrees/repo/demo" / "agent-1").exists()
    assert cut_off.git("branch", "--list", "agent/*") == ""


def test_a_dry_run_finishes_nothing(cut_off: Checkout, orchestra: Orchestra) -> None:
    before = cut_off.git("for-each-ref")
    assert orchestra("clean", "--dry-run", "--repo", str(cut_off.path))[0] == 0
    assert cut_off.git("for-each-ref") == before
