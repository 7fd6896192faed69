"""Where new worktrees are made: by default in a folder for each repository and fleet."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.git_names import safe_folder_name
from tests.workspace.conftest import MakeHome, run_clean, run_spawn
from tests.workspace.worlds import Home

FLEET = """\
version: 1
name: demo
runner: {kind: none}
agents:
  - {name: schema, task: "Design the schema."}
  - {name: api, task: "Build the API."}
"""


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("shop", "shop"),
        ("my shop", "my-shop"),
        (".dotfiles", "dotfiles"),
        ("-x-", "x"),
        ("a\nb$(c)", "a-b--c"),
        ("größe", "größe"),
        ("\udcff", "\udcff"),
        ("...", "repository"),
    ],
)
def test_the_name_of_a_repository_is_made_safe_for_a_path(name: str, safe: str) -> None:
    assert safe_folder_name(name) == safe


def discarded(home: Home, *names: str) -> None:
    for name in names:
        base = home.checkout.git("rev-parse", f"refs/orchestra/demo/{name}/base")
        home.checkout.git("update-ref", f"refs/orchestra/demo/{name}/discarded", base)


def test_worktrees_are_in_a_folder_for_the_repository_and_the_fleet(make: MakeHome) -> None:
    home = make(FLEET)
    run_spawn(home)
    root = home.path / "worktrees" / "repo" / "demo"
    assert {path.name for path in root.iterdir()} == {"agent-1", "agent-2"}
    discarded(home, "schema", "api")
    run_clean(home)
    assert not (home.path / "worktrees").exists()


def test_clean_leaves_the_folders_that_another_repository_uses(make: MakeHome) -> None:
    home = make(FLEET)
    run_spawn(home)
    (home.path / "worktrees" / "other").mkdir()
    discarded(home, "schema", "api")
    run_clean(home)
    assert [path.name for path in (home.path / "worktrees").iterdir()] == ["other"]


def test_an_existing_worktree_stays_where_it_is_when_the_root_changes(make: MakeHome, tmp_path: Path) -> None:
    home = make(f"worktrees: {{root: ../old}}\n{FLEET}")
    run_spawn(home, ["schema"])
    home.blueprint.write_text(FLEET, "utf-8")
    run_spawn(home)
    fleet = home.fleet()
    places = [fleet.worktree(agent) for agent in fleet.blueprint.agents]
    assert places == [home.path / "old" / "agent-1", home.path / "worktrees" / "repo" / "demo" / "agent-2"]
    assert all((place / "TASK.md").exists() for place in places)
