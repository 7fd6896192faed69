"""What a set-up made in a gate slot is the same for each candidate, whatever the gates of another one did to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate, Scope, Slots
from orchestra.blueprint.scope import Matcher
from orchestra.train.events import TrainEvent
from orchestra.train.setup_manifest import delete_tree, record_files, reset_files
from tests.conftest import MakeRepository
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons

RUN_TESTS = 'for t in tests/*.sh; do [ -e "$t" ] || continue; sh "$t" || exit 1; done'
# Bytecode that claims to be of this source: its time and size are those of the file (PEP 552).
POISON = """python3 - <<'END'
import importlib._bootstrap_external as external, importlib.util, os, pathlib
source = pathlib.Path("env/answer.py")
facts = source.stat()
code = compile("VALUE = 'poisoned'", str(source), "exec")
file = pathlib.Path(importlib.util.cache_from_source(str(source)))
file.parent.mkdir(exist_ok=True)
file.write_bytes(external._code_to_timestamp_pyc(code, int(facts.st_mtime), facts.st_size))
END
"""
IS_CLEAN = "PYTHONPATH=env python3 -c \"import answer; assert answer.VALUE == 'right', answer.VALUE\"\n"


@pytest.fixture
def train(make_repository: MakeRepository, tmp_path: Path) -> TrainFixture:
    """Two agents, one slot, and a set-up that makes an environment and a package."""
    fixture = make_train(make_repository({".gitignore": "env\nnode_modules\n.cache\n"}), "first", "second")
    fixture.gates(RunGate("tests", RUN_TESTS, timeout_s=60))
    setup = (
        f"echo . >>{tmp_path}/runs; mkdir -p env node_modules/a && echo \"VALUE = 'right'\" >env/answer.py "
        "&& echo right >node_modules/a/index.js && ln -s a node_modules/link"
    )
    return (
        fixture.setup(run=(setup,), inputs=("lock",)).merge_settings(train=Train.SERIAL).blueprint(limits=Limits(1, 1))
    )


def merge_after(train: TrainFixture, meddling: str, look: str) -> tuple[dict[str, str], list[TrainEvent]]:
    """The first agent's gate changes the slot and fails; return why the second does not land, and the events."""
    events: list[TrainEvent] = []
    train.approved(first={"tests/first.sh": f"{meddling}\nexit 1\n"}, second={"tests/second.sh": look})
    report = train.merge(progress=events.append)
    assert "first" in reasons(report)
    return {name: reason for name, reason in reasons(report).items() if name == "second"}, events


@pytest.mark.parametrize(
    ("meddling", "look"),
    [
        (POISON, IS_CLEAN),
        ("mkdir node_modules/.cache; echo poisoned >node_modules/.cache/x", "test ! -e node_modules/.cache"),
        ("mkdir .cache; echo poisoned >.cache/x", "test ! -e .cache"),
        ("mkdir -p node_modules/b; git init -q node_modules/b", "test ! -e node_modules/b"),
    ],
    ids=["bytecode", "cache", "ignored", "repository"],
)
def test_what_a_red_branch_adds_to_the_set_up_is_removed(
    train: TrainFixture, tmp_path: Path, meddling: str, look: str
) -> None:
    assert merge_after(train, meddling, look)[0] == {}
    assert (tmp_path / "runs").read_text("utf-8").split() == ["."]


@pytest.mark.parametrize(
    "meddling",
    [
        "echo wrong >node_modules/a/index.js",
        "cd node_modules/a; touch -r index.js t; echo wrong >index.js; touch -r t index.js; rm t",
        "rm node_modules/a/index.js",
        "ln -sfn ../elsewhere node_modules/link",
        "mv node_modules/a node_modules/b; mkdir node_modules/a; echo wrong >node_modules/a/index.js",
        "rm -rf node_modules/a; ln -s /tmp node_modules/a",
    ],
    ids=["written", "old times", "deleted", "link", "swapped", "folder"],
)
def test_a_change_of_what_the_set_up_made_runs_it_again(train: TrainFixture, tmp_path: Path, meddling: str) -> None:
    look = "grep -qx right node_modules/a/index.js && test $(readlink node_modules/link) = a"
    blocked, events = merge_after(train, meddling, look)
    assert blocked == {}
    lines = [event.text for event in events if "set-up runs again" in event.text]
    assert len((tmp_path / "runs").read_text("utf-8").split()) == 1 + len(lines) == 3  # a failure is confirmed first
    for line in lines:
        assert line.startswith("the set-up runs again in gate slot 1: a gate changed node_modules/")
        assert line.endswith("to reuse such files, declare slots.keep")


def test_declared_caches_stay_and_nothing_else(train: TrainFixture, tmp_path: Path) -> None:
    train.blueprint(slots=Slots(keep=("node_modules/.cache/**", ".cache")))
    fill = "mkdir -p node_modules/.cache/deep .cache; echo x | tee node_modules/.cache/deep/x .cache/x node_modules/new"
    look = "test -e node_modules/.cache/deep/x && test -e .cache/x && test ! -e node_modules/new"
    assert merge_after(train, fill, look)[0] == {}
    assert (tmp_path / "runs").read_text("utf-8").split() == ["."]


def test_nothing_is_kept_where_the_set_up_runs_again(train: TrainFixture) -> None:
    train.blueprint(slots=Slots(keep=(".cache",)))
    fill = "mkdir .cache; echo x >.cache/x; echo wrong >node_modules/a/index.js"
    assert merge_after(train, fill, "test ! -e .cache")[0] == {}


def test_other_declared_caches_make_a_result_another_one(train: TrainFixture) -> None:
    """What passed with a cache that other candidates may have written is not believed without it."""
    train.approved(first={"tests/first.sh": "true\n"})
    train.blueprint(slots=Slots(keep=(".cache",)))
    train.rehearse(agents=["first"])
    events: list[TrainEvent] = []
    train.blueprint(slots=Slots())
    assert landed(train.merge(agents=["first"], progress=events.append)) == ["first"]
    assert [event.kind for event in events].count("gate.started") == 2  # the set-up and the tests


def test_a_copied_file_that_a_gate_changed_is_copied_again(train: TrainFixture) -> None:
    (train.checkout.path / ".env").write_text("right\n", "utf-8")
    train.setup(copy=(".env",), run=())
    assert merge_after(train, "echo wrong >.env", "grep -qx right .env")[0] == {}


# -- the manifest ------------------------------------------------------------------------------------------------------


def make_files(root: Path, count: int = 1) -> None:
    for number in range(count):
        folder = root / f"made/{number // 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.js").write_text(f"{number}\n", "utf-8")


def test_a_link_made_elsewhere_changes_nothing(tmp_path: Path) -> None:
    """Package managers link files from a store, so another project's install sets the time of change."""
    make_files(tmp_path)
    os.link(tmp_path / "made/0/0.js", tmp_path / "store")
    rows = record_files(tmp_path, ["made/"], None)
    os.link(tmp_path / "made/0/0.js", tmp_path / "other")
    assert reset_files(tmp_path, ["made/"], rows, None) == []
    with (tmp_path / "other").open("r+", encoding="utf-8") as file:
        facts = os.fstat(file.fileno())
        file.write("1\n")
    os.utime(tmp_path / "other", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert reset_files(tmp_path, ["made/"], rows, None) == ["made/0/0.js"]


def test_a_write_right_after_the_record_is_seen(tmp_path: Path) -> None:
    make_files(tmp_path)
    file = tmp_path / "made/0/0.js"
    for _ in range(20):
        rows, facts = record_files(tmp_path, ["made/"], None), file.stat()
        file.write_text("1\n", "utf-8")
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        assert reset_files(tmp_path, ["made/"], rows, None) == ["made/0/0.js"]


@pytest.mark.parametrize("keep", [None, Matcher(Scope(("made/kept/**",)))], ids=["none", "keep"])
def test_folders_deeper_than_a_path_can_say_are_removed(tmp_path: Path, keep: Matcher | None) -> None:
    make_files(tmp_path)
    rows = record_files(tmp_path, ["made/"], keep)
    start = Path.cwd()
    try:
        os.chdir(tmp_path / "made")
        for _ in range(1200):
            Path("a" * 20).mkdir()
            os.chdir("a" * 20)
    finally:
        os.chdir(start)
    assert reset_files(tmp_path, ["made/"], rows, keep) == []
    assert [folder.name for folder in (tmp_path / "made").iterdir()] == ["0"]


def test_folders_without_permissions_are_removed(tmp_path: Path) -> None:
    make_files(tmp_path, 40)
    for folder in (tmp_path / "made/0", tmp_path / "made/1", tmp_path / "made"):
        folder.chmod(0)
    delete_tree(tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_link_to_a_folder_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    make_files(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("stays\n", "utf-8")
    (tmp_path / "made/link").symlink_to(tmp_path / "outside")
    reset_files(tmp_path, ["made/"], {}, None)
    assert not (tmp_path / "made").exists()
    assert (tmp_path / "outside/file").exists()
    shutil.rmtree(tmp_path / "outside")
