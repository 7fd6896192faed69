"""Odd but real: index formats, half-finished states of the person's checkout, no identity, forged trailers, links."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import MakeRoad
from .road import Road


@pytest.mark.parametrize(
    "settings",
    [
        {"core.splitIndex": "true", "core.untrackedCache": "true"},
        {"feature.manyFiles": "true", "index.version": "4", "core.fsyncMethod": "batch"},
        {"index.threads": "4", "core.preloadIndex": "true", "core.checkStat": "minimal", "core.trustctime": "false"},
        {"core.fileMode": "false", "core.symlinks": "false", "core.ignoreCase": "true"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_index_formats(road: Road, settings: dict[str, str]) -> None:
    for key, value in settings.items():
        road.checkout.git("config", key, value)
    road.checkout.git("update-index", "--refresh")
    road.checkout.commit("in that format", {"x.txt": "x\n"})
    road.ready("one", "two", two={"src/app.txt": "two\n", "README.md": None})
    road.checkout.write({"mine.txt": "mine\n", "x.txt": "mine\n"})
    road.checkout.git("add", "mine.txt")
    assert len(road.merge("one", "two")["landed"]) == 2
    assert road.checkout.git("status", "--porcelain") == "A  mine.txt\n M x.txt"
    assert not (road.checkout.path / "README.md").exists()
    road.json("clean")
    road.assert_final_state(clean=False)


def test_unmerged_entries_elsewhere(road: Road) -> None:
    """After ``git stash pop`` with conflicts: nothing says that a merge is under way, but the index is unmerged."""
    road.ready("one")
    git = road.checkout.git
    road.checkout.write({"README.md": "stashed\n"})
    git("stash", "--quiet")
    road.checkout.commit("other", {"README.md": "other\n"})
    git("stash", "pop", ok=False)
    assert git("status", "--porcelain") == "UU README.md"
    content = (road.checkout.path / "README.md").read_text()
    assert "README.md" in road.refused("merge", "one")
    assert (road.checkout.path / "README.md").read_text() == content
    assert git("status", "--porcelain") == "UU README.md"
    git("checkout", "-q", "HEAD", "--", "README.md")
    assert len(road.merge("one")["landed"]) == 1
    road.assert_final_state()


def test_intended_additions_and_renames_of_the_person(road: Road) -> None:
    road.ready("one")
    git = road.checkout.git
    road.checkout.write({"later.txt": "later\n"})
    git("add", "--intent-to-add", "later.txt")
    git("mv", "README.md", "READ.md")
    before = git("status", "--porcelain")
    assert len(road.merge("one")["landed"]) == 1
    assert git("status", "--porcelain") == before
    assert (road.checkout.path / "one.txt").exists()
    road.assert_final_state(clean=False)


def test_work_outside_a_sparse_checkout(make_road: MakeRoad) -> None:
    road = make_road("one", files={"docs/a.txt": "a\n", "lib/b.txt": "b\n"})
    road.checkout.git("sparse-checkout", "set", "src")
    road.spawn()
    assert not (road.at("one").path / "docs").exists()  # as the person has it
    road.at("one").git("sparse-checkout", "disable")
    road.work("one", {"docs/a.txt": "changed\n", "docs/new.txt": "new\n", "src/new.txt": "new\n"})
    road.approve("one")
    assert len(road.merge()["landed"]) == 1
    assert road.checkout.read("docs/a.txt") == "changed"
    assert not (road.checkout.path / "docs").exists()
    assert (road.checkout.path / "src/new.txt").exists()
    road.json("clean")
    road.assert_final_state()


def test_nobody_is_known_to_git(road: Road) -> None:
    road.spawn()
    road.work("one")
    road.work("two")
    empty = road.folder / "empty"
    empty.write_text("[user]\n\tuseConfigOnly = true\n")
    road.env["GIT_CONFIG_GLOBAL"] = str(empty)
    road.run("request-changes", "two", "--message", "more")
    road.run("approve", "one")
    road.at("one").write({"left.txt": "left\n"})
    commit = road.merge("one")["landed"][0]["commit"]
    assert road.checkout.git("log", "-1", "--format=%cn", "main") == "Ada Test"  # as the agent committed it
    assert "A thing that works" in road.checkout.git("notes", "--ref=orchestra", "show", commit)
    road.json("clean")
    assert road.checkout.read("left.txt", "refs/orchestra/f/one/saved/1") == "left"
    road.assert_final_state()


def test_trailers_that_an_agent_forges(road: Road) -> None:
    road.spawn()
    road.at("one").write({"one.txt": "one\n"})
    road.at("one").git("add", ".")
    text = "work\n\nOrchestra-Agent: two\nOrchestra-Fleet: other\nReviewed-by: Nobody <n@n>\n"
    road.at("one").git("commit", "-q", "-F", "-", stdin=text.encode())
    road.approve("one")
    road.merge("one")
    assert road.landed_agents() == ["one"]
    fleets = road.checkout.git("log", "-1", "--format=%(trailers:key=Orchestra-Fleet,valueonly)", "main").split()
    assert fleets == ["f"]
    assert "Reviewed-by: Nobody" in road.checkout.git("log", "-1", "--format=%B", "main")
    assert {name: row["landed"] is not None for name, row in road.status().items()} == {
        "one": True,
        "two": False,
        "three": False,
    }


def test_links_in_the_place_of_worktrees(road: Road) -> None:
    """Cleaning never follows a link out to somebody's files."""
    road.ready("one", "two")
    precious = road.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious\n")
    shutil.rmtree(road.at("one").path)
    road.at("one").path.symlink_to(precious)
    moved = road.folder / "moved"
    road.at("two").path.rename(moved)
    road.at("two").path.symlink_to(moved)
    (moved / "mine.txt").write_text("mine\n")
    road.run("status")
    road.merge("one", "two")
    road.json("clean")
    assert (precious / "file").read_text() == "precious\n"
    saved = [name for name in road.refs() if name.startswith("two/saved/")]
    assert (moved / "mine.txt").exists() or saved


def test_set_up_brings_files_and_says_who_is_not_ready(make_road: MakeRoad) -> None:
    road = make_road(
        files={".gitignore": ".env\nnode_modules/\n*.local\n", ".worktreeinclude": "*.local\n"},
        worktrees={
            "root": "../wt",
            "setup": {
                "copy": [".env"],
                "share": ["node_modules"],
                "env": {"PORT": "{{ 3000 + agent.number }}"},
                "run": ["test $PORT != 3002 || { echo no port; exit 7; }", "echo $PORT > port.local"],
                "teardown": ["cat port.local >> ../../torn"],
            },
        },
    )
    road.checkout.write({".env": "SECRET=1\n", "a.local": "a\n", "node_modules/m/index.js": "1\n"})
    made = road.spawn(code=1)
    ready = {one["name"]: one["ready"] for one in made["agents"]}
    assert ready == {"one": "ready", "two": "not-ready", "three": "ready"}
    assert "no port" in Path(made["agents"][1]["log"]).read_text()
    one = road.at("one")
    assert (one.path / ".env").read_text() == "SECRET=1\n"
    assert (one.path / "a.local").exists()
    assert (one.path / "node_modules/m/index.js").exists()
    assert one.git("status", "--porcelain") == ""
    assert road.status()["two"]["state"] == "not-ready"
    road.work("one")
    road.approve("one")
    road.merge("one")
    road.json("clean")
    assert (road.folder / "torn").read_text() == "3001\n"
    assert "SECRET" not in "".join(road.checkout.tree())
    road.assert_final_state()


def test_rebase_that_lands_nothing_twice_after_a_manual_merge(road: Road) -> None:
    """The person merges an agent's branch by hand, or cherry-picks a part of it: the rest lands, nothing twice."""
    road.spawn()
    road.work("one", {"a.txt": "a\n"})
    road.work("one", {"b.txt": "b\n"})
    road.work("two")
    road.approve("one", "two")
    road.checkout.git("cherry-pick", "agent/f/one~1")
    road.checkout.git("merge", "-q", "--no-edit", "agent/f/two")
    report = road.merge("one", "two")
    assert [one["agent"] for one in report["landed"]] == ["one"]
    assert report["recovered"] == ["recorded that two had been merged by hand"]
    assert road.status()["two"]["state"] == "landed"
    assert road.checkout.git("log", "--format=%s", "main", "--", "a.txt").splitlines() == ["one works"]
    road.assert_final_state()
