"""``orchestra adopt``: branches that orchestra did not create, from adoption to landing and clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository

from .conftest import Orchestra, valid_json

BLUEPRINT = """\
version: 1
name: f
target: main
worktrees: {root: ../wt}
runner: {kind: none}
stages: [first, second]
gates: {notes: {builtin: notes}, check: {run: "test ! -e red.txt"}}
agents: [{name: one, stage: first, task: Do it.}]
"""


@pytest.fixture
def checkout(orchestra: Orchestra, make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A repository without a blueprint, and three branches made with git."""
    made = make_repository({"README.md": "# f\n", "Makefile": "test:\n\ttest ! -e red.txt\n"})
    for branch, file in (("feature/login", "login.txt"), ("fix-typo", "typo.txt"), ("broken", "red.txt")):
        made.git("switch", "-q", "-c", branch, "main")
        made.commit(f"work on {branch}", {file: "new\n"})
    made.git("switch", "-q", "main")
    monkeypatch.chdir(made.path)
    return made


def test_branches_of_a_repository_without_a_blueprint_land(checkout: Checkout, orchestra: Orchestra) -> None:
    code, out, _ = orchestra("adopt", "feature/login", "fix-typo", "broken", "--dry-run")
    assert code == 0
    assert f"would write {checkout.path}/blueprints/branches.yaml\n" in out
    assert "fleet branches, landing on main; gates: tests (make test) and secrets\n" in out
    assert "would adopt\n  login: branch feature/login, 1 commit, not checked out\n" in out
    assert not (checkout.path / "blueprints").exists()
    assert checkout.git("for-each-ref", "refs/orchestra/") == ""

    code, out, _ = orchestra("adopt", "feature/login", "fix-typo", "broken")
    assert code == 0
    assert "adopted\n  login: branch feature/login, 1 commit, not checked out\n" in out
    assert out.endswith("next: orchestra review\n")
    status = valid_json(orchestra("status", "--json")[1], "status.schema.json")
    rows = [(row["name"], row["state"], row["adopted"], row["uncommitted_files"]) for row in status["agents"]]
    assert rows == [(name, "finished", True, 0) for name in ("login", "fix-typo", "broken")]
    valid_json(orchestra("plan", "--json")[1], "plan.schema.json")
    assert orchestra("review", "login", "--json")[0] == 0

    assert orchestra("approve", "login", "fix-typo", "broken")[0] == 0
    assert orchestra("merge")[0] == 1
    assert (checkout.path / "login.txt").exists()
    assert (checkout.path / "typo.txt").exists()
    assert not (checkout.path / "red.txt").exists()
    assert orchestra("discard", "broken", "red")[0] == 0
    code, out, _ = orchestra("clean")
    assert (code, out.count("forget ")) == (0, 3)
    branches = checkout.git("for-each-ref", "--format=%(refname:short)", "refs/heads/").splitlines()
    assert branches == ["broken", "feature/login", "fix-typo", "main"]
    assert orchestra("status")[0] == 0
    assert "orchestra adopt BRANCH..." in orchestra("plan")[1]
    code, _, errors = orchestra("scripts")
    assert code == 2
    assert "declares no agent" in errors


def test_branches_join_the_fleet_of_a_blueprint(checkout: Checkout, orchestra: Orchestra, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(BLUEPRINT)
    place = f"--blueprint={tmp_path / 'f.yaml'}"
    code, out, _ = orchestra("adopt", "feature/login", "--stage", "second", "--json", place)
    document = valid_json(out, "adopt.schema.json")
    row = document["adopted"][0]
    assert (code, document["fleet"], row["agent"], row["stage"], row["worktree"]) == (0, "f", "login", "second", None)
    assert orchestra("approve", "login")[0] == 0
    # The gate for notes asks no author who never saw the form.
    assert orchestra("merge", "login")[0] == 1  # one, of the first stage, has to land before it
    merged = valid_json(orchestra("merge", "--json")[1], "merge.schema.json")
    assert [blocked["by"] for blocked in merged["blocked"]] == ["one"]
    assert orchestra("adopt", "fix-typo", place)[0] == 0
    assert orchestra("approve", "fix-typo")[0] == 0
    merged = valid_json(orchestra("merge", "--json")[1], "merge.schema.json")
    assert [landed["gates"] for landed in merged["landed"]] == [{"notes": "passed", "check": "passed"}]


def test_status_offers_the_branch_of_a_renamed_agent_and_its_work_goes_on(
    checkout: Checkout, orchestra: Orchestra, tmp_path: Path
) -> None:
    blueprint = tmp_path / "f.yaml"
    blueprint.write_text(BLUEPRINT)
    assert orchestra("spawn", str(blueprint))[0] == 0
    worktree = orchestra("path", "one")[1]
    Checkout(Path(worktree.strip())).commit("work", {"one.txt": "1\n"})
    blueprint.write_text(BLUEPRINT.replace("name: one", "name: renamed"))
    notes = orchestra("status")[2].splitlines()
    assert notes[0] == f"one has work in this fleet and is no longer declared in {blueprint}"
    command = "orchestra adopt agent/f/one --as renamed"
    assert notes[1:] == [
        "  to land its branch all the same: orchestra adopt agent/f/one",
        f"  or before renamed is spawned, if that is its new name: {command}",
    ]
    assert orchestra(*command.split()[1:])[0] == 0
    assert orchestra("path", "renamed")[1] == worktree
    assert "no longer declared" not in orchestra("status")[2]


def test_a_refusal_of_one_of_several_branches(checkout: Checkout, orchestra: Orchestra) -> None:
    code, out, _ = orchestra("adopt", "feature/login", "main", "--json")
    document = valid_json(out, "adopt.schema.json")
    assert (code, [row["branch"] for row in document["refused"]]) == (1, ["main"])
    code, _, errors = orchestra("adopt", "feature/login")
    assert code == 0
    assert "feature/login was adopted before, as agent login" in errors
    code, _, errors = orchestra("adopt", "main")
    assert code == 2
    assert "main is the target of fleet branches" in errors
    code, _, errors = orchestra("adopt", "fix-typo", "broken", "--as", "x")
    assert code == 2
    assert "--as names the agent of one branch" in errors
    assert orchestra("adopt", "fix-typo", "--stage", "api")[0] == 2


def test_changes_are_requested_without_a_file_in_the_authors_worktree(checkout: Checkout, orchestra: Orchestra) -> None:
    mine = checkout.path.parent / "mine"
    checkout.git("worktree", "add", "-q", str(mine), "fix-typo")
    assert orchestra("adopt", "fix-typo")[0] == 0
    code, out, _ = orchestra("request-changes", "fix-typo", "say why")
    assert code == 0
    assert "TASK.md" not in out
    assert Checkout(mine).git("status", "--porcelain") == ""
    assert "say why" in orchestra("review", "fix-typo")[1]
    Checkout(mine).commit("answer", {"why.txt": "because\n"})
    assert valid_json(orchestra("status", "--json")[1], "status.schema.json")["agents"][0]["verdict"] == "answered"


def test_a_discarded_branch_is_taken_in_again(checkout: Checkout, orchestra: Orchestra) -> None:
    assert orchestra("adopt", "fix-typo")[0] == 0
    code, _, errors = orchestra("discard", "fix-typo", "not now")
    assert code == 0
    assert "its branch fix-typo stays as it is; to take it in again: orchestra restore fix-typo" in errors
    assert orchestra("restore", "fix-typo", "--json")[0] == 0
    assert orchestra("restore", "fix-typo")[1] == "Nothing to restore: fix-typo is on its branch fix-typo.\n"
    assert orchestra("approve", "fix-typo")[0] == 0
    assert orchestra("start", "fix-typo")[0] == 0
    code, _, errors = orchestra("path", "fix-typo")
    assert code == 3
    assert "branch fix-typo is not checked out" in errors


def test_a_persons_own_instruction_files_land(checkout: Checkout, orchestra: Orchestra) -> None:
    checkout.git("switch", "-q", "fix-typo")
    checkout.commit("guide", {"CLAUDE.md": "# Guide\n", "TASK.md": "mine\n"})
    checkout.git("switch", "-q", "main")
    assert orchestra("adopt", "fix-typo")[0] == 0
    assert orchestra("approve", "fix-typo")[0] == 0
    assert orchestra("merge")[0] == 0
    assert (checkout.path / "CLAUDE.md").read_text() == "# Guide\n"
    assert (checkout.path / "TASK.md").read_text() == "mine\n"


@pytest.mark.parametrize("is_adopted", [True, False], ids=["adopted", "spawned"])
def test_work_that_a_revert_took_off_the_target_lands_again(
    checkout: Checkout, orchestra: Orchestra, tmp_path: Path, is_adopted: bool
) -> None:
    (tmp_path / "f.yaml").write_text(BLUEPRINT.replace("notes: {builtin: notes}, ", ""))
    if is_adopted:
        name = "fix-typo"
        assert orchestra("adopt", "fix-typo", f"--blueprint={tmp_path / 'f.yaml'}")[0] == 0
    else:
        name = "one"
        assert orchestra("spawn", f"--blueprint={tmp_path / 'f.yaml'}", "--yes")[0] == 0
        worktree = Checkout(Path(orchestra("path", "one")[1].strip()))
        worktree.commit("work", {"typo.txt": "new\n"})
    assert orchestra("approve", name)[0] == 0
    assert orchestra("merge")[0] == 0
    checkout.git("revert", "--no-edit", "HEAD")
    row = next(
        row for row in valid_json(orchestra("status", "--json")[1], "status.schema.json")["agents"] if row["landed"]
    )
    assert row["state_reason"] == "no longer on the target: its changes were reverted"
    assert not (checkout.path / "typo.txt").exists()
    assert orchestra("approve", name)[0] == 0
    assert orchestra("merge")[0] == 0
    assert (checkout.path / "typo.txt").read_text() == "new\n"


def test_a_forgotten_branch_that_was_reverted_is_adopted_and_lands_again(
    checkout: Checkout, orchestra: Orchestra
) -> None:
    for _ in range(2):
        assert orchestra("adopt", "fix-typo")[0] == 0
        assert orchestra("approve", "fix-typo")[0] == 0
        assert orchestra("merge")[0] == 0
        assert (checkout.path / "typo.txt").exists()
        assert orchestra("clean")[0] == 0
        checkout.git("revert", "--no-edit", "HEAD")
