"""Commands that write files write them into the worktree where they run."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Orchestra
from tests.conftest import Checkout


def test_init_and_scripts_write_into_the_linked_worktree(
    orchestra: Orchestra, repository: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("some code", {"src/app.py": "print()\n"})
    linked = repository.path.parent / "linked"
    repository.git("worktree", "add", "-q", "-b", "side", str(linked))
    monkeypatch.chdir(linked)
    before = sorted(repository.path.iterdir())
    code, _, errors = orchestra("init", "--name=web")
    assert code == 0, errors
    assert (linked / "blueprints" / "web.yaml").exists()
    code, _, errors = orchestra("scripts", "--blueprint=web")
    assert code == 0, errors
    assert (linked / "scripts" / "orchestrate.sh").exists()
    assert sorted(repository.path.iterdir()) == before
    assert orchestra("validate", "--blueprint=web")[0] == 0
