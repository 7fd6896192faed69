"""The wheel works in an empty environment, outside the clone."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from orchestra.cli import ns

ROOT = Path(__file__).parents[2]
# distribution -> import names, where they differ
IMPORTED_AS = {"pyyaml": "yaml", "gitpython": "git"}


def run(*argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_manual_page_has_every_verb_and_is_accepted_by_groff(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("share/man/man1/orchestra.1"))
        page = Path(archive.extract(name, tmp_path))
    verbs = [line.removeprefix("### ") for line in (ROOT / "docs" / "commands.md").read_text().splitlines()]
    lines = page.read_text().replace("\\-", "-").splitlines()
    assert [line for line in lines if line.startswith(".SS ")] == [
        f".SS orchestra {verb}" for verb in verbs if verb in ns.task_names
    ]
    if shutil.which("groff") is None:
        pytest.skip("no groff on this machine")
    drawn = run("groff", "-man", "-Tutf8", "-ww", page)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "make for fleets of coding agents" in drawn.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an empty environment; return its folder of programs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    core = [need for need in needs if "extra ==" not in need]
    download = run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *core)
    if download.returncode:
        pytest.skip(f"no package index: {download.stderr.strip().splitlines()[-1]}")
    result = run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check", wheel)
    assert result.returncode == 0, result.stderr
    assert run(python, "-m", "pip", "check").returncode == 0
    return folder / "bin"


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.split("/")[0] for name in names}
    metadata, data = (f"agent_orchestra-{_version()}.{kind}" for kind in ("dist-info", "data"))
    assert top == {"orchestra", metadata, data}
    assert [name for name in names if name.startswith(data)] == [f"{data}/data/share/man/man1/orchestra.1"]
    expected = {"orchestra/py.typed", f"agent_orchestra-{_version()}.dist-info/licenses/LICENSE"}
    tracked = run("git", "ls-files", "orchestra", "blueprints", "schemas/*.json", cwd=ROOT).stdout.splitlines()
    expected |= {path if path.startswith("orchestra/") else f"orchestra/_data/{path}" for path in tracked}
    assert sorted(expected - names) == []
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {need.partition(">")[0].strip().lower() for need in project["dependencies"]}
    importable = {IMPORTED_AS.get(name, name) for name in declared} | {"orchestra", *sys.stdlib_module_names}
    imported = set()
    for path in (ROOT / "orchestra").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported <= importable


def test_the_installed_command_prints_its_version(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "orchestra", "--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"orchestra {_version()}\n")


def test_the_installed_command_has_no_developer_command(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "orchestra", "lint", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")


def test_the_installed_command_finds_the_shipped_blueprints_and_schemas(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "orchestra", "blueprints", "--json", cwd=tmp_path)
    names = {entry["name"]: entry["problems"] for entry in json.loads(result.stdout)["blueprints"]}
    assert {"mvp5", "production15", "enterprise50"} <= set(names)
    assert not any(names.values())
    schema = run(installed / "orchestra", "json-schema", cwd=tmp_path)
    assert json.loads(schema.stdout) == json.loads((ROOT / "schemas" / "blueprint.schema.json").read_text())


def test_the_installed_demo_runs_to_its_end(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "orchestra", "demo", "--repo", tmp_path / "demo", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "$ orchestra merge" in result.stdout


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def test_the_installed_command_starts_a_new_product(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "orchestra", "init", "--from=mvp5", "--dir=shop", "--yes", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "shop/.github/workflows/ci.yaml").is_file()
