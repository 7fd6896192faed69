"""Instruction files: never in an agent's ``git status``, never in what lands, whatever the agent does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Checkout

from .conftest import MakeRoad
from .road import INSTRUCTIONS, Road


def add_all(place: Checkout) -> None:
    place.git("add", "--all")


def add_by_force(place: Checkout) -> None:
    place.git("add", "-f", *INSTRUCTIONS)


def commit_and_edit(place: Checkout) -> None:
    add_by_force(place)
    place.git("commit", "-qm", "instructions")
    place.write({"CLAUDE.md": "mine now\n", "TASK.md": "done\n"})
    add_by_force(place)


def commit_and_delete(place: Checkout) -> None:
    commit_and_edit(place)
    place.git("commit", "-qm", "edited")
    place.git("rm", "-q", *INSTRUCTIONS)


def links(place: Checkout) -> None:
    for name in INSTRUCTIONS:
        (place.path / name).unlink()
        (place.path / name).symlink_to("/etc/passwd")
    add_by_force(place)


def folders(place: Checkout) -> None:
    for name in INSTRUCTIONS:
        (place.path / name).unlink()
        place.write({f"{name}/inside.txt": "hidden in a folder\n"})
    place.git("add", "-f", ".")


def executables(place: Checkout) -> None:
    (place.path / "TASK.md").chmod(0o755)
    add_by_force(place)


def ignores_of_its_own(place: Checkout) -> None:
    place.write({".gitignore": "!*.md\n!CLAUDE.md\n"})
    place.git("add", "--all")


DEEDS = [add_all, add_by_force, commit_and_edit, commit_and_delete, links, folders, executables, ignores_of_its_own]


@pytest.mark.parametrize("tracked", [False, True], ids=["own", "tracked"])
def test_none_lands(make_road: MakeRoad, tracked: bool) -> None:
    """``tracked``: the repository has a CLAUDE.md of its own, which stays as it is. One agent a deed."""
    names = [deed.__name__.replace("_", "-") for deed in DEEDS]
    road = make_road(*names, files={"CLAUDE.md": "the team's\n"} if tracked else {}, gates={})
    road.spawn()
    for name, deed in zip(names, DEEDS, strict=True):
        place = road.at(name)
        assert place.git("status", "--porcelain") == ""
        if tracked:
            assert place.read("CLAUDE.md") == "the team's"
            assert (place.path / "CLAUDE.local.md").exists()
        deed(place)
        place.write({f"{name}.txt": "work\n"})
        place.git("add", f"{name}.txt")
        place.git("commit", "-qm", name)
    road.approve(*names)
    for strategy in ("squash", "merge", "rebase"):
        road.fleet(**road.declared | {"merge": {"strategy": strategy}})
        assert [one["agent"] for one in road.json("rehearse")["landed"]] == names
    road.merge()
    landed = road.checkout.tree()
    assert {f"{name}.txt" for name in names} <= set(landed)
    assert [name for name in landed if name.split("/")[0] in INSTRUCTIONS] == (["CLAUDE.md"] if tracked else [])
    every = road.checkout.git("log", "--format=", "--name-only", "main").split()
    assert not {"TASK.md", "AGENT_NOTES.md"} & {name.split("/")[0] for name in every}
    if tracked:
        assert road.checkout.read("CLAUDE.md") == "the team's"
    road.run("status")
    road.run("review", names[0])
    road.json("clean")
    road.assert_final_state()


def test_tracked_claude_md_deleted_renamed_or_replaced(make_road: MakeRoad) -> None:
    road = make_road("deletes", "renames", "links", "folds", "may", files={"CLAUDE.md": "the team's\n"}, gates={})
    road.declared["agents"][4]["may_edit"] = ["CLAUDE.md"]
    road.fleet(**road.declared)
    road.spawn()
    road.at("deletes").git("rm", "-q", "CLAUDE.md")
    road.at("renames").git("mv", "CLAUDE.md", "GUIDE.md")
    (road.at("links").path / "CLAUDE.md").unlink()
    (road.at("links").path / "CLAUDE.md").symlink_to("README.md")
    (road.at("folds").path / "CLAUDE.md").unlink()
    road.at("folds").write({"CLAUDE.md/CLAUDE.md": "folder\n"})
    road.work("may", {"CLAUDE.md": "the team's\nand one more line\n"})
    for name in ("deletes", "renames", "links", "folds"):
        road.work(name)
    road.approve("deletes", "renames", "links", "folds", "may")
    report = road.merge()
    assert len(report["landed"]) == 5, report
    assert road.checkout.read("CLAUDE.md") == "the team's\nand one more line"
    assert [name for name in road.checkout.tree() if "CLAUDE" in name] == ["CLAUDE.md"]
    assert "GUIDE.md" in road.checkout.tree()  # a new file with a name of its own is the agent's work
    road.json("clean")
    road.assert_final_state()


def test_only_instructions_are_no_work(road: Road) -> None:
    road.spawn()
    add_by_force(road.at("one"))
    road.at("one").git("commit", "-qm", "instructions")
    road.approve("one")
    assert [(one["agent"], one["reason"]) for one in road.merge(code=1)["evicted"]] == [("one", "empty")]
    road.assert_final_state()


def test_notes_are_kept_with_the_landed_commit(road: Road) -> None:
    road.ready("one")
    commit = road.merge("one")["landed"][0]["commit"]
    assert "A thing that works." in road.checkout.git("notes", "--ref=orchestra", "show", commit)
    road.json("clean")
    assert "A thing that works." in road.checkout.git("notes", "--ref=orchestra", "show", commit)
    road.assert_final_state()


def test_repository_that_tracks_our_names_is_refused(make_road: MakeRoad) -> None:
    road = make_road(files={"TASK.md": "a task of the team's own\n"})
    assert "the repository tracks TASK.md" in road.refused("spawn", "--blueprint", str(road.blueprint))
    assert not (road.folder / "wt").exists()
    assert road.refs("refs/orchestra/") == {}


def test_users_own_excludes_hold_everywhere_and_ours_only_with_the_agents(road: Road, tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("*.log\n")
    road.checkout.git("config", "core.excludesFile", str(tmp_path / "ignore"))
    road.spawn()
    road.at("one").write({"x.log": "x\n", "sub/TASK.md": "a file of the project\n"})
    assert road.at("one").git("status", "--porcelain", "-uall") == "?? sub/TASK.md"
    road.checkout.write({"TASK.md": "the person's own\n", "y.log": "y\n"})
    assert road.checkout.git("status", "--porcelain") == "?? TASK.md"
    (road.checkout.path / "TASK.md").unlink()
    road.work("one", {})
    road.approve("one")
    road.merge("one")
    assert "sub/TASK.md" in road.checkout.tree()
    road.json("clean")
    road.assert_final_state()
