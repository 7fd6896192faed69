"""Listing, validating and the schema, through the program a person types."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from tests.cli.conftest import Orchestra, valid_json
from tests.conftest import MakeRepository

GOOD = """\
version: 1
name: pair
title: Two agents
agents:
  - {name: one, task: Do this}
  - {name: two, task: Do that}
"""
BAD = "version: 1\nname: pair\nagnets: []\nlimits: {agents: many}\n"


def test_blueprints_lists_the_shipped_ones_anywhere(orchestra: Orchestra) -> None:
    code, out, err = orchestra("blueprints")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert rows["mvp5"].startswith("mvp5 ")
    assert "5-agent MVP" in rows["mvp5"]
    assert rows["mvp5"].endswith("shipped")
    assert not [name for name in rows if "standards" in name]


def test_a_repositorys_own_blueprints_come_first_and_hide_shipped_ones(
    orchestra: Orchestra, make_repository: MakeRepository
) -> None:
    made = make_repository({"blueprints/mvp5.yaml": GOOD, "blueprints/bad.yaml": BAD, "sub/x": ""})
    code, out, _ = orchestra("blueprints", "--repo", str(made.path / "sub"))
    assert code == 0
    listed = valid_json(orchestra("blueprints", "--repo", str(made.path), "--json")[1], "blueprints.schema.json")
    assert [(each["name"], each["shipped"]) for each in listed["blueprints"][:2]] == [("bad", False), ("mvp5", False)]
    assert listed["blueprints"][1]["agents"] == ["one", "two"]
    assert [each["name"] for each in listed["blueprints"]].count("mvp5") == 1
    assert len(listed["blueprints"][0]["problems"]) >= 2
    assert "see orchestra validate" in out


def test_blueprints_can_show_one(orchestra: Orchestra, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert "Two agents" in orchestra("blueprints", "--blueprint=mine.yaml")[1]
    names = [
        each["name"] for each in json.loads(orchestra("blueprints", "--blueprint=mvp5", "--json")[1])["blueprints"]
    ]
    assert names == ["mvp5"]


def test_a_repository_that_was_named_has_to_be_one(orchestra: Orchestra, tmp_path: Path) -> None:
    code, out, err = orchestra("blueprints", "--repo", str(tmp_path))
    assert (code, out) == (3, "")
    assert "is not inside a git repository" in err


def test_validate_says_that_a_blueprint_is_valid(orchestra: Orchestra, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    code, out, err = orchestra("validate", "--blueprint=mine.yaml")
    assert (code, err) == (0, "")
    assert "mine.yaml: valid" in out
    assert "merge order: one, two" in out


def test_validate_shows_every_problem_where_an_editor_finds_it(orchestra: Orchestra, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    code, out, err = orchestra("validate", "--blueprint=bad.yaml")
    assert (code, out) == (2, "")
    problems = [line for line in err.splitlines() if not line.startswith(" ")]
    assert all(line.startswith("bad.yaml:") for line in problems)
    assert any(line.startswith("bad.yaml:3:1:") for line in problems)
    assert any(line.startswith("bad.yaml:4:18:") for line in problems)
    assert 'did you mean "agents"' in err


def test_validate_as_json_is_one_document_either_way(orchestra: Orchestra, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    code, out, err = orchestra("validate", "--blueprint=good.yaml", "--json")
    assert (code, err) == (0, "")
    assert valid_json(out, "validate.schema.json")["valid"] is True
    code, out, err = orchestra("validate", "--blueprint=bad.yaml", "--json")
    assert (code, err) == (2, "")
    document = valid_json(out, "validate.schema.json")
    assert document["valid"] is False
    assert {problem["file"] for problem in document["problems"]} == {str(tmp_path / "bad.yaml")}


def test_validate_needs_a_blueprint_where_nothing_was_spawned(orchestra: Orchestra) -> None:
    code, out, err = orchestra("validate")
    assert (code, out) == (2, "")
    assert err == "error: which blueprint? This folder is in no git repository\nhint: orchestra validate FILE\n"


def test_the_only_blueprint_of_a_repository_needs_no_name(
    make_repository: MakeRepository, orchestra: Orchestra, tmp_path: Path
) -> None:
    rules = {"blueprints/base/rules.yaml": "never: [x]\n"}  # a fragment, which no command can take
    checkout = make_repository({"README.md": "", "blueprints/shop.yaml": GOOD} | rules)
    repo = f"--repo={checkout.path}"
    assert orchestra("validate", repo)[0] == 0
    assert orchestra("plan", repo)[0] == 0
    (checkout.path / "blueprints" / "site.yaml").write_text(GOOD)
    code, out, err = orchestra("status", repo)
    assert (code, out) == (2, "")
    assert err == (
        "error: no fleet was spawned in this repository yet: which blueprint?\n"
        "hint: name one of shop or site: -b shop\n"
    )


def test_an_unknown_name_comes_with_near_ones(orchestra: Orchestra) -> None:
    code, _, err = orchestra("validate", "--blueprint=mvp")
    assert code == 2
    assert 'did you mean "mvp5"?' in err


def test_schema_is_printed_or_written(orchestra: Orchestra, tmp_path: Path) -> None:
    code, out, err = orchestra("json-schema")
    assert (code, err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
    code, written, _ = orchestra("json-schema", "--write=.orchestra/blueprint.schema.json")
    assert (code, written) == (0, "")
    assert (tmp_path / ".orchestra" / "blueprint.schema.json").read_text() == out
