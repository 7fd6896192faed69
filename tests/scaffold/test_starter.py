"""The starters: their own gates pass, and ``init --from`` writes and commits them without touching anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestra.blueprint.catalog import names_in, shipped_blueprints, shipped_starters, starter_names
from orchestra.blueprint.load import load_blueprint
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.finding import Severity
from orchestra.plan.plan import plan
from orchestra.scaffold.init import write
from orchestra.scaffold.starter import commit_files, create_repository, fleet_files, require_committable
from tests.conftest import Checkout, MakeRepository

TOOL = {"typescript-service": "npm", "python-service": "uv", "go-service": "go"}
FLEETS = [name for name in names_in(shipped_blueprints()) if "/" not in name]


def new_repository(folder: Path) -> Checkout:
    create_repository(folder)
    return Checkout(folder)


def start_from(checkout: Checkout, fleet: str) -> str:
    """Write and commit a fleet as ``init --from`` does; return the commit."""
    repository = Repository.discover(checkout.path)
    branch = require_committable(repository.git)
    proposed = fleet_files(checkout.path, checkout.git("ls-files").splitlines(), fleet)
    written = write(proposed)
    paths = [file.path for file in proposed.new if checkout.path / file.path in written]
    return commit_files(repository, branch, paths, "Start")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("starter", sorted(TOOL))
def test_every_gate_of_the_pack_passes_on_the_starter(starter: str, tmp_path: Path) -> None:
    if shutil.which(TOOL[starter]) is None:
        pytest.skip(f"{TOOL[starter]} is not installed")
    folder = tmp_path / "service"
    shutil.copytree(shipped_starters() / starter, folder)
    pack: dict[str, Any] = yaml.safe_load((shipped_blueprints() / "standards" / f"{starter}.yaml").read_text())
    setup = pack["worktrees"]["setup"]["run"]
    gates = [gate["run"] for gate in pack["gates"].values() if "run" in gate]
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    env["GOFLAGS"] = "-buildvcs=false"  # the folder is no repository, and one above it is not its own
    for command in setup:
        done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode and any(
            word in done.stdout + done.stderr for word in ("ENOTFOUND", "Could not resolve", "dns")
        ):
            pytest.skip(f"no package registry: {command}")
        assert done.returncode == 0, done.stdout + done.stderr
    for command in gates:
        if "-race" in command and shutil.which("gcc") is None:
            command = command.replace("-race ", "")  # noqa: PLW2901 - the race detector needs a C compiler
        done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_every_starter_is_tested_and_every_named_one_ships() -> None:
    assert starter_names() == sorted(TOOL)
    assert {load_blueprint(shipped_blueprints() / f"{fleet}.yaml").starter for fleet in FLEETS} <= {None, *TOOL}


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_fleet_in_a_new_repository_plans_without_an_error(fleet: str, tmp_path: Path) -> None:
    checkout = new_repository(tmp_path / "shop")
    commit = start_from(checkout, fleet)
    assert checkout.git("log", "--format=%H %s") == f"{commit} Start"
    assert checkout.git("status", "--porcelain") == ""
    copied = checkout.path / "blueprints" / f"{fleet}.yaml"
    assert copied.read_text().startswith("# yaml-language-server: $schema=../.orchestra/blueprint.schema.json\n")
    blueprint = load_blueprint(copied)
    report = plan(make_fleet(Repository.discover(checkout.path), blueprint))
    assert [found.message for found in report.findings if found.severity is Severity.ERROR] == []


def test_only_the_new_files_are_committed(make_repository: MakeRepository) -> None:
    checkout = make_repository({"README.md": "# Shop\n"})
    (checkout.path / "staged.txt").write_text("mine")
    checkout.git("add", "staged.txt")
    (checkout.path / "README.md").write_text("# Changed\n")
    before = checkout.git("rev-parse", "HEAD")
    commit = start_from(checkout, "mvp5")
    assert checkout.git("rev-parse", f"{commit}^") == before
    changed = checkout.git("diff", "--name-only", before, commit).splitlines()
    assert "package-lock.json" in changed
    assert ".github/workflows/ci.yaml" in changed
    assert not {"staged.txt", "README.md"} & set(changed)
    assert checkout.git("status", "--porcelain").splitlines() == [" M README.md", "A  staged.txt"]


def test_files_that_exist_stay_as_they_are(make_repository: MakeRepository) -> None:
    checkout = make_repository({"Dockerfile": "FROM mine\n", ".gitignore": ".vscode/\n"})
    commit = start_from(checkout, "mvp5")
    assert (checkout.path / "Dockerfile").read_text() == "FROM mine\n"
    assert ".vscode/settings.json" not in checkout.git("ls-tree", "-r", "--name-only", commit).splitlines()


def test_what_gates_left_in_a_starter_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starters = tmp_path / "starters"
    shutil.copytree(shipped_starters(), starters)
    for folder in (".ruff_cache/0.17", "node_modules/left-pad", "src/__pycache__"):
        (starters / "typescript-service" / folder).mkdir(parents=True)
        (starters / "typescript-service" / folder / "binary").write_bytes(b"\xff\xfe")
    monkeypatch.setattr("orchestra.scaffold.starter.shipped_starters", lambda: starters)
    copied = {str(file.path) for file in fleet_files(tmp_path, [], "mvp5").new}
    assert "package.json" in copied
    assert not [path for path in copied if path.endswith("binary")]


def test_a_repository_that_has_what_the_fleet_requires_gets_no_starter(make_repository: MakeRepository) -> None:
    tracked = ["package.json", "package-lock.json", "tsconfig.json"]
    checkout = make_repository(dict.fromkeys(tracked, "{}"))
    assert [str(file.path) for file in fleet_files(checkout.path, tracked, "mvp5").new] == [
        "blueprints/mvp5.yaml",
        ".orchestra/blueprint.schema.json",
        ".vscode/settings.json",
    ]


def test_a_repository_with_a_part_of_it_is_refused(make_repository: MakeRepository) -> None:
    checkout = make_repository({"package.json": "{}"})
    with pytest.raises(
        GroundError, match=r"lacks package-lock\.json and tsconfig\.json, which mvp5 requires"
    ) as refused:
        fleet_files(checkout.path, ["package.json"], "mvp5")
    assert "commit it" in str(refused.value.hint)


@pytest.mark.parametrize("name", ["mvp6", "standards/go-service", "../blueprints/mvp5"])
def test_what_is_no_shipped_fleet_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="ships with orchestra"):
        fleet_files(tmp_path, [], name)


def test_a_folder_with_content_does_not_become_a_repository(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not an empty folder"):
        create_repository(tmp_path)


def test_a_detached_head_is_refused(make_repository: MakeRepository) -> None:
    checkout = make_repository({"README.md": ""})
    checkout.git("checkout", "-q", "--detach")
    with pytest.raises(GroundError, match="HEAD is detached"):
        require_committable(Repository.discover(checkout.path).git)
