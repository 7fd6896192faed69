"""A language server for the tests of this folder; without node or the package they are skipped, and say so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.scaffold.init import EDITOR, init_files
from tests.editor.language_server import LanguageServer

VARIABLE = "ORCHESTRA_YAML_LANGUAGE_SERVER"


def program() -> list[str]:
    """The command that starts the server. ``.ci/run`` installs it and names its folder in the variable."""
    folder = os.environ.get(VARIABLE)
    node = shutil.which("node")
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder of the npm package yaml-language-server (.ci/run installs it)")
    if not node:
        pytest.skip("node is not installed, which runs yaml-language-server")
    return [node, str(Path(folder) / "bin" / "yaml-language-server"), "--stdio"]


def settings_of_init(root: Path) -> dict[str, Any]:
    """What ``init`` writes for VS Code, as the server is asked for it: the keys below ``yaml``."""
    [file] = [file for file in init_files(root, ["lib/a.py"]).new if file.path == EDITOR]
    return {key.removeprefix("yaml."): value for key, value in json.loads(file.text).items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """A server with the settings that ``init`` writes."""
    running = LanguageServer(program(), settings_of_init(tmp_path_factory.mktemp("settings")))
    yield running
    running.close()
