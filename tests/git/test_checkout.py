"""A checkout that follows the target: never over the user's work, and whole again after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.git.checkout import can_follow, follow
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository

OLD = {"edit": "old\n", "gone": "old\n", "keep": "same\n", "dir/file": "old\n", "turns": "file\n"}
NEW = {"edit": "new\n", "gone": None, "dir/file": None, "fresh/one": "1\n", "turns": None, "turns/into": "a folder\n"}


@pytest.fixture
def behind(make_repository: MakeRepository) -> Checkout:
    """The branch has moved to its next commit; files and index have not."""
    checkout = make_repository(OLD, NEW)
    checkout.git("reset", "-q", "--hard", "main~1")
    checkout.git("update-ref", "ORIG", "main")
    return checkout


def ends(checkout: Checkout) -> tuple[CommitId, CommitId]:
    log = checkout.git("reflog", "show", "--format=%H", "main").splitlines()
    old = checkout.git("rev-parse", "HEAD")
    return CommitId(old), CommitId(next(commit for commit in log if commit != old))


def move(checkout: Checkout, *, resume: bool = False) -> tuple[str, ...]:
    old, new = ends(checkout)
    checkout.git("update-ref", "refs/heads/main", new, old)
    return follow(checkout.path, old, new, resume=resume)


def is_at_new(checkout: Checkout) -> bool:
    files = {str(p.relative_to(checkout.path)) for p in checkout.path.rglob("*") if p.is_file()}
    files = {name for name in files if not name.startswith(".git/")}
    return checkout.git("status", "--porcelain") == "" and {"edit", "keep", "fresh/one", "turns/into"} == files


def test_a_clean_checkout_follows(behind: Checkout) -> None:
    old, new = ends(behind)
    assert can_follow(behind.path, old, new) == ()
    assert behind.git("status", "--porcelain") == ""
    move(behind)
    assert is_at_new(behind)
    follow(behind.path, old, new)
    assert is_at_new(behind)
    assert not list(behind.path.glob(".git/*.lock"))
    assert not (behind.path / ".git/orchestra-index").exists()


def test_work_beside_the_way_is_kept(behind: Checkout) -> None:
    behind.write({"keep": "mine\n", "notes": "mine\n"})
    behind.git("add", "keep")
    old, new = ends(behind)
    assert can_follow(behind.path, old, new) == ()
    move(behind)
    assert (behind.path / "keep").read_text() == "mine\n"
    assert behind.git("status", "--porcelain").splitlines() == ["M  keep", "?? notes"]


def stage(checkout: Checkout) -> None:
    checkout.write({"edit": "mine\n"})
    checkout.git("add", "edit")


def test_what_is_staged_in_the_way_is_seen_before(behind: Checkout) -> None:
    stage(behind)
    old, new = ends(behind)
    assert can_follow(behind.path, old, new) == ("edit",)


def put_a_folder(checkout: Checkout) -> None:
    checkout.git("rm", "-q", "turns")
    checkout.write({"turns/into/x": "mine\n"})


CHANGES: dict[str, Callable[[Checkout], None]] = {
    "edited": lambda c: c.write({"edit": "mine\n"}),
    "edited, to be deleted": lambda c: c.write({"gone": "mine\n"}),
    "untracked": lambda c: c.write({"fresh/one": "mine\n"}),
    "ignored": lambda c: c.write({".git/info/exclude": "fresh\n", "fresh/one": "mine\n"}),
    "file for folder": lambda c: c.write({"fresh": "mine\n"}),
    "folder for file": put_a_folder,
    "link": lambda c: (c.path / "fresh").symlink_to("elsewhere"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("resume", [False, True])
def test_work_in_the_way_is_never_touched(behind: Checkout, change: str, resume: bool) -> None:
    CHANGES[change](behind)
    before = behind.git("status", "--porcelain", "--ignored"), snapshot(behind.path)
    old, new = ends(behind)
    assert can_follow(behind.path, old, new)
    assert (behind.git("status", "--porcelain", "--ignored"), snapshot(behind.path)) == before
    left = move(behind, resume=resume)
    assert left
    mine = {name: data for name, data in before[1].items() if b"mine" in data or b"elsewhere" in data}
    assert mine
    assert mine.items() <= snapshot(behind.path).items()
    assert not (behind.path / ".git/index.lock").exists()


def snapshot(folder: Path) -> dict[str, bytes]:
    found = {}
    for place in folder.rglob("*"):
        name = str(place.relative_to(folder))
        if place.is_symlink():
            found[name] = os.fsencode(place.readlink())
        elif place.is_file() and not name.startswith(".git/"):
            found[name] = place.read_bytes()
    return found


NOTE = "orchestra brings this checkout along\n"
CUT_SHORT: dict[str, dict[str, str | None]] = {
    "nothing yet": {},
    "half a file": {"edit": "ne"},
    "an empty file": {"edit": "", "gone": None},
    "one is new": {"edit": "new\n", "gone": None, "fresh/one": "1\n"},
    "removed, not written": {"edit": None, "dir/file": None},
    "all but the index": {"edit": "new\n", "gone": None, "dir/file": None, "fresh/one": "1\n"},
}


@pytest.mark.parametrize("cut", CUT_SHORT)
@pytest.mark.parametrize("note", [True, False], ids=["by our note", "by resume"])
def test_a_move_that_was_cut_short_is_finished(behind: Checkout, cut: str, note: bool) -> None:
    behind.write(CUT_SHORT[cut])
    if note:
        behind.write({".git/index.lock": NOTE, ".git/orchestra-index": "half an ind", ".git/orchestra-index.lock": ""})
    move(behind, resume=not note)
    assert is_at_new(behind)
    assert not (behind.path / ".git/index.lock").exists()


def test_a_lock_of_our_own_over_a_finished_move_is_let_go(behind: Checkout) -> None:
    old, new = ends(behind)
    move(behind)
    behind.write({".git/index.lock": NOTE})
    follow(behind.path, old, new)
    assert not (behind.path / ".git/index.lock").exists()


def test_somebody_elses_lock_is_respected(behind: Checkout) -> None:
    behind.write({".git/index.lock": ""})
    with pytest.raises(GroundError, match=r"another git runs.*index\.lock"):
        move(behind)
    assert (behind.path / ".git/index.lock").exists()
    assert (behind.path / "edit").read_text() == "old\n"


def test_modes_links_and_line_ends(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "x\n", "text": "1\n", ".gitattributes": "text text eol=crlf\n"})
    checkout.git("switch", "-q", "-c", "next")
    (checkout.path / "a").chmod(0o755)
    (checkout.path / "link").symlink_to("a")
    checkout.commit("next", {"text": "1\r\n2\r\n"})
    checkout.git("switch", "-q", "main")
    old, new = (CommitId(checkout.git("rev-parse", name)) for name in ("main", "next"))
    checkout.git("update-ref", "refs/heads/main", new)
    (checkout.path / "text").write_bytes(b"1\r\n2")  # a write cut short, after the line-end filter
    follow(checkout.path, old, new, resume=True)
    assert checkout.git("status", "--porcelain") == ""
    assert (checkout.path / "text").read_bytes() == b"1\r\n2\r\n"
    assert (checkout.path / "link").readlink() == Path("a")
    assert os.access(checkout.path / "a", os.X_OK)


@pytest.mark.parametrize("resume", [False, True])
def test_a_sparse_checkout_stays_sparse(make_repository: MakeRepository, resume: bool) -> None:
    checkout = make_repository({"in/a": "1\n", "out/b": "1\n"}, {"in/a": "2\n", "out/b": "2\n"})
    checkout.git("reset", "-q", "--hard", "main~1")
    checkout.git("sparse-checkout", "set", "in")
    old, new = ends(checkout)
    checkout.git("update-ref", "refs/heads/main", new)
    follow(checkout.path, old, new, resume=resume)
    assert checkout.git("status", "--porcelain") == ""
    assert (checkout.path / "in/a").read_text() == "2\n"
    assert not (checkout.path / "out").exists()


def test_a_submodule_is_left_to_its_owner(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "1\n"})
    for digit in ("1", "2"):
        checkout.git("update-index", "--add", "--cacheinfo", f"160000,{digit * 40},lib")
        checkout.git("commit", "-q", "-m", digit)
    (checkout.path / "lib").mkdir()
    new, old = checkout.git("rev-parse", "main", "main~1").splitlines()
    checkout.git("reset", "-q", "--mixed", old)
    follow(checkout.path, CommitId(old), CommitId(new))
    assert "2" * 40 in checkout.git("ls-files", "--stage", "lib")


def test_an_odd_name(make_repository: MakeRepository) -> None:
    name = 'tab\there "quoted" \u00e9'
    checkout = make_repository({name: "1\n"}, {name: "2\n"}, name="with space \u00e9")
    checkout.git("reset", "-q", "--hard", "main~1")
    checkout.write({name: "2"})
    move(checkout, resume=True)
    assert (checkout.path / name).read_text() == "2\n"
