"""A checkout that could not be brought along when the target moved: named at once, caught up by the next command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestra.git import checkout as checkout_module
from orchestra.git.repository import Repository
from orchestra.train import landing as land_module
from orchestra.train.landing import recover
from orchestra.train.landing_journal import Landing, stale_checkouts_path
from tests.train.train_fixture import Path, TrainFixture, landed

move_target: Callable[[Repository, Landing], None] = land_module._move_target


@pytest.fixture
def lock(train: TrainFixture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another git takes the index of the person's checkout between our look and the swap."""
    place = train.checkout.path / ".git/index.lock"

    def lock_and_move(repository: Repository, landing: Landing) -> None:
        place.touch()
        move_target(repository, landing)

    monkeypatch.setattr(land_module, "_move_target", lock_and_move)
    monkeypatch.setattr(checkout_module, "_PATIENCE_S", 0.05)
    return place


def test_it_is_named_and_the_next_command_brings_it_along(train: TrainFixture, lock: Path) -> None:
    train.approved(one={"a": "1\n", "README.md": "# one\n"})
    report = train.merge(agents=["one"])
    assert landed(report) == ["one"]
    assert any("still shows" in told and "the next orchestra command tries again" in told for told in report.advice)
    assert (train.checkout.path / "README.md").read_text("utf-8") == "# sample\n"
    lock.unlink()
    assert recover(train.fleet.repository, print) == (f"updated {train.checkout.path} to {train.tip()[:10]}",)
    assert train.checkout.git("status", "--porcelain") == ""
    assert (train.checkout.path / "README.md").read_text("utf-8") == "# one\n"
    assert recover(train.fleet.repository, print) == ()


def test_as_long_as_the_other_git_works_there_it_stays_named(train: TrainFixture, lock: Path) -> None:
    train.approved(one={"a": "1\n"})
    train.merge(agents=["one"])
    assert "still shows" in recover(train.fleet.repository, print)[0]
    assert stale_checkouts_path(train.fleet.repository.state_folder).exists()
    lock.unlink()
    assert "updated" in recover(train.fleet.repository, print)[0]


def test_the_next_merge_catches_up_first_and_lands(
    train: TrainFixture, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.approved(one={"README.md": "# one\n"}, two={"b": "2\n"})
    train.merge(agents=["one"])
    lock.unlink()
    monkeypatch.setattr(land_module, "_move_target", move_target)
    report = train.merge(agents=["two"])
    assert landed(report) == ["two"]
    assert f"updated {train.checkout.path}" in report.recovered[0]
    assert train.checkout.git("status", "--porcelain") == ""


def test_what_the_person_changed_there_meanwhile_is_kept(train: TrainFixture, lock: Path) -> None:
    train.approved(one={"a": "1\n", "README.md": "# one\n"})
    train.merge(agents=["one"])
    lock.unlink()
    train.checkout.write({"README.md": "# mine\n", "other": "mine\n"})
    (told,) = recover(train.fleet.repository, print)
    assert "README.md have changes of your own" in told
    assert (train.checkout.path / "README.md").read_text("utf-8") == "# mine\n"
    assert (train.checkout.path / "a").read_text("utf-8") == "1\n"
    assert (train.checkout.path / "other").read_text("utf-8") == "mine\n"


@pytest.mark.parametrize("deed", ["reset", "commit", "switch", "remove-note"])
def test_what_the_person_did_about_it_counts(train: TrainFixture, lock: Path, deed: str) -> None:
    train.approved(one={"a": "1\n", "README.md": "# one\n"})
    train.merge(agents=["one"])
    lock.unlink()
    if deed == "reset":
        train.checkout.git("reset", "-q", "--hard")
    elif deed == "commit":
        train.checkout.git("commit", "-q", "-m", "the way back, on purpose")
    elif deed == "switch":
        train.checkout.git("switch", "-q", "-c", "own")
    else:
        stale_checkouts_path(train.fleet.repository.state_folder).write_text("[", "utf-8")
    before = train.checkout.git("rev-parse", "HEAD"), train.checkout.git("status", "--porcelain")
    recover(train.fleet.repository, print)
    now = train.checkout.git("rev-parse", "HEAD"), train.checkout.git("status", "--porcelain")
    assert now == before


def test_a_note_of_a_commit_that_is_gone_holds_nothing_up(train: TrainFixture, lock: Path) -> None:
    """The branch was rewritten and a ``gc`` took what the checkout shows: then it is the person's."""
    train.approved(one={"a": "1\n"})
    train.merge(agents=["one"])
    lock.unlink()
    note = stale_checkouts_path(train.fleet.repository.state_folder)
    note.write_text(note.read_text("utf-8").replace(train.tip("main~1"), "1" * 40), "utf-8")
    assert recover(train.fleet.repository, print) == ()
    assert not note.exists()


@pytest.mark.parametrize(
    "poison", [b"", b"\xff", b"[]", b"{", b'{"p": 1}', b'{"p": {}}', b'{"p": {"branch": 1, "shows": 2}}']
)
def test_a_damaged_note_counts_as_none_and_goes(train: TrainFixture, poison: bytes) -> None:
    note = stale_checkouts_path(train.fleet.repository.state_folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        note.write_bytes(poison.replace(b"p", str(train.checkout.path).encode(), 1))
        assert recover(train.fleet.repository, print) == ()
        assert not note.exists()
    note.write_bytes(poison)
    assert landed(train.approved(one={"a": "1\n"}).merge(agents=["one"])) == ["one"]
