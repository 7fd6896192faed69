"""``orchestra spawn``: what it refuses in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import MakeRepository
from tests.workspace.worlds import BLUEPRINT, make_home

from .conftest import Orchestra, valid_json


def test_a_new_repository_gets_one_error_with_its_fix(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_repository().path)
    code, out, err = orchestra("spawn", "mvp5")
    assert (code, out) == (2, "")
    (error,) = err.splitlines()
    assert error.startswith("error: main has no package.json")
    assert "run `orchestra init --from=mvp5`" in error


def test_agents_whose_set_up_fails_with_the_same_error_are_named_in_one_line(
    tmp_path: Path, orchestra: Orchestra
) -> None:
    home = make_home(tmp_path / "home")
    command = "echo resolving; echo error: $PWD/package-lock.json is out of date; exit 3"
    text = BLUEPRINT.replace('["echo made > set-up.txt"]', f'["{command}"]').replace("Build the API", "Build it")
    text += '  - {name: docs, task: "Write the pages."}\n'
    home.blueprint.write_text(text.replace(command, f"test $ORCHESTRA_AGENT = docs && exit 4; {command}"))
    code, _, errors = orchestra("spawn", f"--repo={home.checkout.path}", f"--blueprint={home.blueprint}")
    assert code == 1
    lines = [line for line in errors.splitlines() if "not ready" in line]
    assert len(lines) == 2
    shared = "error: package-lock.json is out of date"
    assert re.search(
        rf"schema and api are not ready: `.*` failed with exit code 3: {shared} \(after \d+ s( to \d+ s)?; log: ",
        lines[0],
    )
    assert re.search(r"docs is not ready: `.*` failed with exit code 4 \(after \d+ s( to \d+ s)?; log: ", lines[1])
    code, out, _ = orchestra("spawn", f"--repo={home.checkout.path}", f"--blueprint={home.blueprint}", "--json")
    rows = valid_json(out, "spawn.schema.json")["agents"]
    assert [(row["error_line"], row["elapsed_s"] < 60) for row in rows] == [(shared, True), (shared, True), ("", True)]
