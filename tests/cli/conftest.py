"""Tasks as a person types them, in this process: fast, and with its exit code and both streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestra.blueprint.load import shipped_data_folder
from orchestra.cli import ns
from orchestra.cli.program import main

Orchestra = Callable[..., tuple[int, str, str]]
"""``orchestra("status", "--json")``: exit code, standard output, standard error."""


@pytest.fixture
def orchestra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Orchestra:
    """Type a command line, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code: object = 0
        try:
            main(ns, words=words)
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return run


def valid_json(text: str, schema: str) -> Any:
    """The document that ``text`` is, once it has passed ``schemas/SCHEMA``."""
    document = json.loads(text)
    rules = json.loads((shipped_data_folder() / "schemas" / schema).read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.validate(document, rules, cls=jsonschema.Draft202012Validator)
    return document
