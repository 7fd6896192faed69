"""Trees that a server would refuse, and links to repositories that nobody can fill, do not land."""

from __future__ import annotations

import pytest

from orchestra.git.git_process import Git
from orchestra.train.tree_checks import is_git_folder_name, tree_problems
from tests.train.train_fixture import TrainFixture, landed, reasons

BLOB = bytes(20)


def tree(*entries: tuple[bytes, bytes]) -> bytes:
    return b"".join(mode + b" " + name + b"\0" + BLOB for mode, name in entries)


@pytest.mark.parametrize(
    "name",
    [
        ".git",
        ".GIT",
        "git~1",
        "GIT~2",
        ".git ",
        ".git. .",
        ".git::$INDEX_ALLOCATION",
        ".g\u200cit",
        "\ufeff.git",
        "a\\.git",
    ],
)
def test_names_that_are_the_git_folder_on_some_file_system(name: str) -> None:
    assert is_git_folder_name(name.encode())
    assert list(tree_problems(tree((b"100644", name.encode()))))


@pytest.mark.parametrize("name", [".gitignore", ".gitmodules", ".github", "git", "a.git", "git~", ".gitx", "\udcff"])
def test_ordinary_names_pass(name: str) -> None:
    assert not list(tree_problems(tree((b"100644", name.encode("utf-8", "surrogateescape")))))


@pytest.mark.parametrize(
    "data",
    [
        tree((b"100644", b"a"), (b"100755", b"a")),
        tree((b"100644", b"a"), (b"40000", b"a")),
        tree((b"100644", b"b"), (b"100644", b"a")),
        tree((b"100644", b"a/b")),
        tree((b"100644", b"")),
        tree((b"40000", b"..")),
        tree((b"040000", b"a")),
        tree((b"120000", b".gitmodules")),
    ],
    ids=["twice", "file and folder", "unsorted", "slash", "empty", "dots", "zero-padded", "linked gitmodules"],
)
def test_what_git_fsck_reports_is_found(data: bytes) -> None:
    assert list(tree_problems(data))


def test_a_file_sorts_before_a_folder_of_the_same_beginning() -> None:
    assert not list(tree_problems(tree((b"100644", b"a.txt"), (b"40000", b"a"), (b"100644", b"a0"))))


def commit_tree(train: TrainFixture, agent: str, data: bytes) -> None:
    git = Git(train.checkout.path)
    name = git.run("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=data).text
    commit = train.checkout.git("commit-tree", "-p", "main", "-m", "evil", name)
    train.world.at(agent).git("update-ref", f"refs/heads/agent/demo/{agent}", commit)


@pytest.mark.parametrize("name", [b"zz/evil", b".g\xe2\x80\x8cit", b"README.md"], ids=["slash", "zero-width", "twice"])
def test_a_malformed_branch_is_evicted_and_the_others_land(train: TrainFixture, name: bytes) -> None:
    readme = bytes.fromhex(train.checkout.git("rev-parse", "main:README.md"))
    entries = sorted([(b"README.md", readme), (name, readme)])
    commit_tree(train, "one", b"".join(b"100644 " + entry + b"\0" + blob for entry, blob in entries))
    train.approve("one")
    train.approved(two={"b": "2\n"})
    report = train.merge(agents=["one", "two"])
    assert landed(report) == ["two"]
    assert reasons(report) == {"one": "malformed"}


def test_a_branch_that_git_cannot_merge_is_evicted_and_the_others_land(train: TrainFixture) -> None:
    train.approved(one={"README.md": "one\n"}, two={"b": "2\n"})
    train.checkout.commit("target", {"README.md": "target\n"})
    blob = train.checkout.git("rev-parse", "agent/demo/one:README.md")
    (train.checkout.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    report = train.merge(agents=["one", "two"])
    assert landed(report) == ["two"]
    assert reasons(report) == {"one": "malformed"}
    assert blob in report.evicted[0].detail


def test_a_nested_repository_does_not_land_as_a_link(train: TrainFixture) -> None:
    nested = train.world.at("one").path / "nested"
    nested.mkdir()
    git = Git(nested)
    train.world.at("one").git("init", "-q", "nested")
    train.world.at("one").git("-C", "nested", "commit", "-q", "--allow-empty", "-m", "inner")
    assert git.folder == nested
    train.world.at("one").git("add", "-A")
    train.world.at("one").git("commit", "-qm", "everything")
    train.approve("one")
    report = train.merge(agents=["one"])
    assert reasons(report) == {"one": "malformed"}
    assert "nested" in report.evicted[0].detail
