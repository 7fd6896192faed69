"""The plan as a person types it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Orchestra, valid_json
from tests.conftest import Checkout, MakeRepository

FLEET = """\
version: 1
name: pair
target: main
runner: {kind: none}
limits: {gates: 1}
agents:
  - {name: one, task: Do this, scope: [src/**]}
  - {name: two, task: Do that, scope: [src/b/**], merge_after: [one]}
"""


@pytest.fixture
def ground(make_repository: MakeRepository, tmp_path: Path) -> Path:
    """A repository with the fleet in it; ``--repo`` for every call."""
    return make_repository({"blueprints/pair.yaml": FLEET, "src/a": "1", "src/b/c": "2"}).path


def test_the_plan_goes_to_standard_output_with_places_to_jump_to(orchestra: Orchestra, ground: Path) -> None:
    code, out, err = orchestra("plan", "--all", "--repo", str(ground), "--blueprint=pair")
    assert (code, err) == (0, "")
    assert out.startswith("plan of pair\n  blueprint  blueprints/pair.yaml\n  target     main at ")
    assert "\n  critical path: one -> two (2 of 2 agents land one after another)\n" in out
    assert "\n1 warning\n  blueprints/pair.yaml:7:40: warning: one and two may both change src/b/x: " in out
    assert out.endswith(f"\nnext: orchestra spawn pair --repo={ground}\n")


def test_what_spawn_would_do_is_part_of_it_and_nothing_is_done(orchestra: Orchestra, ground: Path) -> None:
    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in ground.parent.rglob("*") if path.is_file()}

    before = everything()
    _, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair")
    assert "\nspawn would\n" in out
    assert "\n  git worktree add --lock ../worktrees/repo/pair/agent-1 agent/pair/one\n" in out
    assert "\n  remember blueprints/pair.yaml as the fleet spawned last\n" in out
    assert " for two (spawn --dry-run shows them)\n" in out
    assert everything() == before
    assert not (ground.parent / "worktrees").exists()


def test_a_branch_of_somebody_else_ends_with_3(orchestra: Orchestra, ground: Path) -> None:
    Checkout(ground).git("branch", "agent/pair/one")
    code, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair")
    assert code == 3
    assert "[spawn-refused]" in out


def test_an_error_ends_with_2(orchestra: Orchestra, ground: Path) -> None:
    (ground / "blueprints" / "pair.yaml").write_text(f"overlap: error\n{FLEET}")
    code, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair")
    assert code == 2
    assert "\n\n1 error\n  blueprints/pair.yaml:8:40: error: one and two may both change " in out
    code, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair", "--json")
    assert (code, valid_json(out, "plan.schema.json")["findings"][0]["severity"]) == (2, "error")


def test_json(orchestra: Orchestra, ground: Path) -> None:
    code, out, err = orchestra("plan", "--repo", str(ground), "--blueprint=pair", "--json")
    assert (code, err) == (0, "")
    document = valid_json(out, "plan.schema.json")
    assert document["merge_order"] == ["one", "two"]
    (finding,) = document["findings"]
    assert (finding["code"], finding["line"], finding["paths"]) == ("scope-overlap", 7, ["src/b/c"])


@pytest.mark.parametrize(
    ("graph", "first"), [("text", "  1 one"), ("mermaid", "flowchart LR"), ("dot", 'digraph "pair" {')]
)
def test_graph(orchestra: Orchestra, ground: Path, graph: str, first: str) -> None:
    code, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair", f"--graph={graph}")
    assert (code, out.splitlines()[0]) == (0, first)


def test_resolved(orchestra: Orchestra, ground: Path) -> None:
    code, out, _ = orchestra("plan", "--repo", str(ground), "--blueprint=pair", "--resolved")
    assert code == 0
    assert "name: pair  # blueprints/pair.yaml:2\n" in out
    assert yaml.safe_load(out)["agents"][1]["scope"] == ["src/b/**"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--graph=svg"], "no graph 'svg'"),
        (["--graph=dot", "--json"], "each show one thing"),
        (["--resolved", "--json"], "each show one thing"),
    ],
)
def test_flags_that_make_no_sense(orchestra: Orchestra, ground: Path, flags: list[str], said: str) -> None:
    code, out, err = orchestra("plan", "--repo", str(ground), "--blueprint=pair", *flags)
    assert (code, out) == (2, "")
    assert said in err


def test_a_name_from_the_repository_cannot_move_the_cursor(
    orchestra: Orchestra, make_repository: MakeRepository
) -> None:
    made = make_repository({"blueprints/pair.yaml": FLEET, "src/b/\x1b[2J": "x"})
    _, out, _ = orchestra("plan", "--all", "--repo", str(made.path), "--blueprint=pair")
    assert "\x1b" not in out
    assert "src/b/^[[2J" in out


def test_init_writes_nothing_into_a_bare_repository(orchestra: Orchestra, ground: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    Checkout(ground).git("clone", "--quiet", "--bare", str(ground), str(bare))
    before = sorted(bare.iterdir())
    code, out, err = orchestra("init", "--repo", str(bare))
    assert (code, out) == (3, "")
    assert f"{bare} is a bare repository" in err
    assert sorted(bare.iterdir()) == before


def test_a_pipe_in_place_of_a_blueprint_is_refused(orchestra: Orchestra, ground: Path) -> None:
    (ground / "blueprints/pair.yaml").unlink()
    os.mkfifo(ground / "blueprints/pair.yaml")
    code, _, err = orchestra("plan", "--repo", str(ground), "--blueprint=pair")
    assert (code, 'no blueprint "pair"' in err) == (2, True)
    code, _, err = orchestra("plan", "--repo", str(ground), f"--blueprint={ground}/blueprints/pair.yaml")
    assert (code, "is not a regular file" in err) == (2, True)
