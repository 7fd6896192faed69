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


@pytest.mark.parametrize("words", [("scripts",), ("scripts", "web"), ("scripts", "--blueprint=blueprints/web.yaml")])
def test_scripts_come_from_the_blueprint_of_the_checkout_where_they_are_written(
    orchestra: Orchestra, repository: Checkout, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    blueprint = (
        "version: 1\nname: web\nworktrees: {root: ../wt}\nrunner: {kind: none}\nagents: [{name: first, task: x}]\n"
    )
    repository.commit("fleet", {"blueprints/web.yaml": blueprint})
    linked = Checkout(repository.path.parent / "linked")
    repository.git("worktree", "add", "-q", "-b", "side", str(linked.path))
    monkeypatch.chdir(repository.path)
    assert orchestra("spawn", "web", "--yes")[0] == 0
    linked.write({"blueprints/web.yaml": blueprint.replace("first", "renamed")})
    monkeypatch.chdir(linked.path)
    code, out, errors = orchestra(*words)
    assert code == 0, errors
    assert out.startswith("written from ")
    assert out.splitlines()[0].endswith("blueprints/web.yaml")
    text = (linked.path / "scripts" / "orchestrate.sh").read_text()
    assert "renamed" in text
