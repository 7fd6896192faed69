"""``check``: the set-up and the gates once on the target, with the first error of what fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Orchestra, valid_json
from tests.conftest import Checkout, MakeRepository

BLUEPRINT = """\
version: 1
name: shop
worktrees: {{root: ../wt, setup: {{run: {setup}}}}}
gates:
  scope: {{builtin: scope}}
  lint: {{run: "test -f made"}}
  tests: {{run: "grep -q good state || {{ echo error: the state is bad; exit 1; }}"}}
  slow: {{run: "echo checked >>../log"}}
runner: {{kind: none}}
agents: [{{name: one, task: Do it., scope: [src/**]}}]
"""


@pytest.fixture
def shop(make_repository: MakeRepository, tmp_path: Path) -> Checkout:
    (tmp_path / "shop.yaml").write_text(BLUEPRINT.format(setup='["touch made"]'))
    return make_repository({"state": "good\n", ".gitignore": "made\n"})


def check(orchestra: Orchestra, shop: Checkout, *words: str) -> tuple[int, str, str]:
    return orchestra("check", "--repo", str(shop.path), "--blueprint=shop.yaml", *words)


def test_a_target_that_passes(orchestra: Orchestra, shop: Checkout) -> None:
    code, out, _ = check(orchestra, shop)
    assert code == 0
    assert out.startswith(f"main at {shop.git('rev-parse', 'HEAD')[:10]}, in ")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["setup", "passed"],
        ["lint", "passed"],
        ["tests", "passed"],
        ["slow", "passed"],
        ["next:", "orchestra"],
    ]
    assert shop.git("status", "--porcelain") == ""
    code, out, _ = check(orchestra, shop)
    assert (code, "setup   kept from an earlier run" in out) == (0, True)


def test_a_gate_that_fails_is_quoted_and_the_others_run(orchestra: Orchestra, shop: Checkout) -> None:
    shop.commit("Break it", {"state": "broken\n"})
    code, out, err = check(orchestra, shop)
    assert code == 1
    assert "      error: the state is bad\n      log: " in out
    assert "  slow   passed" in out
    assert "Nothing can land on main while this fails" in err


def test_without_a_set_up_no_gate_runs(orchestra: Orchestra, shop: Checkout, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(BLUEPRINT.format(setup='["echo npm error no lock file; exit 3", "touch made"]'))
    code, out, _ = check(orchestra, shop, "--json")
    document = valid_json(out, "check.schema.json")
    assert (code, document["passed"], document["skipped"]) == (1, False, ["lint", "tests", "slow"])
    [run] = document["runs"]
    assert (run["name"], run["outcome"], run["reason"]) == ("setup", "failed", "npm error no lock file")


def test_plan_says_when_the_target_last_passed(orchestra: Orchestra, shop: Checkout) -> None:
    def checked(*words: str) -> str:
        out = orchestra("plan", "--repo", str(shop.path), "--blueprint=shop.yaml", *words)[1]
        return next(line for line in out.splitlines() if line.startswith("  checked"))

    assert "never passed: run `orchestra check`" in checked()
    check(orchestra, shop)
    green = shop.git("rev-parse", "HEAD")
    assert "this commit passed set-up and gates" in checked()
    shop.commit("Break it", {"state": "broken\n"})
    check(orchestra, shop)
    assert f"{green[:7]} passed set-up and gates" in checked()


def test_a_repository_without_a_commit_is_refused(orchestra: Orchestra, shop: Checkout, tmp_path: Path) -> None:
    empty = Checkout(tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "-q")
    code, _, err = check(orchestra, empty)
    assert (code, "has no commit yet" in err) == (3, True)
