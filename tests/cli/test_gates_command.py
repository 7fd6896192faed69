"""``gates``: what is declared, how it went, and the results that are reused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Orchestra, valid_json
from tests.conftest import Checkout, MakeRepository

BLUEPRINT = """\
version: 1
name: shop
worktrees: {root: ../wt}
limits: {gates: 1}  # slots at the same time would race for the file "seen" of the flaky gate
gates:
  notes: {builtin: notes, policy: warn}
  tests: {run: "[ ! -e RED ]"}
  web: {run: ["true"], when: ["web/**"]}
  flaky: {run: "[ -e ../seen ] || { touch ../seen; exit 1; }", retries: 1}
runner: {kind: none}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}]
"""


@pytest.fixture
def shop(make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    checkout = make_repository({"README.md": "# shop\n", "blueprints/shop.yaml": BLUEPRINT})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn", "--yes")[0] == 0
    for name, file in (("one", "a.txt"), ("two", "RED")):
        place = valid_json(orchestra("path", name, "--json")[1], "path.schema.json")["worktree"]
        Checkout(Path(place)).commit("work", {file: "1\n"})
    return checkout


@pytest.mark.usefixtures("shop")
def test_history_counts_runs_failures_and_flakes(orchestra: Orchestra) -> None:
    assert "no run recorded: notes, tests, web, flaky" in orchestra("gates", "--history")[2]
    assert orchestra("rebase-and-test", "one")[0] == 0
    assert orchestra("rebase-and-test", "two")[0] == 1
    rows = valid_json(orchestra("gates", "--json")[1], "gates.schema.json")["gates"]
    counts = {row["name"]: (row["passed"], row["failed"], row["flaky"]) for row in rows}
    assert counts["web"] == (0, 0, 0)
    assert counts["flaky"] == (2, 1, 1)  # the target alone ran it, too
    assert counts["tests"][1] == 2  # a red counts after a second run
    _, out, err = orchestra("gates", "--history")
    assert "1 (33%)" in out
    assert "no run recorded: notes, web" in err


@pytest.mark.usefixtures("shop")
def test_reusable_results_are_listed_and_deleted(orchestra: Orchestra) -> None:
    assert orchestra("rebase-and-test", "one")[0] == 0
    out = orchestra("gates", "--cached")[1]
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["flaky", "flaky", "tests", "tests"]
    assert "every candidate" in orchestra("gates")[1]
    assert "changes in web/**" in orchestra("gates")[1]
    assert orchestra("gates", "--clear=tests")[1].startswith("deleted 2 results")
    assert [row["gate"] for row in valid_json(orchestra("gates", "--json")[1], "gates.schema.json")["cached"]] == [
        "flaky",
        "flaky",
    ]
    code, _, err = orchestra("gates", "--clear=testz")
    assert (code, 'no gate "testz"' in err, 'did you mean "tests"?' in err) == (2, True, True)
    assert orchestra("gates", "--clear=all")[1].startswith("deleted 3 results")  # one of them a rehearsed failure
