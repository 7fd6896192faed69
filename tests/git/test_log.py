"""Reading commits and changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.git.log import FileChange, changes, commits, patch
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from tests.conftest import Checkout, MakeRepository


def test_commits_come_oldest_first_with_their_trailers(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    checkout.commit("First\n\nBody.\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n", {"a": "1"})
    head = CommitId(checkout.commit("Zweite, ünï", {"a": "2"}))
    first, second = commits(Repository.discover(checkout.path), base, head)
    assert (first.subject, second.subject) == ("First", "Zweite, ünï")
    assert first.trailers == (("Orchestra-Agent", "schema"), ("Orchestra-Fleet", "mvp5"))
    assert first.author == "Ada Test <ada@example.org>"
    assert second.id == head


def test_another_repository_in_the_environment_is_not_read(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, other = make_repository(name="here"), make_repository(name="there")
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    head = CommitId(checkout.commit("here", {"a": "1"}))
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert [commit.subject for commit in commits(Repository.discover(checkout.path), base, head)] == ["here"]


def test_commits_of_a_sha256_repository_and_in_another_encoding_are_read(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    checkout = Checkout(tmp_path / "wide")
    checkout.path.mkdir()
    checkout.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    base = CommitId(checkout.commit("start", {"a": "1"}))
    checkout.git("config", "i18n.commitEncoding", "latin1")
    tree = checkout.git("write-tree")
    text = f"tree {tree}\nparent {base}\nauthor Jürgen <j@x> 12 +0000\ncommitter C <c@x> 13 +0000\n"
    raw = f"{text}encoding latin1\n\nGrüße\n\nReviewed-by: A <a@x>\n  folded\n".encode("latin1")
    head = CommitId(checkout.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw))
    (commit,) = commits(Repository.discover(checkout.path), base, head)
    assert (commit.id, commit.subject, commit.author, commit.authored_at) == (head, "Grüße", "Jürgen <j@x>", 12.0)
    assert commit.trailers == (("Reviewed-by", "A <a@x> folded"),)


def test_changes_tell_renames_binaries_and_odd_names(make_repository: MakeRepository) -> None:
    lines = "".join(f"line {number}\n" for number in range(20))
    checkout = make_repository({"old name": lines, "bin": b"\0\1", "gone\ttab": "x\n"})
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    head = CommitId(
        checkout.commit(
            "change", {"old name": None, "new\nname": lines + "more\n", "bin": b"\0\2", "gone\ttab": None, "ü": "u\n"}
        )
    )
    repository = Repository.discover(checkout.path)
    assert changes(repository, base, head) == (
        FileChange("bin", None, None),
        FileChange("gone\ttab", 0, 1),
        FileChange("new\nname", 1, 0, "old name"),
        FileChange("ü", 1, 0),
    )
    assert "gone" not in patch(repository, base, head, leave_out=["gone\ttab"])
    assert "+more" in patch(repository, base, head)
