"""A checkout that could not be brought along when the target moved: named at once, caught up by the next command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestra.fleet import Fleet
from orchestra.git import checkout as checkout_module
from orchestra.train import landing as land_module
from orchestra.train.landing_journal import Intent
from orchestra.train.recover import recover
from orchestra.train.stale_checkouts import behind_path
from tests.train.yard import Path, Yard, landed

swap: Callable[[Fleet, Intent], None] = land_module._swap


@pytest.fixture
def lock(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another git takes the index of the person's checkout between our look and the swap."""
    place = yard.checkout.path / ".git/index.lock"

    def swap_and_lock(fleet: Fleet, intent: Intent) -> None:
        place.touch()
        swap(fleet, intent)

    monkeypatch.setattr(land_module, "_swap", swap_and_lock)
    monkeypatch.setattr(checkout_module, "_PATIENCE_S", 0.05)
    return place


def test_it_is_named_and_the_next_command_brings_it_along(yard: Yard, lock: Path) -> None:
    yard.approved(one={"a": "1\n", "README.md": "# one\n"})
    report = yard.merge(agents=["one"])
    assert landed(report) == ["one"]
    assert any("still shows" in told and "the next orchestra command tries again" in told for told in report.advice)
    assert (yard.checkout.path / "README.md").read_text("utf-8") == "# sample\n"
    lock.unlink()
    assert recover(yard.fleet.repository) == (f"brought {yard.checkout.path} along to {yard.tip()[:10]}",)
    assert yard.checkout.git("status", "--porcelain") == ""
    assert (yard.checkout.path / "README.md").read_text("utf-8") == "# one\n"
    assert recover(yard.fleet.repository) == ()


def test_as_long_as_the_other_git_works_there_it_stays_named(yard: Yard, lock: Path) -> None:
    yard.approved(one={"a": "1\n"})
    yard.merge(agents=["one"])
    assert "still shows" in recover(yard.fleet.repository)[0]
    assert behind_path(yard.fleet.repository.state_folder).exists()
    lock.unlink()
    assert "brought" in recover(yard.fleet.repository)[0]


def test_the_next_merge_catches_up_first_and_lands(yard: Yard, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.approved(one={"README.md": "# one\n"}, two={"b": "2\n"})
    yard.merge(agents=["one"])
    lock.unlink()
    monkeypatch.setattr(land_module, "_swap", swap)
    report = yard.merge(agents=["two"])
    assert landed(report) == ["two"]
    assert f"brought {yard.checkout.path} along" in report.recovered[0]
    assert yard.checkout.git("status", "--porcelain") == ""


def test_what_the_person_changed_there_meanwhile_is_kept(yard: Yard, lock: Path) -> None:
    yard.approved(one={"a": "1\n", "README.md": "# one\n"})
    yard.merge(agents=["one"])
    lock.unlink()
    yard.checkout.write({"README.md": "# mine\n", "other": "mine\n"})
    (told,) = recover(yard.fleet.repository)
    assert "README.md hold your own changes" in told
    assert (yard.checkout.path / "README.md").read_text("utf-8") == "# mine\n"
    assert (yard.checkout.path / "a").read_text("utf-8") == "1\n"
    assert (yard.checkout.path / "other").read_text("utf-8") == "mine\n"


@pytest.mark.parametrize("deed", ["reset", "commit", "switch", "remove-note"])
def test_what_the_person_did_about_it_counts(yard: Yard, lock: Path, deed: str) -> None:
    yard.approved(one={"a": "1\n", "README.md": "# one\n"})
    yard.merge(agents=["one"])
    lock.unlink()
    if deed == "reset":
        yard.checkout.git("reset", "-q", "--hard")
    elif deed == "commit":
        yard.checkout.git("commit", "-q", "-m", "the way back, on purpose")
    elif deed == "switch":
        yard.checkout.git("switch", "-q", "-c", "own")
    else:
        behind_path(yard.fleet.repository.state_folder).write_text("[", "utf-8")
    before = yard.checkout.git("rev-parse", "HEAD"), yard.checkout.git("status", "--porcelain")
    recover(yard.fleet.repository)
    now = yard.checkout.git("rev-parse", "HEAD"), yard.checkout.git("status", "--porcelain")
    assert now == before


def test_a_note_of_a_commit_that_is_gone_holds_nothing_up(yard: Yard, lock: Path) -> None:
    """The branch was rewritten and a ``gc`` took what the checkout shows: then it is the person's."""
    yard.approved(one={"a": "1\n"})
    yard.merge(agents=["one"])
    lock.unlink()
    note = behind_path(yard.fleet.repository.state_folder)
    note.write_text(note.read_text("utf-8").replace(yard.tip("main~1"), "1" * 40), "utf-8")
    assert recover(yard.fleet.repository) == ()
    assert not note.exists()


@pytest.mark.parametrize(
    "poison", [b"", b"\xff", b"[]", b"{", b'{"p": 1}', b'{"p": {}}', b'{"p": {"branch": 1, "shows": 2}}']
)
def test_a_damaged_note_counts_as_none_and_goes(yard: Yard, poison: bytes) -> None:
    note = behind_path(yard.fleet.repository.state_folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        note.write_bytes(poison.replace(b"p", str(yard.checkout.path).encode(), 1))
        assert recover(yard.fleet.repository) == ()
        assert not note.exists()
    note.write_bytes(poison)
    assert landed(yard.approved(one={"a": "1\n"}).merge(agents=["one"])) == ["one"]
