"""Repositories of every kind: each works, or is refused with a word that says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Checkout, MakeRepository

from .conftest import FILES, MakeRoad
from .road import Road


def walk(road: Road, target: str = "main", *, clean: bool = True) -> None:
    """One agent from spawn to clean."""
    road.ready("one")
    assert [one["agent"] for one in road.merge("one")["landed"]] == ["one"]
    assert "one.txt" in road.checkout.tree(target)
    road.json("clean")
    assert not road.at("one").path.exists()
    road.assert_final_state(target, clean=clean)


def test_no_commit_yet(make_road: MakeRoad, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path / "new")], check=True)
    road = make_road(at=tmp_path / "new")
    assert "no commit yet; commit at least one file there" in road.refused("spawn", "--blueprint", str(road.blueprint))
    assert road.run("status", "--blueprint", str(road.blueprint)).code == 0
    assert "no commit yet" in road.refused("merge", "--blueprint", str(road.blueprint))
    assert road.refs("refs/") == {}
    assert not (tmp_path / "wt").exists()


def test_no_repository(make_road: MakeRoad, tmp_path: Path) -> None:
    road = make_road()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for task in ("spawn", "status", "merge", "clean"):
        assert "not inside a git repository" in road.refused(task, "--blueprint", str(road.blueprint), cwd=elsewhere)
    assert "is not a folder" in road.refused("status", "--repo", str(tmp_path / "missing"), code=2)
    assert "which blueprint?" in road.refused("status", code=2)


def test_detached_head(road: Road) -> None:
    road.checkout.git("checkout", "-q", "--detach")
    assert "HEAD is detached" in road.refused("spawn", "--blueprint", str(road.blueprint))
    road.fleet("one", target="main")
    walk(road)
    assert road.checkout.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert not (road.checkout.path / "one.txt").exists()  # that checkout is not the target's


def test_current_folder_is_a_linked_worktree_and_git_variables_point_elsewhere(
    road: Road, make_repository: MakeRepository
) -> None:
    other = make_repository(name="other")
    road.env |= {
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(other.path / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.path / ".git/objects"),
        "GIT_NAMESPACE": "elsewhere",
        "GIT_PREFIX": "src/",
        "GIT_AUTHOR_NAME": "Nobody",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    linked = road.folder / "linked"
    road.checkout.git("worktree", "add", "-q", "-b", "mine", str(linked))
    before = other.git("for-each-ref"), other.git("status", "--porcelain", "--ignored")
    road.fleet("one", "two", target="main")
    road.run("spawn", "--blueprint", str(road.blueprint), cwd=linked / "src")
    assert road.at("one").path == road.folder / "wt/agent-1"
    road.work("one")
    road.run("approve", "one", cwd=road.at("two").path)
    road.run("merge", "one", cwd=linked)
    road.run("clean", cwd=linked)
    assert road.landed_agents() == ["one"]
    assert road.checkout.git("log", "-1", "--format=%an") == "Ada Test"
    assert (other.git("for-each-ref"), other.git("status", "--porcelain", "--ignored")) == before
    road.assert_final_state()


def test_target_in_the_middle_of_something(road: Road) -> None:
    road.ready("one")
    git = road.checkout.git
    git("checkout", "-q", "-b", "side")
    road.checkout.commit("side", {"README.md": "side\n"})
    git("checkout", "-q", "main")
    road.checkout.commit("other", {"README.md": "main\n"})
    for state, command, abort in (
        ("merge", "merge side", "merge --abort"),
        ("rebase", "rebase side", "rebase --abort"),
        ("bisect", "bisect start HEAD HEAD~1", "bisect reset"),
        ("cherry-pick", "cherry-pick side", "cherry-pick --abort"),
        ("revert", "revert --no-commit HEAD", "revert --abort"),
    ):
        git(*command.split(), ok=False)
        before = road.snapshot()
        said = road.refused("merge", "one")
        assert f"in the middle of a {state}" in said
        assert abort in said
        assert road.snapshot() == before
        git(*abort.split())
    assert len(road.merge("one")["landed"]) == 1
    road.assert_final_state()


def test_another_branch_in_the_middle_of_a_merge_is_nobodys_business(road: Road) -> None:
    road.fleet("one", target="main").ready("one")
    git = road.checkout.git
    git("checkout", "-q", "-b", "side")
    road.checkout.commit("side", {"README.md": "side\n"})
    git("checkout", "-q", "-b", "elsewhere", "main")
    road.checkout.commit("other", {"README.md": "main\n"})
    git("merge", "side", ok=False)
    assert len(road.merge("one")["landed"]) == 1
    assert git("status", "--porcelain") == "UU README.md"
    git("merge", "--abort")
    road.assert_final_state()


@pytest.mark.parametrize("folder", ["Ünïcode and spaces", "-dash", "quote'\"s $HOME %s", "new\nline"])
def test_paths_that_are_hard_to_spell(
    make_road: MakeRoad, make_repository: MakeRepository, tmp_path: Path, folder: str
) -> None:
    make_repository(FILES, name=f"{folder}/re po")
    walk(make_road(at=tmp_path / folder / "re po", name="f"))


def test_bare_repository_with_worktrees(make_road: MakeRoad, make_repository: MakeRepository, tmp_path: Path) -> None:
    made = make_repository(FILES)
    made.git("clone", "-q", "--bare", ".", str(tmp_path / "bare/main.git"))
    bare = Checkout(tmp_path / "bare/main.git")
    bare.git("remote", "remove", "origin")
    bare.git("worktree", "add", "-q", "../desk", "main")
    road = make_road(at=bare.path, target="main")
    walk(road)
    desk = Checkout(tmp_path / "bare/desk")
    assert desk.git("status", "--porcelain") == ""
    assert (desk.path / "one.txt").exists()


def test_dot_git_is_a_bare_folder_beside_its_worktrees(make_road: MakeRoad, tmp_path: Path) -> None:
    """The layout ``project/.bare`` with ``project/.git`` a file that names it."""
    place = tmp_path / "project"
    place.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(place / ".bare")], check=True)
    (place / ".git").write_text("gitdir: ./.bare\n")
    bare = Checkout(place)
    empty = bare.git("hash-object", "-t", "tree", "-w", "/dev/null")
    bare.git("update-ref", "refs/heads/main", bare.git("commit-tree", empty, "-m", "one"))
    bare.git("worktree", "add", "-q", "main")
    road = make_road(at=place / "main")
    walk(road)


def test_separate_git_folder_and_a_link_to_the_checkout(make_road: MakeRoad, tmp_path: Path) -> None:
    subprocess.run(
        [
            "git",
            "init",
            "-q",
            "-b",
            "main",
            f"--separate-git-dir={tmp_path / 'store.git'}",
            str(tmp_path / "real/repo"),
        ],
        check=True,
    )
    Checkout(tmp_path / "real/repo").commit("one", FILES)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    road = make_road(at=tmp_path / "link/repo")
    road.main_checkout = tmp_path / "real/repo"
    road.spawn()
    assert "name that with --repo" in road.refused("status", cwd=road.at("two").path)
    walk(road)


def test_sha256(make_road: MakeRoad, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256", str(tmp_path / "new")], check=True)
    Checkout(tmp_path / "new").commit("one", FILES)
    walk(make_road(at=tmp_path / "new"))


def test_reftable(make_road: MakeRoad, tmp_path: Path) -> None:
    made = subprocess.run(
        ["git", "init", "-q", "-b", "main", "--ref-format=reftable", str(tmp_path / "new")], check=False
    )
    if made.returncode:
        pytest.skip("this git has no reftable")
    Checkout(tmp_path / "new").commit("one", FILES)
    walk(make_road(at=tmp_path / "new"))


@pytest.mark.parametrize("kind", ["shallow", "partial", "alternates"])
def test_clones_that_lack_objects(
    make_road: MakeRoad, make_repository: MakeRepository, tmp_path: Path, kind: str
) -> None:
    source = make_repository(FILES, {"a.txt": "a\n"}, {"a.txt": "b\n"}, name="source")
    source.git("config", "uploadpack.allowFilter", "true")
    options = {"shallow": ["--depth=1"], "partial": ["--filter=blob:none"], "alternates": ["--shared"]}[kind]
    url = f"file://{source.path}" if kind != "alternates" else str(source.path)
    subprocess.run(["git", "clone", "-q", *options, url, str(tmp_path / "repo")], check=True)
    walk(make_road(at=tmp_path / "repo"))


def test_submodules(make_road: MakeRoad, make_repository: MakeRepository) -> None:
    library = make_repository({"lib.txt": "lib\n"}, {"lib.txt": "lib 2\n"}, name="library")
    road = make_road(
        gates={"lib": {"run": "grep -q lib library/lib.txt"}},
        worktrees={"root": "../wt", "setup": {"run": ["git submodule update --init -q"]}},
    )
    road.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    git = road.checkout.git
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.path), "library")
    git("-C", "library", "checkout", "-q", "HEAD~1")
    road.checkout.commit("with a library")
    road.spawn()
    assert (road.at("one").path / "library/lib.txt").read_text() == "lib\n"
    Checkout(road.at("one").path / "library").git("checkout", "-q", library.git("rev-parse", "HEAD"))
    road.work("one")
    road.approve("one")
    assert len(road.merge("one")["landed"]) == 1
    assert library.git("rev-parse", "HEAD") in git("ls-tree", "main", "library")
    assert git("status", "--porcelain") == " M library"  # as after any pull: submodules are the user's to update
    git("-c", "protocol.file.allow=always", "submodule", "update", "-q")
    road.json("clean")
    assert not road.at("one").path.exists()
    road.assert_final_state()


def test_line_ends_modes_links_renames_and_bytes(make_road: MakeRoad) -> None:
    road = make_road(
        "one",
        "two",
        files={
            ".gitattributes": "*.txt text\n*.bin binary\nfixed.txt eol=lf\n",
            "run.sh": "echo\n",
            "x.bin": b"\0\r\n\1",
        },
        gates={"check": {"run": "test -x run.sh && test -L link && test ! -e README.md && test -f sub/README.md"}},
    )
    git = road.checkout.git
    git("config", "core.autocrlf", "true")
    git("config", "core.safecrlf", "true")
    git("rm", "-q", "--cached", "-r", ".")
    git("reset", "-q", "--hard")
    road.spawn()
    place = road.at("one")
    assert (place.path / "src/app.txt").read_bytes().startswith(b"line 0\r\n")
    (place.path / "run.sh").chmod(0o755)
    (place.path / "link").symlink_to("nowhere/at all")
    (place.path / "sub").mkdir()
    place.git("mv", "README.md", "sub/README.md")
    road.work("one", {"x.bin": b"\0\r\n\2\n", "crlf.txt": "a\r\nb\r\n", "fixed.txt": "a\n", "empty": ""})
    road.work("two", {"README.md": "# sample\r\nmore\r\n"})
    road.approve("one", "two")
    assert road.status()["one"]["uncommitted_files"] == 0
    report = road.merge()
    assert len(report["landed"]) == 2
    assert road.checkout.read("crlf.txt") == "a\nb"
    assert road.checkout.read("sub/README.md") == "# sample\nmore"  # followed through the rename
    assert git("status", "--porcelain") == ""
    assert (road.checkout.path / "crlf.txt").read_bytes() == b"a\r\nb\r\n"
    assert os.access(road.checkout.path / "run.sh", os.X_OK)
    assert (road.checkout.path / "x.bin").read_bytes() == b"\0\r\n\2\n"
    road.json("clean")
    road.assert_final_state()


def test_hooks_and_signing_of_the_user(road: Road) -> None:
    """Neither runs for what orchestra does; the agent's own commits are the agent's affair."""
    git = road.checkout.git
    hooks = road.checkout.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction", "post-merge", "pre-push"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {road.folder}/ran\n[ {name} != pre-commit ]\n")
        (hooks / name).chmod(0o755)
    for key, value in {
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "gpg.program": "/bin/false",
        "user.signingKey": "none",
        "push.gpgSign": "if-asked",
        "core.pager": "false",
        "diff.external": "/bin/false",
        "core.fsmonitor": "/bin/false",
        "alias.status": "!false",
        "push.default": "nothing",
        "diff.noprefix": "true",
        "status.showUntrackedFiles": "no",
        "status.renames": "copies",
        "log.date": "relative",
        "color.ui": "always",
        "core.quotePath": "true",
        "merge.conflictStyle": "diff3",
        "merge.ff": "only",
        "merge.renames": "false",
        "worktree.guessRemote": "true",
        "extensions.worktreeConfig": "true",
        "core.logAllRefUpdates": "false",
        "notes.rewriteRef": "refs/notes/*",
        "format.pretty": "oneline",
        "column.ui": "always",
        "submodule.recurse": "true",
    }.items():
        git("config", key, value)
    road.spawn()
    place = road.at("one")
    place.write({"one.txt": "one\n", "AGENT_NOTES.md": "# N\n\n## What I Built\n\nx\n"})
    place.git("add", "one.txt")
    place.git("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "commit", "-qm", "one")
    (road.folder / "ran").unlink(missing_ok=True)
    road.run("request-changes", "one", "--message", "more")
    road.approve("one")
    assert road.run("review", "one").out
    road.merge("one")
    assert not (road.folder / "ran").exists()
    road.json("clean")
    assert road.landed_agents() == ["one"]
    git("config", "--unset", "status.showUntrackedFiles")
    road.assert_final_state()


def test_sparse_checkout_and_files_marked_as_unchanged(road: Road) -> None:
    git = road.checkout.git
    git("sparse-checkout", "set", "src")
    walk(road)
    assert git("config", "core.sparseCheckout") == "true"


def test_empty_commits_and_merge_commits_of_an_agent(road: Road) -> None:
    road.spawn()
    base = road.at("one")
    base.commit("nothing at all")
    road.work("one")
    base.git("checkout", "-q", "-b", "topic")
    base.commit("topic", {"topic.txt": "topic\n", "src/app.txt": "topic\n"})
    base.git("checkout", "-q", "agent/f/one")
    base.commit("here", {"src/app.txt": "here\n"})
    base.git("merge", "-q", "topic", ok=False)
    base.commit("merged", {"src/app.txt": "both\n"})
    road.approve("one")
    assert road.merge("one")["landed"]
    assert road.checkout.read("src/app.txt") == "both"
    assert "topic.txt" in road.checkout.tree()
    assert road.landed_agents() == ["one"]
    road.json("clean")
    road.assert_final_state()


def test_target_is_not_what_is_checked_out_and_a_tag_has_its_name(road: Road) -> None:
    git = road.checkout.git
    git("branch", "release/1", "main")
    git("tag", "release/1", "main")
    git("tag", "agent/f/one", "main")
    road.checkout.commit("main goes on", {"later.txt": "x\n"})
    road.fleet("one", target="release/1")
    walk(road, "refs/heads/release/1")
    assert "later.txt" not in road.checkout.tree("refs/heads/release/1")
    assert "one.txt" not in road.checkout.tree("main")


def test_repository_moved_between_two_commands(road: Road) -> None:
    """``git worktree repair`` is git's own mend, spawn is ours."""
    road.ready("one")
    (road.folder / "away").mkdir()
    shutil.move(str(road.checkout.path), str(road.folder / "away/repo"))
    shutil.move(str(road.folder / "wt"), str(road.folder / "away/wt"))
    moved = Road(Checkout(road.folder / "away/repo"), road.folder, declared=road.declared)
    moved.checkout.git("worktree", "repair", *(str(moved.at(name).path) for name in ("one", "two", "three")))
    moved.run("spawn")  # where our excludes are has changed
    assert moved.status()["one"]["verdict"] == "approved"
    assert moved.at("one").git("status", "--porcelain") == ""
    assert len(moved.merge("one")["landed"]) == 1
    moved.json("clean")
    moved.assert_final_state()


def test_the_target_stays_what_it_was_at_spawn(road: Road) -> None:
    """A blueprint that names no target: whatever the person checks out meanwhile is not where the work lands."""
    git = road.checkout.git
    road.ready("one")
    git("switch", "-q", "-c", "mine")
    assert road.json("status")["target"]["branch"] == "main"
    assert road.spawn()["steps"] == []
    assert road.merge("one")["target"]["branch"] == "main"
    assert "one.txt" not in road.checkout.tree("mine")
    road.fleet("one", "two", "three", target="mine")  # said by name, it counts
    road.work("two")
    road.approve("two")
    assert road.merge("two")["target"]["branch"] == "mine"
    road.assert_final_state("mine")


def test_a_submodule_as_the_repository(road: Road, make_road: MakeRoad) -> None:
    outer = road.folder / "outer"
    subprocess.run(["git", "init", "-q", str(outer)], check=True)
    add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", str(road.checkout.path), "inner"]
    Checkout(outer).git(*add)
    inner = make_road("one", at=outer / "inner", worktrees={"root": "../../wt2"})
    inner.checkout.git("remote", "remove", "origin")
    inner.main_checkout = outer / "inner"
    inner.ready("one")
    inner.run("status", cwd=inner.at("one").path)
    assert len(inner.merge()["landed"]) == 1
    inner.json("clean")
    inner.assert_final_state()
