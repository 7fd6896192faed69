"""What a set-up made is reused only for candidates from which it would make the same."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Limits, RunGate
from orchestra.train.setup_inputs import only_installs
from tests.train.train_fixture import Path, TrainFixture, landed, reasons


@pytest.mark.parametrize(
    "command",
    [
        "npm ci",
        "npm ci --prefer-offline",
        "pnpm install --frozen-lockfile",
        "yarn",
        "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt",
        "uv sync --locked",
        "bundle install",
        "go mod download",
        "cargo fetch --locked",
        "true",
    ],
)
def test_installs_are_recognized(command: str) -> None:
    assert only_installs(command)


@pytest.mark.parametrize(
    "command",
    ["npm run build", "make deps", "npm ci && npm run build", "npm ci; make", "pip install .", "cp a b", "npm ci $(x)"],
)
def test_everything_else_may_build(command: str) -> None:
    assert not only_installs(command)


def build(train: TrainFixture, log: Path, *inputs: str) -> TrainFixture:
    """A set-up that builds out.txt from source.txt."""
    train.setup(run=(f"echo . >>{log}; mkdir -p made; cp source.txt made/out.txt",), inputs=inputs)
    train.checkout.commit("sources", {"source.txt": "good\n", ".gitignore": "made\n"})
    for name in ("one", "two"):
        train.world.at(name).git("rebase", "-q", "main")
    return train.gates(RunGate("tests", "grep -q good made/out.txt")).blueprint(limits=Limits(gates=1))


def test_a_set_up_that_builds_runs_for_every_tree(train: TrainFixture, tmp_path: Path) -> None:
    build(train, tmp_path / "log")
    report = train.approved(one={"a": "1\n"}, two={"source.txt": "broken\n"}).merge(agents=["one", "two"])
    assert (landed(report), reasons(report)) == (["one"], {"two": "gate"})


def test_declared_inputs_decide_what_a_set_up_is_reused_for(train: TrainFixture, tmp_path: Path) -> None:
    build(train, tmp_path / "log", "source.txt")
    report = train.approved(one={"a": "1\n"}, two={"b": "1\n"}).merge(agents=["one", "two"])
    assert landed(report) == ["one", "two"]
    assert len((tmp_path / "log").read_text("utf-8").split()) == 1


def test_requirements_with_other_names_count(train: TrainFixture) -> None:
    """A set-up for requirements-dev.txt is not kept for a branch that changes it."""
    from orchestra.train.setup_inputs import setup_inputs

    setup = train.setup(run=(".venv/bin/pip install -r requirements-dev.txt",)).fleet.blueprint.worktrees.setup
    git = train.fleet.repository.git
    before = setup_inputs(git, train.checkout.git("rev-parse", "main^{tree}"), setup)
    train.checkout.commit("more", {"requirements-dev.txt": "pytest\n", "constraints.txt": "x<2\n", "code.py": "1\n"})
    after = setup_inputs(git, train.checkout.git("rev-parse", "main^{tree}"), setup)
    assert [row.partition("\t")[2] for row in after] == ["constraints.txt", "requirements-dev.txt"]
    assert before == []


def test_what_an_install_runs_or_applies_counts(train: TrainFixture) -> None:
    """A branch must not decide what another one's set-up makes through a file that the key leaves out."""
    from orchestra.train.setup_inputs import setup_inputs

    setup = train.setup(run=("python3 -m venv .venv",)).fleet.blueprint.worktrees.setup
    files = (
        ".yarn/plugins/a.cjs",
        ".pnpmfile.cjs",
        "patches/a.patch",
        ".cargo/config.toml",
        "venv.py",
        "json/__init__.py",
    )
    train.checkout.commit("more", dict.fromkeys((*files, "app.py", "types", "app/json.py"), "1\n"))
    rows = setup_inputs(train.fleet.repository.git, train.checkout.git("rev-parse", "main^{tree}"), setup)
    assert {row.partition("\t")[2] for row in rows} == set(files)
