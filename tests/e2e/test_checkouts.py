"""The target where somebody has it checked out: brought along, or refused before anything is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Checkout

from .conftest import MakeRoad
from .road import Road


def changed(place: Checkout) -> None:
    place.write({"src/app.txt": "mine\n"})


def staged(place: Checkout) -> None:
    changed(place)
    place.git("add", ".")


def staged_only(place: Checkout) -> None:
    staged(place)
    place.write({"src/app.txt": place.read("src/app.txt") + "\n"})


def deleted(place: Checkout) -> None:
    (place.path / "src/app.txt").unlink()


def untracked(place: Checkout) -> None:
    place.write({"one.txt": "mine\n"})


def untracked_folder(place: Checkout) -> None:
    place.write({"one.txt/mine.txt": "mine\n"})


def ignored(place: Checkout) -> None:
    (place.path / ".git/info").mkdir(exist_ok=True)
    (place.path / ".git/info/exclude").write_text("one.txt\n")
    untracked(place)


def symlink_in_the_place_of_a_folder(place: Checkout) -> None:
    (place.path / "src/app.txt").rename(place.path.parent / "app.txt")
    (place.path / "src").rmdir()
    (place.path / "src").symlink_to(place.path.parent)


WAYS = [
    changed,
    staged,
    staged_only,
    deleted,
    untracked,
    untracked_folder,
    ignored,
    symlink_in_the_place_of_a_folder,
]


def test_work_in_the_way(make_road: MakeRoad) -> None:
    """Refused before any gate runs, with nothing touched, whatever it is that would be lost."""
    road = make_road("one").ready("one", one={"one.txt": "one\n", "src/app.txt": "new\n"})
    for put in WAYS:
        put(road.checkout)
        before = road.snapshot()
        said = road.refused("merge")
        assert "has local changes in files" in said, put
        assert "stash" in said
        assert "check on" not in said
        assert road.snapshot() == before, put
        road.checkout.git("clean", "-q", "-d", "-x", "--force")  # first: git reads through a link for src
        road.checkout.git("reset", "-q", "--hard")
        (road.common / "info/exclude").unlink(missing_ok=True)
    assert len(road.merge()["landed"]) == 1
    road.assert_final_state()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_work_in_the_way_that_git_was_told_not_to_look_at(road: Road, flag: str) -> None:
    """Found when it comes to landing: nothing lands, and the file stays."""
    road.ready("one", one={"src/app.txt": "new\n"})
    road.checkout.git("update-index", flag, "src/app.txt")
    changed(road.checkout)
    report = road.merge("one", code=1)
    assert "local changes in files that would be updated: src/app.txt" in report["waiting"][0]["reason"]
    assert (road.checkout.path / "src/app.txt").read_text() == "mine\n"
    road.checkout.git("update-index", f"--no{flag[1:]}", "src/app.txt")
    road.checkout.git("checkout", "-q", "src/app.txt")
    assert len(road.merge("one")["landed"]) == 1
    road.assert_final_state()


def test_work_elsewhere_stays_and_the_checkout_is_brought_along(road: Road) -> None:
    road.ready("one", "two", two={"src/app.txt": "two\n"})
    place = road.checkout
    place.write({"README.md": "mine\n", "mine.txt": "mine\n", "staged.txt": "staged\n"})
    place.git("add", "staged.txt")
    (place.path / "README.md").chmod(0o755)
    other = road.folder / "linked"
    place.git("worktree", "add", "-q", "--force", str(other), "main")  # main, checked out twice
    before = place.git("status", "--porcelain")
    assert len(road.merge("one", "two")["landed"]) == 2
    assert place.git("status", "--porcelain") == before
    assert (place.path / "src/app.txt").read_text() == "two\n"
    assert (place.path / "one.txt").exists()
    assert Checkout(other).git("status", "--porcelain") == ""
    assert (other / "one.txt").exists()
    road.assert_final_state(clean=False)


def test_another_git_works_in_the_checkout(road: Road) -> None:
    """Said before anything lands: a checkout left behind would show what landed as staged deletions."""
    road.ready("one")
    before = road.checkout.git("rev-parse", "main")
    (road.common / "index.lock").touch()
    report = road.merge("one", code=1)
    assert "another git runs" in report["waiting"][0]["reason"]
    assert "index.lock" in report["waiting"][0]["reason"]
    assert road.checkout.git("rev-parse", "main") == before
    (road.common / "index.lock").unlink()
    assert len(road.merge("one")["landed"]) == 1
    road.assert_final_state()


def test_the_person_commits_and_switches_while_gates_run(make_road: MakeRoad, tmp_path: Path) -> None:
    """A gate that works in the person's checkout stands for the person: every moment of it is before the landing."""
    script = tmp_path / "person.sh"
    road = make_road("one", "two", gates={"slow": {"run": f"sh {script}"}})
    script.write_text(
        f"mkdir {tmp_path}/done || exit 0\nunset $(git rev-parse --local-env-vars)\n"
        f"cd {road.checkout.path} && echo p > person.txt && git add person.txt && "
        "git -c user.name=P -c user.email=p@p commit -qm person\n"
    )
    road.ready("one", "two")
    report = road.merge()
    assert len(report["landed"]) == 2
    assert {"one.txt", "two.txt", "person.txt"} <= set(road.checkout.tree())
    assert road.checkout.git("log", "--format=%s", "main").splitlines()[2] == "person"
    road.assert_final_state()


def test_files_become_folders_and_folders_files(road: Road) -> None:
    road.spawn()
    place = road.at("one")
    (place.path / "src/app.txt").unlink()
    (place.path / "src").rmdir()
    place.write({"src": "a file now\n", "README.md": None})
    place.write({"README.md/deep/er.txt": "a folder now\n"})
    road.work("one")
    road.approve("one")
    assert len(road.merge("one")["landed"]) == 1
    assert (road.checkout.path / "src").read_text() == "a file now\n"
    road.json("clean")
    road.assert_final_state()
