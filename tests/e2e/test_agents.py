"""Agents that do to their worktree and branch what nobody told them to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout

from .conftest import MakeRoad
from .road import Road


def test_deletes_its_worktree(road: Road) -> None:
    road.ready("one", "two")
    shutil.rmtree(road.at("one").path)
    assert road.status()["one"]["uncommitted_files"] is None
    assert len(road.merge("one")["landed"]) == 1  # what was approved is in the branch
    shutil.rmtree(road.at("two").path)
    road.run("spawn")
    assert (road.at("two").path / "two.txt").exists()
    assert (road.at("two").path / "TASK.md").exists()
    assert road.status()["two"]["verdict"] == "approved"
    road.merge("two")
    road.json("clean")
    road.assert_final_state()


def test_moves_its_worktree_by_hand(road: Road) -> None:
    road.ready("one")
    road.at("one").path.rename(road.folder / "wt/elsewhere")
    road.run("status")
    assert len(road.merge("one")["landed"]) == 1
    road.json("clean")
    assert (road.folder / "wt/elsewhere/one.txt").exists()


def test_switches_branch_detaches_or_takes_the_target(road: Road) -> None:
    road.ready("one", "two", "three")
    road.at("one").git("switch", "-q", "-c", "my/own")
    later = road.at("one").commit("on its own branch", {"own.txt": "own\n"})
    road.at("two").git("checkout", "-q", "--detach")
    detached = road.at("two").commit("on no branch", {"detached.txt": "x\n"})
    road.checkout.git("switch", "-q", "-c", "desk")
    road.at("three").git("switch", "-q", "main")  # the target, in an agent's worktree
    rows = road.status()
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(rows, "approved")
    report = road.merge()
    assert len(report["landed"]) == 3
    assert not {"own.txt", "detached.txt"} & set(road.checkout.tree("main"))
    assert road.at("three").git("status", "--porcelain") == ""  # brought along, as any checkout of the target
    assert (road.at("three").path / "one.txt").exists()
    skipped = {one["agent"]: one["reason"] for one in road.json("clean")["skipped"]}
    assert road.checkout.git("merge-base", "--is-ancestor", later, "my/own") == ""
    saved = road.checkout.git("for-each-ref", "--contains", detached, "--format=%(refname)")
    assert saved or "two" in skipped, skipped
    road.assert_final_state()


def test_deletes_its_branch(road: Road) -> None:
    road.ready("one", "two")
    head = road.refs()["one/approved"]
    road.at("one").git("checkout", "-q", "--detach")
    road.checkout.git("branch", "-q", "-D", "agent/f/one")
    road.checkout.git("branch", "-q", "-m", "agent/f/two", "agent/f/renamed")
    assert road.status()["one"]["head"] is None
    report = road.merge("one", "two", code=1)
    assert {one["agent"]: one["reason"] for one in report["waiting"]} == {
        "one": "branch agent/f/one does not exist",
        "two": "branch agent/f/two does not exist",
    }
    for words in (["approve", "one"], ["discard", "one", "--reason", "x"]):
        assert "does not exist" in road.refused(*words)
    road.run("review", "one", code=2)
    road.checkout.git("branch", "-q", "-m", "agent/f/renamed", "agent/f/two")
    road.checkout.git("branch", "agent/f/one", head)
    assert len(road.merge("one", "two")["landed"]) == 2
    road.json("clean")
    road.assert_final_state()


def test_rewrites_its_branch(road: Road) -> None:
    """Amended after approval; orphaned; put onto somebody else's work; reset to the base."""
    road.ready("one", "two", "three")
    road.at("one").git("commit", "-q", "--amend", "--message", "amended")
    two = road.at("two")
    two.git("checkout", "-q", "--orphan", "other")
    two.commit("orphan", {"orphan.txt": "x\n"})
    two.git("branch", "-f", "agent/f/two", "other")
    road.at("three").git("reset", "-q", "--hard", "HEAD~1")
    assert {row["verdict"] for row in road.status().values()} == {"stale"}
    report = road.merge(code=1)
    assert len(report["waiting"]) == 3
    road.approve("one", "two")
    assert "no commits" in road.refused("approve", "three", code=2)
    report = road.merge("one", "two", code=1)
    assert [one["agent"] for one in report["landed"]] == ["one"]
    assert [(one["agent"], one["reason"]) for one in report["evicted"]] == [("two", "conflict")]
    assert "shares no history" in report["evicted"][0]["detail"]
    road.assert_final_state()


def test_works_on_top_of_another_agent(road: Road) -> None:
    """Its branch holds the other's commits: with the other approved they land once, by their own agent."""
    road.spawn()
    road.work("one")
    road.at("two").git("merge", "-q", "agent/f/one")
    road.work("two")
    road.approve("one", "two")
    report = road.merge("one", "two")
    assert [one["agent"] for one in report["landed"]] == ["one", "two"]
    assert road.checkout.git("log", "--format=%s", "main").splitlines()[:2] == ["two works", "one works"]
    road.assert_final_state()


@pytest.mark.parametrize("state", ["rebase", "lock", "merge", "junk-index", "broken-link", "no-git"])
def test_leaves_its_worktree_in_a_state(road: Road, state: str) -> None:
    """The train takes the branch, not the worktree; status and clean say what they could not look at."""
    road.ready("one", "two")
    place, head = road.at("one"), road.refs()["one/approved"]
    admin = Path(place.git("rev-parse", "--absolute-git-dir"))
    if state in ("rebase", "merge"):
        place.git("switch", "-q", "-c", "side", "main")
        place.commit("side", {"one.txt": "another\n"})
        place.git("switch", "-q", "agent/f/one")
        place.git(state, "side", ok=False)
    elif state == "lock":
        (admin / "index.lock").touch()
    elif state == "junk-index":
        (admin / "index").write_text("junk")
    elif state == "broken-link":
        (place.path / ".git").write_text("gitdir: /nowhere\n")
    else:
        (place.path / ".git").unlink()
    place.write({"precious.txt": "not committed\n"})
    assert road.status()["one"]["head"] == head
    assert road.run("review", "two").code == 0
    assert road.run("spawn", code=3 if state == "no-git" else 0) if state in ("no-git", "broken-link") else True
    report = road.merge("one", "two")
    assert {one["agent"] for one in report["landed"]} == {"one", "two"}, report
    done = road.json("clean")
    precious = place.path / "precious.txt"
    saved = [ref for name, ref in road.refs().items() if name.startswith("one/saved/")]
    kept = [ref for ref in saved if "precious.txt" in road.checkout.tree(ref)]
    assert precious.exists() or kept, done
    assert not road.at("two").path.exists()


HOSTILE = [
    "new\nline.txt",
    'quote".txt',
    "apo'strophe.txt",
    "-rf",
    "--force.txt",
    ":(top)magic.txt",
    ":!not.txt",
    "*.txt",
    "[a].txt",
    "back\\slash.txt",
    "tab\t.txt",
    " space at both ends ",
    "\x1b[31mred.txt",
    "ünï/cödé.txt",
    ".gitignored/x",
    ".github/workflows/x.yml",
    "$(touch pwned)",
    "a" * 200,
    "deep/" * 40 + "x",
    "HEAD",
    "refs/heads/main",
]


def test_hostile_file_names(make_road: MakeRoad) -> None:
    road = make_road(
        "one", "two", "three", gates={"scope": {"builtin": "scope", "policy": "warn"}}, protected=["*.txt"]
    )
    road.spawn()
    place = road.at("one")
    files: dict[str, str | bytes | None] = dict.fromkeys(HOSTILE, "x\n")
    for name, content in files.items():
        target = place.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(str(content))
    Path(os.fsdecode(os.fsencode(place.path) + b"/latin\xe9.txt")).write_text("x\n")
    road.work("one", {})
    road.approve("one")
    assert len(road.status()["one"]["scope_findings"]) > 0
    assert "\x1b[31m" not in road.run("review", "one").out
    assert road.json("review", "one")["agent"] == "one"
    assert len(road.merge("one")["landed"]) == 1
    landed = set(road.checkout.tree())
    assert set(HOSTILE) <= landed
    assert road.checkout.git("status", "--porcelain") == ""
    assert (road.checkout.path / "new\nline.txt").exists()

    # Both change the same oddly named files: the conflict is told, and found again.
    for agent in ("two", "three"):
        road.at(agent).git("reset", "-q", "--hard", "main")
        for name in HOSTILE:
            (road.at(agent).path / name).write_text(f"{agent}\n")
        road.work(agent, {})
    road.approve("two", "three")
    road.checkout.write({"*.txt": "mine\n"})
    assert "*.txt" in road.refused("merge")
    road.checkout.git("checkout", "-q", "--", ":(literal)*.txt")
    report = road.merge(code=1)
    assert [one["agent"] for one in report["landed"]] == ["two"]
    assert report["evicted"][0]["with"] == ["two"]  # three was begun on what one landed
    assert road.checkout.git("status", "--porcelain") == ""
    road.json("clean")
    road.assert_final_state()


def test_names_that_git_refuses_in_a_checkout(make_road: MakeRoad) -> None:
    """Trees made by hand, as no ``git add`` makes them: they never become the target."""
    road = make_road("one", "two", "three", "four")
    road.spawn()
    blob = road.checkout.git("hash-object", "-w", "--stdin", stdin=b"#!/bin/sh\ntouch pwned\n")
    hook = road.checkout.git("mktree", stdin=f"100755 blob {blob}\tpost-checkout\n".encode())
    hooks = road.checkout.git("mktree", stdin=f"040000 tree {hook}\thooks\n".encode())
    trees = {"one": ".git", "two": ".GIT", "three": "..", "four": "git~1"}
    for agent, name in trees.items():
        rows = road.checkout.git("ls-tree", "main") + f"\n040000 tree {hooks}\t{name}\n"
        tree = road.checkout.git("mktree", stdin=rows.encode())
        commit = road.checkout.git("commit-tree", tree, "-p", "main", "-m", "hostile")
        road.checkout.git("update-ref", f"refs/heads/agent/f/{agent}", commit)
    before = road.checkout.git("rev-parse", "main")
    road.approve(*trees)
    report = road.merge(code=1)
    assert report["landed"] == []
    assert {one["agent"] for one in report["evicted"]} == set(trees), report
    assert road.checkout.git("rev-parse", "main") == before
    assert not (road.common / "hooks/post-checkout").exists()


def test_messages_and_authors_are_kept(road: Road) -> None:
    road.spawn()
    place = road.at("one")
    place.write({"one.txt": "one\n"})
    place.git("add", ".")
    text = "sübject\n\nbody with ' and \" and $(x)\n\nSigned-off-by: A <a@b>\n"
    date = "2001-02-03T04:05:06 +0530"
    place.git("commit", "-qF", "-", "--author=Ünï <u@x>", f"--date={date}", stdin=text.encode())
    odd = ["-c", "i18n.commitEncoding=latin1", "commit", "-q", "--allow-empty-message", "-F", "-"]
    place.write({"two.txt": "two\n"})
    place.git("add", ".")
    place.git(*odd, stdin="latin é\n".encode("latin1"))
    road.approve("one")
    road.merge("one")
    told = road.checkout.git("log", "--format=%an <%ae> %ad%n%B", "--date=iso-strict", "main~1")
    assert told.startswith("Ünï <u@x> 2001-02-03T04:05:06+05:30\nsübject\n\nbody with")
    assert "Signed-off-by: A <a@b>\nOrchestra-Agent: one\nOrchestra-Fleet: f" in told
    assert road.checkout.git("log", "-1", "--format=%s", "main") == "latin é"
    road.assert_final_state()


def test_a_conflict_by_rule_is_settled(make_road: MakeRoad) -> None:
    road = make_road(
        "one", "two", files={"CHANGELOG.md": "# Changes\n"}, merge={"conflicts": {"CHANGELOG.md": "union"}}
    )
    road.spawn()
    for name in ("one", "two"):
        road.work(name, {"CHANGELOG.md": f"# Changes\n- {name}\n"})
    road.approve("one", "two")
    assert len(road.merge()["landed"]) == 2
    assert road.checkout.read("CHANGELOG.md").splitlines() == ["# Changes", "- one", "- two"]
    road.assert_final_state()


def test_work_that_is_not_committed_is_saved_by_clean(road: Road) -> None:
    road.ready("one")
    place = road.at("one")
    place.write({"one.txt": "changed after\n", "new.txt": "new\n", "staged.txt": "staged\n", ".env": "SECRET=1\n"})
    place.git("add", "staged.txt")
    road.merge("one")
    road.json("clean")
    saved = Checkout(road.checkout.path)
    ref = "refs/orchestra/f/one/saved/1"
    assert saved.read("one.txt", ref) == "changed after"
    assert saved.read("new.txt", ref) == "new"
    assert saved.read("staged.txt", ref) == "staged"
    assert not place.path.exists()
    road.assert_final_state()
