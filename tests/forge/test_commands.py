"""The commands of a person whose fleet lands through a pull request, from plan to clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Orchestra, orchestra, valid_json
from tests.conftest import Checkout
from tests.forge.conftest import BRANCH, ForgeWorld

__all__ = ["orchestra"]
BLUEPRINT = """\
version: 1
name: demo
worktrees: {root: ../trees, branch: "work/{{ agent.name }}"}
runner: {kind: none}
gates: {check: {run: "! grep -rq RED *.txt"}}
merge: {via: pull-request, train: serial}
agents: [{name: api, task: Do it.}, {name: docs, task: Do it.}, {name: auth, task: Do it.}]
"""


def test_from_plan_to_clean(forge: ForgeWorld, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = forge.train.checkout
    monkeypatch.chdir(checkout.path)
    (checkout.path / "blueprints").mkdir()
    (checkout.path / "blueprints" / "demo.yaml").write_text(BLUEPRINT, "utf-8")
    (checkout.path / ".git" / "info").mkdir(exist_ok=True)
    (checkout.path / ".git" / "info" / "exclude").write_text("blueprints/\n", "utf-8")

    def run(*words: str, code: int = 0) -> str:
        ended, out, err = orchestra(*words)
        assert ended == code, (words, out, err)
        return out

    # Before the work: what will be pushed and opened.
    assert f"pushes what passed to {BRANCH} on origin" in " ".join(run("plan", "demo", "--all").split())
    findings = valid_json(run("doctor", "--json"), "doctor.schema.json")
    assert "gh is logged in to 127.0.0.1" in str(findings)
    run("trust", "--yes")
    run("spawn", "--yes")
    for name, files in {"api": {"api.py": "1\n"}, "docs": {"docs.txt": "RED\n"}, "auth": {"auth.py": "2\n"}}.items():
        Checkout(Path(run("path", name).strip())).commit(f"{name} works", files)
        run("approve", name)
    rehearsed = valid_json(run("rehearse", "--json", code=1), "merge.schema.json")
    assert (rehearsed["pull_request"]["action"], rehearsed["rehearsed"]) == ("opened", True)
    assert forge.server.tip(BRANCH) == ""

    # The pull request.
    text = run("merge", code=1)
    assert "api: pushed as " in text
    assert "docs: evicted, gate: " in text
    assert "opened pull request 12: https://forge.example/acme/shop/pull/12" in text
    assert forge.server.tip(BRANCH) == rehearsed["pull_request"]["commit"]
    again = valid_json(run("merge", "--json", code=1), "merge.schema.json")
    assert [item["agent"] for item in again["in_pull_request"]] == ["api", "auth"]
    assert (again["pull_request"]["number"], again["landed"], again["pushed"]) == (12, [], False)
    assert "#12 open" in run("status")
    assert valid_json(run("status", "--json"), "status.schema.json")["pull_request"]["agents"] == ["api", "auth"]

    # A comment sends one of them back, and the other is merged.
    comment: dict[str, object] = {
        "user": {"login": "ada"},
        "body": "Rename it.",
        "author_association": "OWNER",
        "path": "auth.py",
    }
    comment |= {"line": 1, "original_line": 1, "created_at": "2099-01-01T00:00:00Z"}
    forge.change(comments={"pulls/12/comments": [comment]})
    assert "TASK.md updated." in run("request-changes", "auth", "--from-pr")
    assert "ada, auth.py, line 1:\n> Rename it." in (Path(run("path", "auth").strip()) / "TASK.md").read_text("utf-8")
    assert "auth in it no longer approved as pushed: orchestra merge" in run("status")
    run("merge", code=1)
    forge.merge("squash")
    assert "orchestra merge records what landed" in run("status")
    assert "nothing to merge" not in run("merge", code=1)
    assert run("clean").count("api") >= 1
    status = valid_json(run("status", "--json"), "status.schema.json")
    assert status["agents"][0]["state"] == "landed"
    assert checkout.git("rev-parse", "main") == forge.server.tip("main")


def test_the_scripts_do_not_land_past_the_pull_request(
    forge: ForgeWorld, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(forge.train.checkout.path)
    (forge.train.checkout.path / "demo.yaml").write_text(BLUEPRINT, "utf-8")
    code, _, err = orchestra("scripts", "--blueprint=demo.yaml")
    assert (code, "demo lands through a pull request, which the scripts cannot open" in err) == (2, True)
    (forge.train.checkout.path / "demo.yaml").write_text(BLUEPRINT.replace("train: serial", "push: true"), "utf-8")
    code, _, err = orchestra("validate", "demo.yaml")
    assert code == 2
    assert "merge.push: the target cannot be pushed where it moves through a pull request" in err
