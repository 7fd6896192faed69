"""A slot holds exactly its candidate, whatever an earlier gate or the main checkout's own settings did to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate
from tests.conftest import MakeRepository
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons

ADMIN = "d=$(git rev-parse --absolute-git-dir)"
RUN_TESTS = 'for t in tests/*.sh; do [ -e "$t" ] || continue; sh "$t" || exit 1; done'


@pytest.fixture
def train(make_repository: MakeRepository) -> TrainFixture:
    files = {"src/a.txt": "a\n", "tests/t.txt": "t\n"}
    fixture = make_train(make_repository(files), "first", "second")
    fixture.gates(RunGate("tests", RUN_TESTS, timeout_s=60))
    return fixture.merge_settings(train=Train.SERIAL).blueprint(limits=Limits(gates=1))


def merged_after(train: TrainFixture, meddling: str, **files: str) -> dict[str, str]:
    """The first agent's gate meddles with the slot and fails; return what keeps the second from landing."""
    train.approved(first={"tests/first.sh": f"{meddling}\nexit 1\n"}, second=dict(files))
    report = train.merge()
    assert "first" in reasons(report)
    return {name: reason for name, reason in reasons(report).items() if name == "second"}


@pytest.mark.parametrize(
    "meddling",
    [
        'git sparse-checkout set --no-cone "/*" "!/tests/red.sh"',
        f"git config --worktree core.sparseCheckout true; {ADMIN}; mkdir -p $d/info; "
        'printf "/*\\n!/tests/red.sh\\n" >$d/info/sparse-checkout',
        "git config core.trustctime false; git config core.checkStat minimal",
        "git init -q tests; git init -q src",
        "git update-index --skip-worktree src/a.txt; git update-index --assume-unchanged src/a.txt; echo x >src/a.txt",
    ],
    ids=["sparse", "config.worktree", "trustctime", "nested", "flags"],
)
def test_a_red_branch_does_not_land_after_a_gate_meddled_with_the_slot(train: TrainFixture, meddling: str) -> None:
    assert merged_after(train, meddling, **{"tests/red.sh": "exit 1\n"}) == {"second": "gate"}


def test_a_nested_repository_that_a_gate_made_in_a_tracked_folder_is_removed(train: TrainFixture) -> None:
    blocked = merged_after(train, "git init -q src", **{"tests/look.sh": "test ! -e src/.git\n"})
    assert blocked == {}


def test_a_file_rewritten_with_its_old_times_and_size_is_restored(train: TrainFixture) -> None:
    meddling = "touch -r src/a.txt ref; echo b >src/a.txt; touch -r ref src/a.txt; git config core.trustctime false"
    assert merged_after(train, meddling, **{"tests/look.sh": "grep -q a src/a.txt\n"}) == {}


def test_private_refs_and_half_finished_operations_of_a_gate_are_removed(train: TrainFixture) -> None:
    meddling = f"git update-ref refs/worktree/mark HEAD; {ADMIN}; echo x >$d/MERGE_HEAD"
    look = f"{ADMIN}\ntest ! -e $d/MERGE_HEAD && ! git rev-parse -q --verify refs/worktree/mark\n"
    assert merged_after(train, meddling, **{"tests/look.sh": look}) == {}


def test_a_train_that_dies_while_it_writes_the_index_of_a_slot_does_not_stop_gc(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.approved(first={"tests/first.sh": "true\n"})

    def write_half(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:5])
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("orchestra.train.slot.shutil.copy2", write_half)
        with pytest.raises(KeyboardInterrupt):
            train.merge()
    train.checkout.git("gc", "--quiet", "--prune=now")
    assert landed(train.merge()) == ["first"]


def test_a_sparse_main_checkout_does_not_make_the_slot_sparse(train: TrainFixture) -> None:
    train.approved(first={"tests/red.sh": "exit 1\n"})
    train.checkout.git("sparse-checkout", "set", "src")
    assert reasons(train.merge(agents=["first"])) == {"first": "gate"}


def test_what_a_gate_left_in_a_submodule_is_gone_for_the_next(
    train: TrainFixture, make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    library = make_repository({"check.sh": "exit 1\n"}, name="library")
    train.checkout.git("submodule", "--quiet", "add", str(library.path), "lib")
    train.checkout.git("commit", "-qm", "a submodule")
    for name in ("first", "second"):
        train.world.at(name).git("reset", "-q", "--hard", "main")
    blocked = merged_after(train, "echo true >lib/check.sh", **{"tests/second.sh": "cd lib && sh check.sh\n"})
    assert blocked == {"second": "gate"}


def test_a_slot_whose_git_folder_is_missing_is_replaced(train: TrainFixture) -> None:
    train.approved(first={"a": "1\n"}, second={"b": "2\n"})
    assert landed(train.merge(agents=["first"])) == ["first"]
    for admin in (train.checkout.path / ".git/worktrees").iterdir():
        if (admin / "orchestra-index").exists():
            shutil.rmtree(admin)
    assert landed(train.merge()) == ["second"]


def test_a_slot_that_a_gate_unlocked_and_broke_is_replaced(train: TrainFixture) -> None:
    assert merged_after(train, "git worktree unlock .; rm .git", b="2\n") == {}
