"""The status of a fleet whose work waits in a pull request."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from orchestra.blueprint.load import shipped_data_folder
from orchestra.cli.next_step import next_command
from orchestra.cli.status_table import format_pull_request, row_cells
from orchestra.review.pushed_work import read_train_pull_request
from orchestra.status import Status, read_status
from tests.forge.conftest import ForgeWorld

SCHEMA = json.loads((shipped_data_folder() / "schemas" / "status.schema.json").read_text("utf-8"))


def status(forge: ForgeWorld) -> Status:
    fleet = forge.train.fleet
    found = replace(read_status(fleet), pull_request=read_train_pull_request(fleet))
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(found.to_json())))
    return found


def cell(found: Status, number: int) -> str:
    text = row_cells(found.rows[number], 0.0, found.pull_request)[-3]
    return str(getattr(text, "text", text))


def pushed(forge: ForgeWorld) -> ForgeWorld:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    (forge.folder / "calls").unlink()
    return forge


def test_nothing_is_asked_before_anything_was_pushed(forge: ForgeWorld) -> None:
    found = status(forge)
    assert (found.pull_request, found.to_json()["pull_request"], forge.calls()) == (None, None, [])
    assert format_pull_request(found.pull_request) == ""


def test_an_open_pull_request_is_shown_with_its_checks(forge: ForgeWorld) -> None:
    pushed(forge)
    rows = forge.requests
    rows[0]["checks"] = [{"__typename": "CheckRun", "name": "ci", "status": "COMPLETED", "conclusion": "FAILURE"}]
    forge.change(requests=rows)
    found = status(forge)
    assert (cell(found, 0), cell(found, 1)) == ("#12 open, checks failing", "")
    url = "https://forge.example/acme/shop/pull/12"
    assert format_pull_request(found.pull_request) == f"pull request 12: open, {url}; checks failing"
    assert next_command(found) != "merge", "it waits for the forge"
    assert len(forge.calls()) == 1, "asked once"


@pytest.mark.parametrize(("state", "end"), [("MERGED", "; orchestra merge records what landed"), ("CLOSED", "")])
def test_its_end_is_shown_with_what_to_type(forge: ForgeWorld, state: str, end: str) -> None:
    pushed(forge).close(12, state)
    found = status(forge)
    assert cell(found, 0) == f"#12 {state.lower()}"
    assert format_pull_request(found.pull_request).endswith(f"{state.lower()}, {forge_url(12)}{end}")
    assert next_command(found) == "merge"


def forge_url(number: int) -> str:
    return f"https://forge.example/acme/shop/pull/{number}"


def test_an_unreachable_forge_costs_the_column_only(forge: ForgeWorld) -> None:
    pushed(forge).change(mode="unreachable")
    found = status(forge)
    assert (cell(found, 0), found.rows[0].standing.verdict.value) == ("?", "approved")
    assert "pull request: unknown, `gh pr list` failed: error connecting" in format_pull_request(found.pull_request)


def test_what_was_merged_leaves_the_column(forge: ForgeWorld) -> None:
    pushed(forge).merge("squash")
    forge.train.merge()
    found = status(forge)
    assert (cell(found, 0), found.rows[0].state.state.value, found.rows[0].state.reason) == ("", "landed", "")
