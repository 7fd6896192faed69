"""Every verb prints one document with --json that validates against its schema, and nothing else on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestra.blueprint.load import shipped_data_folder
from orchestra.cli import ns
from orchestra.cli.program import orchestra_tasks
from tests.conftest import Checkout, MakeRepository

from .conftest import Orchestra, valid_json

SCHEMAS = shipped_data_folder() / "schemas"
RUNS_IN_A_FOLDER_OF_ITS_OWN = {"demo"}
PRINTS_A_FILE = {"completion", "json-schema"}
DEVELOPMENT = {"test", "lint", "bench"}  # in a clone only
COMMAND = '{kind: command, command: ["true"]}'
SHARED_SCHEMA = {"rehearse": "merge", "rebase-and-test": "merge"}
BLUEPRINT = """\
version: 1
name: f
worktrees: {root: ../wt}
runner: {kind: command, command: ["true"]}
gates: {check: {run: "true"}}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}]
"""


def test_every_verb_with_json_has_a_schema() -> None:
    verbs = set(orchestra_tasks(ns)) - RUNS_IN_A_FOLDER_OF_ITS_OWN - PRINTS_A_FILE - DEVELOPMENT
    without_json = [name for name in verbs if "json" not in ns[name].verb.shared]
    without_schema = [v for v in verbs if not (SCHEMAS / f"{SHARED_SCHEMA.get(v, v)}.schema.json").exists()]
    assert (without_json, without_schema) == ([], [])


def test_the_documents_of_a_fleets_life(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_repository({"README.md": "# f\n", "src/a.py": "print()\n"})
    monkeypatch.chdir(checkout.path)

    def document(verb: str, *words: str, code: int = 0) -> dict[str, object]:
        ended, out, err = orchestra(verb, *words, "--json")
        assert ended == code, err
        found: dict[str, object] = valid_json(out, f"{SHARED_SCHEMA.get(verb, verb)}.schema.json")
        return found

    assert document("init", "--name=f")["written"]
    (checkout.path / "blueprints" / "f.yaml").write_text(BLUEPRINT)
    document("validate")
    document("plan")
    document("trust", "--yes")
    document("spawn", "--dry-run")
    assert document("spawn", "--yes")["started"] is None
    assert document("next") == {"fleet": "f", "waiting": [], "next": "start"}
    assert document("path", "one")["branch"] == "agent/f/one"
    document("stop")
    document("attach", "one")
    one = Checkout(Path(str(document("path", "one")["worktree"])))
    one.write({"AGENT_NOTES.md": "# Notes\n\n## What I Built\n\nA thing.\n"})
    one.commit("work", {"one.txt": "1\n"})
    assert document("next")["next"] == "review one"
    document("review", "one")
    document("rebase-and-test", "one")
    document("request-changes", "one", "more")
    document("approve", "one")
    document("rehearse", code=0)
    document("merge")
    document("discard", "two", "not wanted")
    document("status")
    assert document("status", "--conflicts")["conflicts"]["pairs"] == []  # type: ignore[index]
    disk = document("status", "--disk")["disk"]
    assert isinstance(disk, dict) and [row["name"] for row in disk["agents"]] == ["one", "two"]
    assert [agent["name"] for agent in document("report")["agents"]] == ["one", "two"]  # type: ignore[attr-defined]
    document("clean", "one")
    assert [slot["reason"] for slot in document("clean", "--gates", "--dry-run")["slots"]] == [""]  # type: ignore[attr-defined]
    assert document("clean", "--gates")["steps"]
    document("scripts")
    document("doctor")
    document("blueprints")
    document("check")
    assert [gate["runs"] for gate in document("gates")["gates"]] == [1]  # type: ignore[attr-defined]
    assert document("gates", "--clear=check")["deleted"] == 1
    document("version")
    assert {"name": "merge"}.items() <= document("help", "merge")["verbs"][0].items()  # type: ignore[index]


def test_logs_and_start_have_documents(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_repository({"blueprints/f.yaml": BLUEPRINT.replace(COMMAND, "{kind: none}")})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn", "--yes")[0] == 0
    started = valid_json(orchestra("start", "one", "--json")[1], "start.schema.json")
    assert [row["agent"] for row in started["by_hand"]] == ["one"]
    code, out, err = orchestra("logs", "one", "--json")
    assert (code, out) == (2, "")
    assert "one has had no session yet" in err
    schema = json.loads((SCHEMAS / "logs.schema.json").read_text())
    assert schema["required"] == ["fleet", "agents"]
