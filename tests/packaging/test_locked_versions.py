"""The lock: uv.lock for uv, requirements.txt for pip, and both agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


def test_the_lock_was_made_from_this_pyproject(lock: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {(need, "") for need in project["dependencies"]}
    declared |= {(need, extra) for extra, needs in project["optional-dependencies"].items() for need in needs}
    (package,) = (package for package in lock["package"] if package["name"] == "agent-orchestra")
    locked = {
        (need["name"] + need.get("specifier", ""), re.sub(r"extra == '(.*)'", r"\1", need.get("marker", "")))
        for need in package["metadata"]["requires-dist"]
    }
    assert locked == {(need.lower(), extra) for need, extra in declared}, "run: uv lock"


def test_pip_gets_the_versions_of_the_lock(lock: dict[str, Any]) -> None:
    locked = {
        f"{package['name']}=={package['version']}" for package in lock["package"] if "editable" not in package["source"]
    }
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition(" ;")[0] for line in lines if not line.startswith("#")}
    assert pinned == locked, "write requirements.txt again, with the command in its first lines"


def test_the_lock_names_no_host_but_pypi() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    urls = re.findall(r'(?:url|registry) = "([^"]*)"', text)
    assert {urlsplit(url).hostname for url in urls} == {"pypi.org", "files.pythonhosted.org"}
